// What a SeedRun does to its leader between phases, and what must hold afterwards.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "tests/oracle/checks.h"
#include "tests/oracle/families.h"
#include "tests/oracle/seed_run.h"

namespace slipstream::oracle {

using rocksdb::Status;

void SeedRun::RestartLeader() {
  if (!run_.Allows("leader-restart") || verdict_->failed()) return;
  if (random_.OneIn(2)) return CrashLeader();
  if (!Check("FlushWAL", cluster_.PublishWrites())) return;
  const Position old = cluster_.leader()->position();
  if (!Check("closing the leader", cluster_.CloseLeader(CloseStyle::kOrderly, random_.OneIn(2)))) {
    return;
  }
  if (!Check("opening the leader again", cluster_.OpenLeader(&random_))) return;
  NoteOpened();
  ++verdict_->totals->leader_restarts;
  if (random_.OneIn(2)) {
    CheckOldPosition(old, 0);
    Checkpoint(&cluster_, &model_, &random_, verdict_);
  }
}

void SeedRun::CrashLeader() {
  const bool published = random_.OneIn(2);
  if (published && !Check("FlushWAL", cluster_.PublishWrites())) return;
  const Position old = cluster_.leader()->position();
  // Under manual_wal_flush what is lost was not covered by any position.
  const bool covered = seed_.wal != WalKeeping::kManual;
  std::vector<std::optional<size_t>> resets(seed_.followers);
  if (journal_.running() && !LetSomeShow(old, &resets)) return;
  const bool kill = seed_.kills && random_.OneIn(2);
  if (!Check(
          kill ? "kill of the leader" : "crash of the leader",
          cluster_.CloseLeader(kill ? CloseStyle::kKill : CloseStyle::kCrash, random_.OneIn(2)))) {
    return;
  }
  if (!Check("opening the leader after it", cluster_.OpenLeader(&random_))) return;
  ++verdict_->totals->leader_crashes;
  if (kill) ++verdict_->totals->leader_kills;
  uint64_t lost = 0;
  if (journal_.running()) lost = RewindModel();
  NoteOpened();
  if (!covered && published && lost > 0) {
    verdict_->Fail(std::to_string(lost) + " operations are lost in spite of FlushWAL");
  }
  if (journal_.running() || random_.OneIn(2)) {
    CheckOldPosition(old, covered ? lost : 0);
    CheckHistoryResets(old, covered ? lost : 0, resets);
    Checkpoint(&cluster_, &model_, &random_, verdict_);
  }
}

bool SeedRun::LetSomeShow(const Position& old, std::vector<std::optional<size_t>>* resets) {
  for (size_t i = 0; i < seed_.followers; ++i) {
    Follower* follower = cluster_.follower(i);
    // One that has shown everything will have to take it back.
    if (follower == nullptr || !random_.OneIn(2)) continue;
    if (!Check("waiting before the crash", follower->WaitFor(old, kPatienceUs))) return false;
    FollowerSlot& slot = cluster_.slot(i);
    absl::MutexLock lock(&slot.resets_mutex);
    (*resets)[i] = slot.resets.size();
  }
  return true;
}

void SeedRun::LoseTail(uint64_t operations) {
  const std::pair<std::string, uint64_t> before = cluster_.NewestWal();
  journal_.Start(model_.Copy());
  Phase(operations, false);
  if (verdict_->failed()) return;

  const Position old = cluster_.leader()->position();
  std::vector<std::optional<size_t>> resets(seed_.followers);
  if (!LetSomeShow(old, &resets)) return;
  if (!Check("crash of the leader", cluster_.CloseLeader(CloseStyle::kCrash, random_.OneIn(2)))) {
    return;
  }
  std::string saved, path;
  if (!DamageWal(before, &saved, &path)) return;
  if (!ReopenDamaged(saved, path)) return;
  ++verdict_->totals->leader_crashes;
  const uint64_t lost = RewindModel();
  journal_.Stop();
  CheckOldPosition(old, lost);
  CheckHistoryResets(old, lost, resets);
  Checkpoint(&cluster_, &model_, &random_, verdict_);
}

bool SeedRun::DamageWal(const std::pair<std::string, uint64_t>& before, std::string* saved,
                        std::string* path) {
  const auto [newest, size] = cluster_.NewestWal();
  const uint64_t from = newest == before.first ? before.second : 0;
  if (size <= from) return true;
  std::ifstream in(newest, std::ios::binary);
  saved->assign(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  *path = newest;
  // Mostly the last records alone.
  const uint64_t lost = random_.Skewed(1, size - from);
  std::string damaged = *saved;
  if (random_.OneIn(3)) {
    damaged[size - lost] = static_cast<char>(damaged[size - lost] ^ 0x40);
  } else {
    damaged.resize(size - lost);
  }
  std::ofstream(newest, std::ios::binary | std::ios::trunc).write(damaged.data(), damaged.size());
  verdict_->Trace("the last " + std::to_string(lost) + " bytes of " + newest + " of " +
                  std::to_string(size) + " are " +
                  (damaged.size() == size ? "damaged" : "missing"));
  ++verdict_->totals->lost_tails;
  return true;
}

bool SeedRun::ReopenDamaged(const std::string& saved, const std::string& path) {
  Status s = cluster_.OpenLeader(&random_);
  if (s.IsCorruption() && !path.empty()) {
    // As RocksDB sees fit: files that were flushed need what is missing, or the mode forbids it.
    ++verdict_->totals->refused_tails;
    verdict_->Trace("refused: " + s.ToString());
    std::ofstream(path, std::ios::binary | std::ios::trunc).write(saved.data(), saved.size());
    s = cluster_.OpenLeader(&random_);
  }
  return Check("opening the leader with a damaged WAL", s);
}

bool SeedRun::ReadMarker(size_t i, const std::string& family, uint64_t* number) {
  const std::string who = "the marker of writer " + std::to_string(i + 1) + " in " + family;
  const std::string key = "m" + std::to_string(i + 1);
  std::string marker;
  const Status s =
      cluster_.db()->Get(rocksdb::ReadOptions(), cluster_.handle(family), key, &marker);
  if (!s.ok() && !s.IsNotFound()) {
    verdict_->Fail("reading " + who + ": " + s.ToString());
    return false;
  }
  *number = s.ok() ? std::stoull(marker) : 0;
  const uint64_t safe = journal_.BaseNumber(family, key);
  if (*number != safe && (*number < safe || !journal_.Has(i, family, *number))) {
    verdict_->Fail(who + " is " + std::to_string(*number) + ", expected " + std::to_string(safe) +
                   " or what was written since");
    return false;
  }
  return true;
}

bool SeedRun::BelieveSpecials() {
  for (const std::string name : {kTimed, kFifo}) {
    rocksdb::ColumnFamilyHandle* handle = cluster_.handle(name);
    if (handle == nullptr) continue;
    Model::Family found;
    const Status s = name == kTimed ? ReadVersions(cluster_.db(), handle, &found)
                                    : ReadRange(cluster_.db(), handle, "", "\xff", &found);
    if (!Check(std::string("reading ") + name, s)) return false;
    const Model::Family& written = model_.families_unlocked().at(name);
    if (const std::string hole = name == kTimed ? HoleIn(found, written) : ""; !hole.empty()) {
      verdict_->Fail("timed of the leader lacks " + hole + ", but has what was written later");
      return false;
    }
    for (const auto& [key, value] : found) {
      auto it = written.find(key);
      if (it != written.end() && it->second == value) continue;
      verdict_->Fail(name + " of the leader has " + key + " with " + Describe(value) +
                     ", which was not written");
      return false;
    }
    model_.Replace(name, "", "\xff", std::move(found));
  }
  return true;
}

uint64_t SeedRun::RewindModel() {
  uint64_t lost = 0;
  std::vector<Journal::Kept> kept(writers_.size());
  for (size_t i = 0; i < writers_.size(); ++i) {
    for (const auto& [name, handle] : cluster_.handles()) {
      // A WAL is cut off at one moment for all; without one each stands at its own last flush.
      const bool memory = seed_.wal == WalKeeping::kMemory;
      if (memory && (name == kTimed || name == kFifo)) {
        kept[i][name] = UINT64_MAX;  // until BelieveSpecials
      } else if (!ReadMarker(i, memory ? name : "default", &kept[i][name])) {
        return lost;
      }
    }
  }
  model_.Restore(journal_.Rewound(kept, &lost));
  if (seed_.wal == WalKeeping::kMemory && !BelieveSpecials()) return lost;
  std::string value;
  if (cluster_.db()->Get(rocksdb::ReadOptions(), kNewKey, &value).ok()) {
    model_.Apply({{Change::Kind::kPut, "default", kNewKey, EncodePlain(value)}});
  } else {
    model_.Apply({{Change::Kind::kDelete, "default", kNewKey, ""}});
  }
  for (const auto& writer : writers_) writer->Resume();
  verdict_->Trace(std::to_string(lost) + " operations are lost");
  verdict_->totals->lost_operations += lost;
  ++verdict_->totals->rewinds;
  return lost;
}

void SeedRun::CheckOldPosition(const Position& old, uint64_t lost) {
  const Position now = cluster_.leader()->position();
  for (size_t i = 0; i < seed_.followers && !verdict_->failed(); ++i) {
    Follower* follower = cluster_.follower(i);
    if (follower == nullptr) continue;
    const std::string who = "follower " + std::to_string(i);
    if (!Check(who + " reaching " + now.ToString(), follower->WaitFor(now, kPatienceUs))) return;
    const Status s = follower->WaitFor(old, 0);
    if (!s.ok() && !s.IsAborted()) {
      verdict_->Fail(who + ": WaitFor(" + old.ToString() + ") of an older epoch: " + s.ToString());
    }
    if (s.ok() && lost > 0) {
      verdict_->Fail(who + ": WaitFor(" + old.ToString() + ") is OK, but " + std::to_string(lost) +
                     " operations before it are lost");
    }
  }
}

void SeedRun::CheckHistoryResets(const Position& old, uint64_t lost,
                                 const std::vector<std::optional<size_t>>& resets) {
  for (size_t i = 0; i < seed_.followers && !verdict_->failed(); ++i) {
    if (!resets[i]) continue;
    if (lost > 0) {
      CheckHistoryReset(i, old, *resets[i]);
    } else if (seed_.exact_sequences && seed_.wal != WalKeeping::kMemory) {
      // Without a WAL the leader knows of a safe moment, which may be a little before the last one:
      // an ingested file takes a sequence number behind it.
      FollowerSlot& slot = cluster_.slot(i);
      absl::MutexLock lock(&slot.resets_mutex);
      if (slot.resets.size() == *resets[i]) continue;
      verdict_->Fail("follower " + std::to_string(i) + " says that it went back from " +
                     slot.resets.back().shown.ToString() + " to " +
                     slot.resets.back().resumed.ToString() + ", but nothing is lost");
    }
  }
}

void SeedRun::CheckHistoryReset(size_t i, const Position& old, size_t known) {
  FollowerSlot& slot = cluster_.slot(i);
  absl::MutexLock lock(&slot.resets_mutex);
  auto told = [&] { return slot.resets.size() > known; };
  if (!slot.resets_mutex.AwaitWithTimeout(absl::Condition(&told),
                                          absl::Microseconds(kPatienceUs))) {
    return verdict_->Fail("follower " + std::to_string(i) + " had shown " + old.ToString() +
                          " and does not say that operations are taken back");
  }
  const HistoryReset& reset = slot.resets.back();
  if (reset.shown < old || reset.resumed.epoch <= old.epoch ||
      reset.resumed.sequence >= reset.shown.sequence) {
    verdict_->Fail("follower " + std::to_string(i) + " had shown " + old.ToString() +
                   " and says that it goes from " + reset.shown.ToString() + " back to " +
                   reset.resumed.ToString());
  }
}

}  // namespace slipstream::oracle
