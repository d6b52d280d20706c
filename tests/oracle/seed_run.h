// One seed from its first write to the last check.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/oracle/cluster.h"
#include "tests/oracle/journal.h"
#include "tests/oracle/maintenance.h"
#include "tests/oracle/model.h"
#include "tests/oracle/random.h"
#include "tests/oracle/reader.h"
#include "tests/oracle/seed_options.h"
#include "tests/oracle/verdict.h"
#include "tests/oracle/workload.h"

namespace slipstream::oracle {

// The conductor: starts and pauses writers, restarts leader and followers, asks for checkpoints.
// Threads: one; writers run on threads of their own during a phase, readers all the time.
class SeedRun {
 public:
  // directory: exists and is empty.
  SeedRun(const RunOptions& run, const SeedOptions& seed, std::string directory, Verdict* verdict);
  ~SeedRun();

  // What is found goes to the verdict.
  void Run();

 private:
  bool Begin();
  // The leader was opened: notes what is safe, for seeds whose leader may lose some of the rest.
  void NoteOpened();
  // Writers write `operations` altogether while maintenance goes on.
  // show_at_end: that followers which were cut off have caught up when this returns.
  void Phase(uint64_t operations, bool show_at_end);
  void DisturbNetwork();
  // Starts followers that are closed, closes others.
  void ChangeFollowers();
  void RestartFollower(size_t i);
  bool OpenFollower(size_t i);
  void StartReaders(size_t i);

  void RestartLeader();
  // A crash after which the leader has what RocksDB says.
  void CrashLeader();
  // Waits until some of the followers show `old`; notes how often they had gone back before.
  bool LetSomeShow(const Position& old, std::vector<std::optional<size_t>>* resets);
  // A phase that ends with a crash which loses the end of the newest WAL.
  void LoseTail(uint64_t operations);
  bool DamageWal(const std::pair<std::string, uint64_t>& before, std::string* saved,
                 std::string* path);
  bool ReopenDamaged(const std::string& saved, const std::string& path);
  // Rebuilds the model from what the reopened leader says it has. Returns how many operations are
  // lost.
  uint64_t RewindModel();
  // Takes the leader's word for families that have no markers, as far as it was written once.
  // Returns false if it was not.
  bool BelieveSpecials();
  // How far a family of the leader is, by writer `i`.
  bool ReadMarker(size_t i, const std::string& family, uint64_t* number);
  void CheckOldPosition(const Position& old, uint64_t lost);
  // resets: of followers that had shown `old`.
  void CheckHistoryResets(const Position& old, uint64_t lost,
                          const std::vector<std::optional<size_t>>& resets);
  // A follower that had shown `old`, of which operations are lost, has to say so.
  // known: how many times it had said such a thing before.
  void CheckHistoryReset(size_t i, const Position& old, size_t known);
  void End();

  std::vector<Target> BaseTargets() const;
  bool Check(const std::string& what, const rocksdb::Status& s);

  const RunOptions& run_;
  const SeedOptions& seed_;
  Verdict* const verdict_;
  Random random_;
  Model model_;
  Cluster cluster_;
  Journal journal_;
  Maintenance maintenance_;
  std::vector<std::unique_ptr<Writer>> writers_;
  // By slot of the follower.
  std::vector<std::vector<std::unique_ptr<Reader>>> readers_;
};

}  // namespace slipstream::oracle
