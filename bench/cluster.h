// Cluster: the processes of one side in one round, from their start to the comparison of what they
// hold.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/benchmark.h"
#include "bench/child_process.h"
#include "bench/database.h"
#include "bench/load.h"
#include "bench/marker_board.h"
#include "bench/node.h"
#include "bench/writer.h"

namespace slipstream::bench {

// One process of it.
struct Process {
  std::unique_ptr<ChildProcess> child;
  Kind kind = Kind::kPlain;
  uint64_t started_ns = 0;  // NowNs before the process was made
  uint64_t opened_ns = 0;   // when it had done its first Get
};

// All methods throw Failure if a process dies, reports an error or does not answer within minutes.
// Threads: one.
class Cluster {
 public:
  // session: outlives this object.
  // name: of the side, for progress and messages; with that of the round, of the directory.
  // database: as for all its processes; kind, directories, name and port are filled in here.
  // markers, readers: of the marker board; 0 markers = none.
  Cluster(Session* session, const std::string& name, DatabaseSettings database,
          uint64_t markers = 0, uint64_t readers = 0);
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  // Kills what still runs, and removes the directory.
  ~Cluster();

  Process* StartWriter(Kind kind, int core = -1);
  // watch_period_us: see WatchSettings. Readers are rows 0, 1, ... of the board.
  Process* StartReader(Kind kind, uint64_t watch_period_us = 0, int core = -1);

  // Sends a command and waits for the answer.
  nlohmann::json Ask(Process* process, const nlohmann::json& command);
  // The two halves of it.
  void Send(Process* process, const nlohmann::json& command);
  nlohmann::json Receive(Process* process);

  WriterResult Write(const Load& load);
  void Flush() { Ask(writer(), {{"do", "flush"}}); }

  // Every reader must hold what the writer holds. Throws Failure for a follower that does not;
  // returns false if a peer of another kind does not, for that is not ours to judge.
  bool Compare();
  // Ends the reader that was started last.
  void QuitReader();
  // Ends all processes in order. Throws Failure if one of them ends with an error.
  void Quit();

  Process* writer() { return processes_.front().get(); }
  const MarkerBoard& board() const { return board_; }
  const std::string& directory() const { return directory_; }
  // Has the port of the writer once that runs.
  const DatabaseSettings& settings() const { return settings_; }

 private:
  Process* Start(const std::string& name, NodeSettings settings);
  rocksdb::Status Tick();

  Session* const session_;
  const std::string name_;
  const std::string directory_;
  DatabaseSettings settings_;
  MarkerBoard board_;
  uint64_t markers_;
  uint64_t readers_;
  std::vector<std::unique_ptr<Process>> processes_;  // the writer first
};

// A command that carries on what a writer reached.
nlohmann::json UpTo(const char* command, const WriterResult& written);

}  // namespace slipstream::bench
