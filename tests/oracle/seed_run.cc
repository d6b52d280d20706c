#include "tests/oracle/seed_run.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>
#include <utility>

#include "tests/oracle/checks.h"

namespace slipstream::oracle {

using rocksdb::Status;

SeedRun::SeedRun(const RunOptions& run, const SeedOptions& seed, std::string directory,
                 Verdict* verdict)
    : run_(run),
      seed_(seed),
      verdict_(verdict),
      random_(seed.seed ^ 0x5eedu),
      cluster_(seed, std::move(directory), verdict),
      maintenance_(run, seed, &cluster_, &model_, &random_, verdict),
      readers_(seed.followers) {
  for (size_t i = 0; i < seed.writers; ++i) {
    writers_.push_back(std::make_unique<Writer>(i + 1, seed, &cluster_, &model_, verdict));
  }
}

SeedRun::~SeedRun() { readers_.clear(); }

bool SeedRun::Check(const std::string& what, const Status& s) {
  verdict_->Trace(what + " -> " + s.ToString());
  if (!s.ok()) verdict_->Fail(what + ": " + s.ToString());
  return s.ok();
}

void SeedRun::Run() {
  if (!Begin()) return;
  uint64_t left = run_.operations;
  while (left > 0 && !verdict_->failed()) {
    const uint64_t operations = std::min(left, random_.Skewed(20, 1000));
    left -= operations;
    if (seed_.lost_tails && random_.OneIn(2)) {
      LoseTail(operations);
    } else {
      Phase(operations, nullptr);
    }
    if (random_.OneIn(2)) maintenance_.DoOneAlone();
    if (seed_.db.atomic_flush && random_.OneIn(2)) maintenance_.FlushAlone();
    if (random_.OneIn(2)) Checkpoint(&cluster_, &model_, &random_, verdict_);
    if (random_.OneIn(4)) RestartLeader();
    if (random_.OneIn(3)) ChangeFollowers();
  }
  End();
}

bool SeedRun::Begin() {
  if (!Check("opening the leader", cluster_.OpenLeader(&random_))) return false;
  for (const auto& [name, handle] : cluster_.handles()) model_.AddFamily(name);
  for (const auto& writer : writers_) writer->OpenAccounts(BaseTargets());
  for (size_t i = 0; i < seed_.followers; ++i) {
    // Some come later.
    if (random_.OneIn(3)) continue;
    if (!OpenFollower(i)) return false;
  }
  return !verdict_->failed();
}

std::vector<Target> SeedRun::BaseTargets() const {
  std::vector<Target> targets;
  for (size_t i = 0; i < seed_.families; ++i) {
    targets.push_back({BaseFamily(i), cluster_.handle(BaseFamily(i))});
  }
  return targets;
}

void SeedRun::Phase(uint64_t operations, std::vector<Writer::Journal>* journals) {
  std::vector<Target> targets = BaseTargets();
  std::vector<std::string> reserved;
  for (const auto& [name, handle] : cluster_.handles()) {
    if (!name.starts_with("extra")) continue;
    if (random_.OneIn(2)) {
      reserved.push_back(name);
    } else {
      targets.push_back({name, handle});
    }
  }
  std::vector<std::thread> threads;
  for (size_t i = 0; i < writers_.size(); ++i) {
    Writer::Journal* journal = journals == nullptr ? nullptr : &(*journals)[i];
    const uint64_t n = operations / writers_.size() + (i == 0 ? operations % writers_.size() : 0);
    threads.emplace_back(
        [this, i, n, &targets, journal] { writers_[i]->Run(n, targets, journal); });
  }
  bool disturbed = false;
  const uint64_t maintenance = random_.Below(2 + operations / 100);
  for (uint64_t i = 0; i < maintenance && !verdict_->failed(); ++i) {
    maintenance_.DoOne(reserved);
    if (random_.OneIn(3)) DisturbNetwork();
    if (random_.OneIn(12) && run_.Allows("follower-restart")) {
      disturbed |= cluster_.network()->Heal();  // none opens without its leader
      RestartFollower(random_.Below(seed_.followers));
    }
  }
  // Before the writers end: they wait for followers to show what they wrote.
  disturbed |= cluster_.network()->Heal();
  for (std::thread& thread : threads) thread.join();
  // What is read from here on comes from a generation whose files were kept all the time. After a
  // phase with journals that is so because a restart of the leader follows.
  if (disturbed && journals == nullptr) ShowSomethingNew(&cluster_, &model_, verdict_);
}

void SeedRun::DisturbNetwork() {
  const std::string what = cluster_.network()->Disturb(&random_);
  if (what.empty()) return;
  verdict_->Trace(what);
  ++verdict_->totals->network_faults;
}

void SeedRun::StartReaders(size_t i) {
  if (!run_.Allows("readers")) return;
  for (size_t r = 0; r < seed_.readers_per_follower; ++r) {
    readers_[i].push_back(std::make_unique<Reader>(
        "reader " + std::to_string(r) + " of follower " + std::to_string(i), seed_, random_.Next(),
        cluster_.follower(i), &cluster_.leader_epoch(), verdict_));
  }
}

bool SeedRun::OpenFollower(size_t i) {
  if (!Check("opening follower " + std::to_string(i), cluster_.OpenFollower(i, &random_))) {
    return false;
  }
  StartReaders(i);
  return true;
}

void SeedRun::RestartFollower(size_t i) {
  readers_[i].clear();
  if (cluster_.follower(i) != nullptr) {
    verdict_->Trace("closing follower " + std::to_string(i));
    cluster_.CloseFollower(i, random_.OneIn(2));
  }
  OpenFollower(i);
}

void SeedRun::ChangeFollowers() {
  const size_t i = random_.Below(seed_.followers);
  if (cluster_.follower(i) == nullptr) {
    OpenFollower(i);
  } else if (run_.Allows("follower-restart")) {
    readers_[i].clear();
    verdict_->Trace("closing follower " + std::to_string(i));
    cluster_.CloseFollower(i, random_.OneIn(2));
    if (random_.OneIn(2)) OpenFollower(i);
  }
}

void SeedRun::RestartLeader() {
  if (!run_.Allows("leader-restart") || verdict_->failed()) return;
  const Position old = cluster_.leader()->position();
  const bool crash = random_.OneIn(2);
  if (!Check(crash ? "crash of the leader" : "closing the leader",
             cluster_.CloseLeader(crash ? CloseStyle::kCrash : CloseStyle::kOrderly,
                                  random_.OneIn(2)))) {
    return;
  }
  if (!Check("opening the leader again", cluster_.OpenLeader(&random_))) return;
  ++(crash ? verdict_->totals->leader_crashes : verdict_->totals->leader_restarts);
  if (random_.OneIn(2)) {
    CheckOldPosition(old, 0);
    Checkpoint(&cluster_, &model_, &random_, verdict_);
  }
}

void SeedRun::LoseTail(uint64_t operations) {
  const std::pair<std::string, uint64_t> before = cluster_.NewestWal();
  Model::Families base = model_.Copy();
  std::vector<uint64_t> written;
  for (const auto& writer : writers_) written.push_back(writer->written());
  std::vector<Writer::Journal> journals(writers_.size());
  Phase(operations, &journals);
  if (verdict_->failed()) return;

  const Position old = cluster_.leader()->position();
  std::vector<std::optional<size_t>> resets(seed_.followers);
  for (size_t i = 0; i < seed_.followers; ++i) {
    Follower* follower = cluster_.follower(i);
    // One that has shown everything will have to take it back.
    if (follower == nullptr || !random_.OneIn(2)) continue;
    if (!Check("waiting before the crash", follower->WaitFor(old, kPatienceUs))) return;
    FollowerSlot& slot = cluster_.slot(i);
    absl::MutexLock lock(&slot.resets_mutex);
    resets[i] = slot.resets.size();
  }
  if (!Check("crash of the leader", cluster_.CloseLeader(CloseStyle::kCrash, random_.OneIn(2)))) {
    return;
  }
  std::string saved, path;
  if (!DamageWal(before, &saved, &path)) return;
  if (!ReopenDamaged(saved, path)) return;
  ++verdict_->totals->leader_crashes;
  const uint64_t lost = RewindModel(std::move(base), written, journals);
  verdict_->Trace(std::to_string(lost) + " operations are lost");
  verdict_->totals->lost_operations += lost;
  CheckOldPosition(old, lost);
  for (size_t i = 0; i < seed_.followers && lost > 0; ++i) {
    if (resets[i]) CheckHistoryReset(i, old, *resets[i]);
  }
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

uint64_t SeedRun::RewindModel(Model::Families base, const std::vector<uint64_t>& written_before,
                              const std::vector<Writer::Journal>& journals) {
  uint64_t lost = 0;
  model_.Restore(std::move(base));
  for (size_t i = 0; i < writers_.size(); ++i) {
    std::string marker;
    const Status s =
        cluster_.db()->Get(rocksdb::ReadOptions(), "m" + std::to_string(i + 1), &marker);
    if (!s.ok()) {
      verdict_->Fail("reading the marker of writer " + std::to_string(i + 1) + ": " + s.ToString());
      return lost;
    }
    const uint64_t written = std::stoull(marker);
    if (written < written_before[i] || written > written_before[i] + journals[i].size()) {
      verdict_->Fail("the leader has " + marker + " operations of writer " + std::to_string(i + 1) +
                     ", expected " + std::to_string(written_before[i]) + " to " +
                     std::to_string(written_before[i] + journals[i].size()));
      return lost;
    }
    const uint64_t kept = written - written_before[i];
    for (uint64_t j = 0; j < kept; ++j) model_.Apply(journals[i][j]);
    lost += journals[i].size() - kept;
    writers_[i]->Rewind(written);
  }
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

void SeedRun::End() {
  Checkpoint(&cluster_, &model_, &random_, verdict_);
  readers_.clear();
  if (verdict_->failed()) return;
  for (size_t i = 0; i < seed_.followers; ++i) cluster_.CloseFollower(i, true);
  // With no follower left, only a lease keeps files; so a short one, and what the first opening
  // forgot must not be forgotten by the second.
  cluster_.set_follower_lease_ms(100);
  if (!Check("closing the leader at the end",
             cluster_.CloseLeader(CloseStyle::kOrderly, random_.OneIn(2)))) {
    return;
  }
  if (!Check("opening the leader at the end", cluster_.OpenLeader(&random_))) return;
  CheckNothingLeaks(&cluster_, verdict_);
  Checkpoint(&cluster_, &model_, &random_, verdict_);
  Check("closing the leader for good", cluster_.CloseLeader(CloseStyle::kOrderly, false));
}

}  // namespace slipstream::oracle
