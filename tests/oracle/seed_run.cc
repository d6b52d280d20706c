#include "tests/oracle/seed_run.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "tests/oracle/checks.h"
#include "tests/oracle/families.h"

namespace slipstream::oracle {

using rocksdb::Status;

SeedRun::SeedRun(const RunOptions& run, const SeedOptions& seed, std::string directory,
                 Verdict* verdict)
    : run_(run),
      seed_(seed),
      verdict_(verdict),
      random_(seed.seed ^ 0x5eedu),
      cluster_(seed, std::move(directory), verdict),
      journal_(seed.writers),
      maintenance_(run, seed, &cluster_, &model_, &journal_, &random_, verdict),
      readers_(seed.followers) {
  for (size_t i = 0; i < seed.writers; ++i) {
    writers_.push_back(
        std::make_unique<Writer>(i + 1, seed, &cluster_, &model_, &journal_, verdict));
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
      Phase(operations, true);
    }
    if (random_.OneIn(2)) maintenance_.DoOneAlone();
    if (seed_.db.atomic_flush && random_.OneIn(2)) maintenance_.FlushAlone();
    if (random_.OneIn(2)) Checkpoint(&cluster_, &model_, &random_, verdict_);
    if (random_.OneIn(2)) CompareSettled(&cluster_, &model_, verdict_);
    if (random_.OneIn(4)) RestartLeader();
    if (random_.OneIn(3)) ChangeFollowers();
  }
  End();
}

bool SeedRun::Begin() {
  if (!Check("opening the leader", cluster_.OpenLeader(&random_))) return false;
  for (const auto& [name, handle] : cluster_.handles()) model_.AddFamily(name);
  for (const auto& writer : writers_) writer->OpenAccounts(BaseTargets());
  // Readers expect the accounts from the beginning.
  if (seed_.wal == WalKeeping::kMemory && !Check("first flush", cluster_.FlushAll())) return false;
  if (!Check("FlushWAL", cluster_.PublishWrites())) return false;
  NoteOpened();
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

void SeedRun::NoteOpened() {
  if (seed_.wal != WalKeeping::kDisk) journal_.Start(model_.Copy());
}

void SeedRun::Phase(uint64_t operations, bool show_at_end) {
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
  std::vector<Target> specials;
  for (const std::string& name : SpecialFamilies(seed_)) {
    specials.push_back({name, cluster_.handle(name)});
  }
  for (const auto& writer : writers_) writer->SetSpecials(specials);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < writers_.size(); ++i) {
    const uint64_t n = operations / writers_.size() + (i == 0 ? operations % writers_.size() : 0);
    threads.emplace_back([this, i, n, &targets] { writers_[i]->Run(n, targets); });
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
  // What is read from here on comes from a generation whose files were kept all the time. Before a
  // restart of the leader that is so in any case.
  if (disturbed && show_at_end) ShowSomethingNew(&cluster_, &model_, verdict_);
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
        "reader " + std::to_string(r) + " of follower " + std::to_string(i), seed_, i,
        random_.Next(), cluster_.follower(i), &cluster_.leader_epoch(), verdict_));
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
