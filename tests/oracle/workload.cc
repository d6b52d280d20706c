#include "tests/oracle/workload.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <utility>

#include "tests/oracle/families.h"
#include "tests/oracle/merge_operator.h"
#include "tests/oracle/transactions.h"

namespace slipstream::oracle {
namespace {

using rocksdb::Status;
using rocksdb::WriteOptions;

// A list that has grown to this is written anew.
constexpr size_t kMaxListBytes = 4000;
constexpr uint64_t kBigKeys = 3;

rocksdb::WideColumns AsColumns(const std::vector<std::pair<std::string, std::string>>& columns) {
  rocksdb::WideColumns wide;
  for (const auto& [name, value] : columns) wide.emplace_back(name, value);
  return wide;
}

std::string PairKey(size_t writer, uint64_t number, char side) {
  return NumberedKey('p', writer, number) + side;
}

}  // namespace

std::string WriterPrefix(char key_class, size_t writer) {
  return std::string(1, key_class) + std::to_string(writer) + "/";
}

std::string NumberedKey(char key_class, size_t writer, uint64_t number) {
  char digits[24];
  snprintf(digits, sizeof(digits), "%06llu", static_cast<unsigned long long>(number));
  return WriterPrefix(key_class, writer) + digits;
}

void Batch::Put(const Target& target, const std::string& key, const std::string& value) {
  batch_.Put(target.handle, key, value);
  changes_.push_back({Change::Kind::kPut, target.name, key, EncodePlain(value)});
}

void Batch::PutEntity(const Target& target, const std::string& key,
                      const std::vector<std::pair<std::string, std::string>>& columns) {
  const rocksdb::WideColumns wide = AsColumns(columns);
  batch_.PutEntity(target.handle, key, wide).PermitUncheckedError();
  changes_.push_back({Change::Kind::kPut, target.name, key, EncodeColumns(wide)});
}

void Batch::Delete(const Target& target, const std::string& key) {
  batch_.Delete(target.handle, key);
  changes_.push_back({Change::Kind::kDelete, target.name, key, ""});
}

void Batch::SingleDelete(const Target& target, const std::string& key) {
  batch_.SingleDelete(target.handle, key);
  changes_.push_back({Change::Kind::kDelete, target.name, key, "single"});
}

void Batch::DeleteRange(const Target& target, const std::string& begin, const std::string& end) {
  batch_.DeleteRange(target.handle, begin, end);
  changes_.push_back({Change::Kind::kDeleteRange, target.name, begin, end});
}

void Batch::Merge(const Target& target, const std::string& key, const std::string& operand) {
  batch_.Merge(target.handle, key, operand);
  changes_.push_back({key.front() == 'c' ? Change::Kind::kCount : Change::Kind::kAppend,
                      target.name, key, operand});
}

void Batch::PutAt(const Target& target, const std::string& key, uint64_t number,
                  const std::string& value) {
  batch_.Put(target.handle, key, Timestamp(number), value);
  changes_.push_back(
      {Change::Kind::kPut, target.name, VersionKey(key, number), EncodePlain(value)});
}

void Batch::DeleteAt(const Target& target, const std::string& key, uint64_t number) {
  batch_.Delete(target.handle, key, Timestamp(number));
  changes_.push_back({Change::Kind::kPut, target.name, VersionKey(key, number), kDeletedVersion});
}

bool Batch::Has(const std::string& family, const std::string& key) const {
  return std::any_of(changes_.begin(), changes_.end(),
                     [&](const Change& c) { return c.key == key && c.family == family; });
}

Writer::Writer(size_t id, const SeedOptions& seed, Cluster* cluster, Model* model, Journal* journal,
               Verdict* verdict)
    : id_(id),
      seed_(seed),
      cluster_(cluster),
      model_(model),
      journal_(journal),
      verdict_(verdict),
      random_(seed.seed * 1000003 + id),
      accounts_(kAccounts, kTotal / static_cast<int64_t>(kAccounts)) {
  if (seed.transactions) {
    transactions_ = std::make_unique<Transactions>(id, model, &random_, verdict);
  }
}

Writer::~Writer() = default;

void Writer::OpenAccounts(const std::vector<Target>& targets) {
  Batch batch;
  for (size_t i = 0; i < kAccounts; ++i) {
    batch.Put(targets[i % seed_.families], NumberedKey('b', id_, i), std::to_string(accounts_[i]));
  }
  Status s = Commit(targets, &batch);
  if (!s.ok()) verdict_->Fail("opening accounts: " + s.ToString());
}

void Writer::Run(uint64_t operations, const std::vector<Target>& targets) {
  for (uint64_t i = 0; i < operations && !verdict_->failed(); ++i) {
    Batch batch;
    const auto kind = static_cast<OperationKind>(random_.Weighted(seed_.weights));
    uint64_t n = 1;
    if (kind == OperationKind::kSmallBatch) n = random_.Between(2, 10);
    if (kind == OperationKind::kLargeBatch) n = random_.Skewed(10, 1000);
    if (n == 1) {
      AddOne(kind, targets, &batch);
    } else {
      for (uint64_t j = 0; j < n; ++j) {
        AddOne(static_cast<OperationKind>(random_.Weighted(seed_.weights)), targets, &batch);
      }
    }
    Status s = Commit(targets, &batch);
    if (s.ok() && transactions_ != nullptr) s = DealWithHeld(targets);
    if (!s.ok()) {
      verdict_->Fail("writer " + std::to_string(id_) + ": the leader refused operation " +
                     std::to_string(written_) + ": " + s.ToString());
      return;
    }
    if (seed_.wal == WalKeeping::kManual && random_.Percent(seed_.flush_wal_percent)) {
      s = cluster_->PublishWrites();
      if (!s.ok()) return verdict_->Fail("FlushWAL: " + s.ToString());
    }
    if (random_.OneIn(25) && !batch.changes().empty()) {
      ReadOwnWrite(batch.changes()[random_.Below(batch.changes().size())]);
    }
  }
}

void Writer::AddOne(OperationKind kind, const std::vector<Target>& targets, Batch* batch) {
  const Target& target = random_.OneOf(targets);
  const std::string key = NumberedKey('k', id_, random_.Below(seed_.keys));
  switch (kind) {
    case OperationKind::kDelete:
      batch->Delete(target, key);
      return;
    case OperationKind::kSingle:
      AddSingle(targets, batch);
      return;
    case OperationKind::kCounter:
      batch->Merge(target, NumberedKey('c', id_, random_.Below(1 + seed_.keys / 8)),
                   EncodeCount(random_.Skewed(1, 1000)));
      return;
    case OperationKind::kAppend:
      AddAppend(target, batch);
      return;
    case OperationKind::kDeleteRange: {
      const uint64_t first = random_.Below(seed_.keys);
      const char key_class = random_.OneIn(4) ? 'e' : 'k';
      batch->DeleteRange(target, NumberedKey(key_class, id_, first),
                         NumberedKey(key_class, id_, first + random_.Skewed(1, 64)));
      return;
    }
    case OperationKind::kEmptyRange:
      batch->DeleteRange(target, key, key);
      return;
    case OperationKind::kEntity:
      AddEntity(target, batch);
      return;
    case OperationKind::kPair:
      AddPair(targets, batch);
      return;
    case OperationKind::kTransfer:
      AddTransfer(targets, batch);
      return;
    case OperationKind::kNothing:
      // A WAL record that may consume no sequence number.
      if (random_.OneIn(2)) batch->Blob(random_.Bytes(random_.Below(200)));
      return;
    case OperationKind::kTimed:
    case OperationKind::kFifo:
    case OperationKind::kFiltered:
      AddSpecial(kind, batch);
      return;
    case OperationKind::kPut:
    case OperationKind::kSmallBatch:
    case OperationKind::kLargeBatch:
    case OperationKind::kCount_:
      break;
  }
  // Not in large batches, which would fill the disk.
  if (batch->changes().size() < 10 && random_.Percent(seed_.big_value_percent)) {
    batch->Put(target, NumberedKey('k', id_, seed_.keys + random_.Below(kBigKeys)),
               random_.Bytes(random_.Between(100 << 10, 2 << 20)));
  } else {
    batch->Put(target, key, Value());
  }
}

std::string Writer::Value() { return random_.Bytes(random_.Below(random_.OneIn(8) ? 3000 : 100)); }

void Writer::AddSpecial(OperationKind kind, Batch* batch) {
  const char* name = kind == OperationKind::kTimed  ? kTimed
                     : kind == OperationKind::kFifo ? kFifo
                                                    : kFiltered;
  const auto target = std::find_if(specials_.begin(), specials_.end(),
                                   [&](const Target& t) { return t.name == name; });
  if (target == specials_.end()) return;
  if (kind == OperationKind::kFifo) {
    batch->Put(*target, NumberedKey('f', id_, next_fifo_++), random_.Bytes(random_.Below(600)));
    return;
  }
  const char key_class = kind == OperationKind::kTimed ? 't' : 'x';
  const std::string key = NumberedKey(key_class, id_, random_.Below(1 + seed_.keys / 4));
  if (kind == OperationKind::kFiltered) {
    const std::string value = random_.OneOf<std::string>({"!", "~", "kept "}) + Value();
    random_.OneIn(8) ? batch->Delete(*target, key) : batch->Put(*target, key, value);
    return;
  }
  // Two versions of a key need two timestamps.
  const uint64_t number = written_ + 1;
  if (batch->Has(kTimed, VersionKey(key, number))) return;
  random_.OneIn(6) ? batch->DeleteAt(*target, key, number)
                   : batch->PutAt(*target, key, number, Value());
}

void Writer::AddSingle(const std::vector<Target>& targets, Batch* batch) {
  if (singles_.empty() || random_.OneIn(2)) {
    // Only in the base families, as others may be gone when the time comes.
    const size_t family = random_.Below(seed_.families);
    const std::string key = NumberedKey('s', id_, next_single_++);
    batch->Put(targets[family], key, Value());
    singles_.emplace_back(family, key);
    return;
  }
  std::swap(singles_[random_.Below(singles_.size())], singles_.back());
  const auto [family, key] = singles_.back();
  singles_.pop_back();
  batch->SingleDelete(targets[family], key);
}

void Writer::AddAppend(const Target& target, Batch* batch) {
  const std::string key = NumberedKey('k', id_, random_.Below(seed_.keys));
  const std::optional<std::string> have = model_->Find(target.name, key);
  if (have && have->size() > kMaxListBytes) {
    batch->Put(target, key, "new");
  } else {
    batch->Merge(target, key, std::to_string(written_));
  }
}

void Writer::AddEntity(const Target& target, Batch* batch) {
  const std::string key = NumberedKey('e', id_, random_.Below(seed_.keys));
  if (random_.OneIn(5)) {
    batch->Delete(target, key);
  } else if (random_.OneIn(5)) {
    batch->Put(target, key, Value());
  } else {
    std::vector<std::pair<std::string, std::string>> columns;
    if (random_.OneIn(2)) columns.emplace_back("", Value());
    const uint64_t n = random_.Between(1, 4);
    for (uint64_t i = 0; i < n; ++i) columns.emplace_back("column" + std::to_string(i), Value());
    batch->PutEntity(target, key, columns);
  }
}

void Writer::AddPair(const std::vector<Target>& targets, Batch* batch) {
  const uint64_t number = random_.Below(1 + seed_.keys / 4);
  const Target& a = targets[number % seed_.families];
  const Target& b = targets[(number + 1) % seed_.families];
  if (random_.OneIn(4)) {
    batch->Delete(a, PairKey(id_, number, 'a'));
    batch->Delete(b, PairKey(id_, number, 'b'));
  } else {
    const std::string value = Value();
    batch->Put(a, PairKey(id_, number, 'a'), value);
    batch->Put(b, PairKey(id_, number, 'b'), value);
  }
}

void Writer::AddTransfer(const std::vector<Target>& targets, Batch* batch) {
  const size_t from = random_.Below(kAccounts);
  const size_t to = (from + 1 + random_.Below(kAccounts - 1)) % kAccounts;
  const auto amount = static_cast<int64_t>(random_.Below(100));
  accounts_[from] -= amount;
  accounts_[to] += amount;
  for (size_t i : {from, to}) {
    batch->Put(targets[i % seed_.families], NumberedKey('b', id_, i), std::to_string(accounts_[i]));
  }
}

Status Writer::Commit(const std::vector<Target>& targets, Batch* batch) {
  ++written_;
  const bool alone = !seed_.markers && batch->changes().size() == 1 &&
                     !batch->changes().front().value.starts_with('e') &&
                     !IsSpecial(batch->changes().front().family) && random_.OneIn(2);
  if (seed_.markers) Mark(targets, batch);
  WriteOptions options;
  options.sync = random_.OneIn(200);
  Status s;
  if (alone) {
    s = CommitAlone(targets, batch->changes().front(), options);
  } else if (transactions_ != nullptr) {
    s = transactions_->Write(cluster_->transaction_db(), Base(targets), options, batch);
  } else {
    s = cluster_->db()->Write(options, batch->mutable_batch());
  }
  std::string trace = "writer " + std::to_string(id_) + " #" + std::to_string(written_) + ": ";
  if (!batch->changes().empty()) {
    const Change& first = batch->changes().front();
    trace += std::to_string(batch->changes().size()) + " changes, first kind " +
             std::to_string(static_cast<int>(first.kind)) + " " + first.family + " " + first.key;
  } else {
    trace += "nothing";
  }
  verdict_->Trace(trace + " -> " + s.ToString());
  if (!s.ok()) return s;
  model_->Apply(batch->changes());
  journal_->Note(id_ - 1, written_, batch->changes());
  ++verdict_->totals->operations;
  verdict_->totals->keys_written += batch->changes().size();
  return s;
}

void Writer::Mark(const std::vector<Target>& targets, Batch* batch) const {
  std::set<std::string> changed = {targets.front().name};
  if (seed_.wal == WalKeeping::kMemory) {
    for (const Change& change : batch->changes()) changed.insert(change.family);
  }
  auto mark = [&](const Target& target) {
    if (changed.count(target.name) == 0) return;
    batch->Put(target, "m" + std::to_string(id_), std::to_string(written_));
  };
  for (const Target& target : targets) mark(target);
  // The timestamps say it in timed; in fifo it would go with the oldest files.
  for (const Target& target : specials_) {
    if (target.name == kFiltered) mark(target);
  }
}

std::vector<Target> Writer::Base(const std::vector<Target>& targets) const {
  return {targets.begin(), targets.begin() + static_cast<ptrdiff_t>(seed_.families)};
}

Status Writer::DealWithHeld(const std::vector<Target>& targets) {
  if (transactions_->WantsToHold()) {
    // Of the kinds whose meaning does not depend on when they are committed.
    const std::vector<Target> base = Base(targets);
    Batch batch;
    for (uint64_t n = random_.Skewed(1, 50); n > 0; --n) {
      AddOne(random_.OneOf<OperationKind>({OperationKind::kPut, OperationKind::kDelete,
                                           OperationKind::kCounter, OperationKind::kPair}),
             base, &batch);
    }
    Status s = transactions_->Hold(cluster_->transaction_db(), base, batch);
    if (!s.ok()) return s;
  }
  return transactions_->EndSome(cluster_->transaction_db());
}

Status Writer::CommitAlone(const std::vector<Target>& targets, const Change& change,
                           const WriteOptions& options) {
  rocksdb::DB* db = cluster_->db();
  auto target = std::find_if(targets.begin(), targets.end(),
                             [&](const Target& t) { return t.name == change.family; });
  rocksdb::ColumnFamilyHandle* handle = target->handle;
  switch (change.kind) {
    case Change::Kind::kDelete:
      return change.value == "single" ? db->SingleDelete(options, handle, change.key)
                                      : db->Delete(options, handle, change.key);
    case Change::Kind::kDeleteRange:
      return db->DeleteRange(options, handle, change.key, change.value);
    case Change::Kind::kCount:
    case Change::Kind::kAppend:
      return db->Merge(options, handle, change.key, change.value);
    case Change::Kind::kPut:
      break;
  }
  return db->Put(options, handle, change.key, change.value.substr(1));
}

void Writer::ReadOwnWrite(const Change& change) {
  if (IsSpecial(change.family)) return;
  FollowerSlot& slot = cluster_->slot(random_.Below(cluster_->slots()));
  if (const Status s = cluster_->PublishWrites(); !s.ok()) {
    return verdict_->Fail("FlushWAL: " + s.ToString());
  }
  const Position p = cluster_->leader()->position();
  absl::ReaderMutexLock lock(&slot.mutex);
  if (slot.follower == nullptr) return;
  const std::string who = "read-your-writes of writer " + std::to_string(id_) + " at " +
                          p.ToString() + ", " + change.family + " " + change.key + ": ";
  Status s = slot.follower->WaitFor(p, kPatienceUs);
  if (!s.ok()) {
    verdict_->Fail(who + "WaitFor: " + s.ToString());
    return;
  }
  rocksdb::ColumnFamilyHandle* handle = slot.follower->GetColumnFamily(change.family);
  if (handle == nullptr) {
    verdict_->Fail(who + "the follower does not have the column family");
    return;
  }
  std::string found;
  if (change.key.front() == 'e') {
    rocksdb::PinnableWideColumns columns;
    s = slot.follower->db()->GetEntity(rocksdb::ReadOptions(), handle, change.key, &columns);
    if (s.ok()) found = EncodeColumns(columns.columns());
  } else {
    // RocksDB 7.8 ends in GetEntity of a key that consists of merge operands alone.
    std::string value;
    s = slot.follower->db()->Get(rocksdb::ReadOptions(), handle, change.key, &value);
    if (s.ok()) found = EncodePlain(value);
  }
  const std::optional<std::string> expected = model_->Find(change.family, change.key);
  ++verdict_->totals->read_your_writes;
  if (s.IsNotFound() && !expected) return;
  if (s.IsIOError() && seed_.faulty_network) {
    // Cut off for longer than its lease since it showed that position.
    ++verdict_->totals->lost_to_lease;
    return;
  }
  if (s.ok() && expected && found == *expected) return;
  verdict_->Fail(who + "found " + (s.ok() ? Describe(found) : s.ToString()) + ", expected " +
                 (expected ? Describe(*expected) : "nothing"));
}

void Writer::Resume() {
  singles_.clear();
  for (size_t i = 0; i < seed_.families; ++i) {
    for (const std::string& key : model_->Keys(BaseFamily(i), WriterPrefix('s', id_))) {
      singles_.emplace_back(i, key);
    }
  }
  for (size_t i = 0; i < kAccounts; ++i) {
    const auto value = model_->Find(BaseFamily(i % seed_.families), NumberedKey('b', id_, i));
    if (value) accounts_[i] = std::stoll(value->substr(1));
  }
}

}  // namespace slipstream::oracle
