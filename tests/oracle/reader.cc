#include "tests/oracle/reader.h"

#include <functional>
#include <utility>

#include "tests/e2e/eventually.h"
#include "tests/oracle/cluster.h"
#include "tests/oracle/families.h"
#include "tests/oracle/merge_operator.h"
#include "tests/oracle/model.h"
#include "tests/oracle/workload.h"

namespace slipstream::oracle {
namespace {

using rocksdb::ReadOptions;
using rocksdb::Slice;
using rocksdb::Status;

constexpr size_t kMaxHeld = 6;

ReadOptions At(const rocksdb::Snapshot* snapshot) {
  ReadOptions options;
  options.snapshot = snapshot;
  return options;
}

// The newest of all versions where there are timestamps.
ReadOptions At(const rocksdb::Snapshot* snapshot, const std::string& family) {
  static const std::string newest = Timestamp(UINT64_MAX);
  static const Slice newest_slice(newest);
  ReadOptions options = At(snapshot);
  if (family == kTimed) options.timestamp = &newest_slice;
  return options;
}

// Where what was read twice first differs.
std::string FirstDifference(const std::vector<std::pair<std::string, std::string>>& before,
                            const std::vector<std::pair<std::string, std::string>>& now) {
  size_t i = 0;
  while (i < before.size() && i < now.size() && before[i] == now[i]) ++i;
  auto entry = [i](const auto& digest) {
    return i == digest.size() ? "the end" : digest[i].first + " = " + digest[i].second;
  };
  return "entry " + std::to_string(i) + " of " + std::to_string(before.size()) + " was " +
         entry(before) + ", of " + std::to_string(now.size()) + " is " + entry(now);
}

}  // namespace

Reader::Reader(std::string name, const SeedOptions& seed, size_t slot, uint64_t random_seed,
               Follower* follower, const std::atomic<uint64_t>* leader_epoch, Verdict* verdict)
    : name_(std::move(name)),
      seed_(seed),
      receive_queue_bytes_(seed.ReceiveQueueBytes(slot)),
      random_(random_seed),
      follower_(follower),
      leader_epoch_(leader_epoch),
      verdict_(verdict) {
  thread_ = std::thread([this] { Run(); });
}

Reader::~Reader() {
  stop_.Notify();
  thread_.join();
}

void Reader::Fail(const std::string& what) {
  const FollowerStats stats = follower_->stats();
  verdict_->Fail(name_ + ": " + what + " (applied " + stats.applied.ToString() + ", rebuilds " +
                 std::to_string(stats.rebuilds) + ", resyncs " + std::to_string(stats.resyncs) +
                 ", reconnects " + std::to_string(stats.reconnects) + ")");
}

void Reader::FailRead(const std::string& what, const Status& s, uint64_t epoch,
                      uint64_t reconnects) {
  // Files are kept for a follower that is connected, or was one lease ago. One that is busy when
  // the leader restarts may come back later than that: then it may fail, but not read less.
  const bool cut_off =
      seed_.faulty_network || *leader_epoch_ > epoch || follower_->stats().reconnects != reconnects;
  if (cut_off && s.IsIOError()) {
    ++verdict_->totals->lost_to_lease;
  } else {
    Fail(what + ": " + s.ToString());
  }
}

void Reader::Run() {
  while (!stop_.HasBeenNotified() && !verdict_->failed()) {
    CheckPosition();
    switch (random_.Below(8)) {
      case 6:
        CheckMultiGet();
        break;
      case 7:
        CheckIterators();
        break;
      case 0:
        CheckStats();
        break;
      case 1:
        if (held_.size() < kMaxHeld) Hold();
        break;
      case 2:
        Recheck(random_.OneIn(4));
        break;
      default:
        CheckInvariants();
    }
    ++verdict_->totals->reader_checks;
    // Leaves time to those that are checked.
    stop_.WaitForNotificationWithTimeout(absl::Microseconds(random_.Skewed(50, 20000)));
  }
  while (!held_.empty()) Recheck(true);
}

void Reader::CheckPosition() {
  const Position now = follower_->position();
  const bool sequence_fell = now.epoch == last_.epoch && now.sequence < last_.sequence;
  if (now < last_ || (sequence_fell && seed_.exact_sequences)) {
    Fail("position went back from " + last_.ToString() + " to " + now.ToString());
  }
  last_ = now;
  last_reconnects_ = follower_->stats().reconnects;
}

void Reader::CheckStats() {
  constexpr uint64_t kImpossible = uint64_t{1} << 50;
  const FollowerStats stats = follower_->stats();
  for (const auto& [field, value] : std::initializer_list<std::pair<const char*, uint64_t>>{
           {"lag_sequences", stats.lag_sequences},
           {"lag_bytes", stats.lag_bytes},
           {"lag_us", stats.lag_us},
           {"staleness_us", stats.staleness_us},
           {"live_generations", stats.live_generations},
           {"rebuild_us", stats.rebuild_us},
           {"image_bytes", stats.image_bytes},
           {"memtable_bytes", stats.memtable_bytes},
           {"receive_queue_bytes", stats.receive_queue_bytes}}) {
    if (value > kImpossible) Fail(std::string(field) + " = " + std::to_string(value));
  }
  // One message more than the limit may wait, and one is being dealt with.
  constexpr uint64_t kMessage = 2 << 20;
  if (stats.receive_queue_bytes > receive_queue_bytes_ + 2 * kMessage) {
    Fail("receive_queue_bytes = " + std::to_string(stats.receive_queue_bytes) + ", expected " +
         std::to_string(receive_queue_bytes_) + " and two messages");
  }
  if (stats.corruptions != 0) {
    Fail("the follower contradicts itself " + std::to_string(stats.corruptions) +
         " times; status " + stats.status.ToString());
  }
  if (stats.live_generations == 0) Fail("live_generations = 0");
  if (stats.received < stats.applied) {
    Fail("received " + stats.received.ToString() + " is before applied " +
         stats.applied.ToString());
  }
}

bool Reader::ReadClass(const rocksdb::Snapshot* snapshot, char key_class,
                       std::vector<Content>* content) {
  content->resize(seed_.families);
  const std::string prefix(1, key_class);
  for (size_t i = 0; i < seed_.families; ++i) {
    rocksdb::ColumnFamilyHandle* handle = follower_->GetColumnFamily(BaseFamily(i));
    if (handle == nullptr) {
      Fail("no column family " + BaseFamily(i));
      return false;
    }
    std::unique_ptr<rocksdb::Iterator> it(follower_->db()->NewIterator(At(snapshot), handle));
    for (it->Seek(prefix); it->Valid() && it->key().starts_with(prefix); it->Next()) {
      (*content)[i][it->key().ToString()] = EncodeColumns(it->columns());
    }
    if (!it->status().ok()) {
      FailRead("reading " + BaseFamily(i), it->status(), last_.epoch, last_reconnects_);
      return false;
    }
  }
  return true;
}

bool Reader::AllHandles(std::vector<rocksdb::ColumnFamilyHandle*>* handles) {
  for (size_t i = 0; i < seed_.families; ++i) {
    handles->push_back(follower_->GetColumnFamily(BaseFamily(i)));
    if (handles->back() != nullptr) continue;
    Fail("no column family " + BaseFamily(i));
    return false;
  }
  return true;
}

void Reader::CheckSum(size_t writer, const std::vector<std::string>& values) {
  int64_t sum = 0;
  for (const std::string& value : values) sum += std::stoll(value);
  if (sum != kTotal) {
    Fail("accounts of writer " + std::to_string(writer) + ", read together without a snapshot, " +
         "add up to " + std::to_string(sum) + ", expected " + std::to_string(kTotal));
  }
}

void Reader::CheckMultiGet() {
  if (seed_.TornByCrash()) return;
  std::vector<rocksdb::ColumnFamilyHandle*> all;
  if (!AllHandles(&all)) return;
  const size_t writer = random_.Between(1, seed_.writers);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  std::vector<std::string> keys;
  for (size_t i = 0; i < kAccounts; ++i) {
    handles.push_back(all[i % seed_.families]);
    keys.push_back(NumberedKey('b', writer, i));
  }
  const std::vector<Slice> slices(keys.begin(), keys.end());
  std::vector<std::string> values;
  ReadOptions options;
  options.async_io = random_.OneIn(2);
  for (const Status& s : follower_->db()->MultiGet(options, handles, slices, &values)) {
    if (!s.ok()) return FailRead("MultiGet of accounts", s, last_.epoch, last_reconnects_);
  }
  CheckSum(writer, values);
}

void Reader::CheckIterators() {
  if (seed_.TornByCrash()) return;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  if (!AllHandles(&handles)) return;
  std::vector<rocksdb::Iterator*> made;
  Status s = follower_->db()->NewIterators(ReadOptions(), handles, &made);
  if (!s.ok()) return FailRead("NewIterators", s, last_.epoch, last_reconnects_);
  std::vector<std::unique_ptr<rocksdb::Iterator>> iterators(made.begin(), made.end());
  const size_t writer = random_.Between(1, seed_.writers);
  std::vector<std::string> values;
  for (size_t i = 0; i < kAccounts; ++i) {
    rocksdb::Iterator* it = iterators[i % seed_.families].get();
    const std::string key = NumberedKey('b', writer, i);
    it->Seek(key);
    if (!it->status().ok()) {
      return FailRead("an iterator of NewIterators", it->status(), last_.epoch, last_reconnects_);
    }
    if (!it->Valid() || it->key() != key) return Fail("account " + key + " is missing");
    values.push_back(it->value().ToString());
  }
  CheckSum(writer, values);
}

void Reader::CheckInvariants() {
  const rocksdb::Snapshot* snapshot = follower_->db()->GetSnapshot();
  if (snapshot == nullptr) return Fail("GetSnapshot gave none");
  ++verdict_->totals->snapshots;
  switch (random_.Below(4)) {
    case 0:
      if (!seed_.TornByCrash()) CheckAccounts(snapshot);
      break;
    case 1:
      if (!seed_.TornByCrash()) CheckPairs(snapshot);
      break;
    case 2:
      CheckPoints(snapshot);
      break;
    default:
      CheckGrowth(snapshot);
  }
  follower_->db()->ReleaseSnapshot(snapshot);
}

void Reader::CheckAccounts(const rocksdb::Snapshot* snapshot) {
  std::vector<Content> content;
  if (!ReadClass(snapshot, 'b', &content)) return;
  for (size_t w = 0; w < seed_.writers; ++w) {
    int64_t sum = 0;
    for (size_t i = 0; i < kAccounts; ++i) {
      auto it = content[i % seed_.families].find(NumberedKey('b', w + 1, i));
      if (it == content[i % seed_.families].end()) {
        return Fail("account " + NumberedKey('b', w + 1, i) + " is missing at " +
                    std::to_string(snapshot->GetSequenceNumber()));
      }
      sum += std::stoll(it->second.substr(1));
    }
    if (sum != kTotal) {
      Fail("accounts of writer " + std::to_string(w + 1) + " add up to " + std::to_string(sum) +
           ", expected " + std::to_string(kTotal) + ", at " +
           std::to_string(snapshot->GetSequenceNumber()));
    }
  }
}

void Reader::CheckPairs(const rocksdb::Snapshot* snapshot) {
  std::vector<Content> content;
  if (!ReadClass(snapshot, 'p', &content)) return;
  std::map<std::string, std::pair<std::string, std::string>> pairs;
  for (Content& family : content) {
    for (auto& [key, value] : family) {
      const std::string name = key.substr(0, key.size() - 1);
      (key.back() == 'a' ? pairs[name].first : pairs[name].second) = std::move(value);
    }
  }
  for (const auto& [name, sides] : pairs) {
    if (sides.first == sides.second) continue;
    return Fail("pair " + name + " holds " + oracle::Describe(sides.first) + " and " +
                oracle::Describe(sides.second) + " at " +
                std::to_string(snapshot->GetSequenceNumber()));
  }
}

void Reader::CheckGrowth(const rocksdb::Snapshot* snapshot) {
  std::vector<Content> counters, markers;
  if (!ReadClass(snapshot, 'c', &counters) || !ReadClass(snapshot, 'm', &markers)) return;
  std::map<std::string, uint64_t> now;
  for (size_t i = 0; i < counters.size(); ++i) {
    for (const auto& [key, value] : counters[i]) {
      if (!DecodeCount(Slice(value.data() + 1, value.size() - 1),
                       &now[BaseFamily(i) + " " + key])) {
        return Fail("counter " + key + " holds " + oracle::Describe(value));
      }
    }
    for (const auto& [key, value] : markers[i]) {
      now[BaseFamily(i) + " " + key] = std::stoull(value.substr(1));
    }
  }
  for (const auto& [key, before] : seen_) {
    auto it = now.find(key);
    const uint64_t value = it == now.end() ? 0 : it->second;
    if (value >= before) continue;
    // A new epoch may take back what the old one had. It is shown a moment before it is announced.
    if (seed_.TakesBack()) {
      const auto announced = [this] { return follower_->position().epoch != seen_epoch_; };
      if (testing::Eventually(announced)) break;
    }
    Fail(key + " went down from " + std::to_string(before) + " to " + std::to_string(value) +
         " at " + std::to_string(snapshot->GetSequenceNumber()));
    break;
  }
  seen_ = std::move(now);
  // From before the snapshot was taken, so no later than what was read.
  seen_epoch_ = last_.epoch;
}

void Reader::CheckPoints(const rocksdb::Snapshot* snapshot) {
  constexpr size_t kKeys = 20;
  const std::string family = BaseFamily(random_.Below(seed_.families));
  rocksdb::ColumnFamilyHandle* handle = follower_->GetColumnFamily(family);
  if (handle == nullptr) return Fail("no column family " + family);
  std::vector<std::string> keys;
  for (size_t i = 0; i < kKeys; ++i) {
    keys.push_back(NumberedKey(random_.OneOf<char>({'k', 'c', 'e', 'i'}),
                               random_.Below(seed_.writers + 1), random_.Below(seed_.keys)));
  }
  const std::vector<Slice> slices(keys.begin(), keys.end());
  std::vector<rocksdb::PinnableSlice> values(kKeys);
  std::vector<Status> statuses(kKeys);
  follower_->db()->MultiGet(At(snapshot), handle, kKeys, slices.data(), values.data(),
                            statuses.data());
  for (size_t i = 0; i < kKeys; ++i) {
    rocksdb::PinnableSlice value;
    const Status s = follower_->db()->Get(At(snapshot), handle, keys[i], &value);
    for (const Status& status : {s, statuses[i]}) {
      if (status.ok() || status.IsNotFound()) continue;
      return FailRead("reading " + keys[i], status, last_.epoch, last_reconnects_);
    }
    if (s.code() != statuses[i].code() ||
        (s.ok() && value.ToStringView() != values[i].ToStringView())) {
      return Fail(family + " " + keys[i] + ": Get gives " + s.ToString() + " " +
                  oracle::Describe(value.ToStringView()) + ", MultiGet of the same snapshot " +
                  statuses[i].ToString() + " " + oracle::Describe(values[i].ToStringView()));
    }
  }
}

Status Reader::Read(rocksdb::Iterator* it, Digest* digest) {
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    digest->emplace_back(it->key().ToString(), oracle::Describe(EncodeColumns(it->columns())));
  }
  return it->status();
}

std::string Reader::FamilyToHold() {
  const std::vector<std::string> specials = SpecialFamilies(seed_);
  if (!specials.empty() && random_.OneIn(3)) return random_.OneOf(specials);
  return BaseFamily(random_.Below(seed_.families));
}

void Reader::Hold() {
  Held held;
  held.family = FamilyToHold();
  rocksdb::ColumnFamilyHandle* handle = follower_->GetColumnFamily(held.family);
  if (handle == nullptr) return Fail("no column family " + held.family);
  const FollowerStats stats = follower_->stats();
  held.rebuilds = stats.rebuilds;
  held.reconnects = stats.reconnects;
  held.epoch = stats.applied.epoch;
  std::unique_ptr<rocksdb::Iterator> it;
  if (random_.OneIn(2)) {
    held.snapshot = follower_->db()->GetSnapshot();
    it.reset(follower_->db()->NewIterator(At(held.snapshot, held.family), handle));
  } else {
    it.reset(follower_->db()->NewIterator(At(nullptr, held.family), handle));
  }
  // Some are not read before their generation is an old one and its files are removed.
  if (random_.OneIn(2)) {
    const Status s = Read(it.get(), &held.digest.emplace());
    if (!s.ok()) {
      FailRead("reading " + held.family + " to hold it", s, held.epoch, held.reconnects);
      it.reset();
      return Release(&held);
    }
  }
  if (held.snapshot == nullptr) held.iterator = std::move(it);
  ++verdict_->totals->held;
  held_.push_back(std::move(held));
}

void Reader::Recheck(bool release) {
  if (held_.empty()) return;
  std::swap(held_[random_.Below(held_.size())], held_.front());
  Held& held = held_.front();
  Digest digest;
  Status s;
  if (held.snapshot != nullptr) {
    rocksdb::ColumnFamilyHandle* handle = follower_->GetColumnFamily(held.family);
    std::unique_ptr<rocksdb::Iterator> it(
        follower_->db()->NewIterator(At(held.snapshot, held.family), handle));
    s = Read(it.get(), &digest);
  } else {
    s = Read(held.iterator.get(), &digest);
  }
  const FollowerStats stats = follower_->stats();
  const bool swapped = stats.rebuilds != held.rebuilds || stats.applied.epoch != held.epoch;
  if (!s.ok()) {
    FailRead("reading held " + held.family + " again", s, held.epoch, held.reconnects);
    release = true;
  } else if (!held.digest) {
    held.digest = std::move(digest);
    if (held.snapshot != nullptr && held.epoch == *leader_epoch_ && !seed_.TornByCrash()) {
      CheckAccounts(held.snapshot);
    }
  } else if (digest != *held.digest) {
    Fail(std::string("a held ") + (held.snapshot != nullptr ? "snapshot" : "iterator") + " of " +
         held.family +
         " shows something else than before: " + FirstDifference(*held.digest, digest));
  }
  if (!release) return;
  if (swapped) ++verdict_->totals->held_over_swap;
  if (stats.applied.epoch != held.epoch) ++verdict_->totals->held_over_epoch;
  Release(&held);
  held_.pop_front();
}

void Reader::Release(Held* held) {
  held->iterator.reset();
  if (held->snapshot != nullptr) follower_->db()->ReleaseSnapshot(held->snapshot);
}

}  // namespace slipstream::oracle
