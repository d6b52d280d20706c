// Benchmark: what the programs have in common: options, rounds, progress, report, exit codes.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

#include "bench/child_process.h"
#include "bench/figures.h"
#include "rocksdb/status.h"

namespace slipstream::bench {

// Ends the program with a message.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
// Ctrl-C and the like.
class Interruption : public std::runtime_error {
 public:
  Interruption() : std::runtime_error("interrupted") {}
};
void OrThrow(const rocksdb::Status& s);

// What one run of a program knows.
// Threads: one.
class Session {
 public:
  // Removed, with all that is in it, when the program ends.
  Session(std::string directory, uint64_t rounds, uint64_t seed)
      : directory_(std::move(directory)), rounds_(rounds), seed_(seed) {}

  // What is done now, for the line that tells how far the run is: rewritten on a terminal.
  void Progress(const std::string& what) const;

  const std::string& directory() const { return directory_; }
  uint64_t round() const { return round_; }  // from 1 on
  bool is_last_round() const { return round_ == rounds_; }
  // Another one in each round.
  uint64_t seed() const { return seed_ + round_ - 1; }
  Figures& figures() { return figures_; }
  Report& report() { return report_; }

  void BeginRound() {
    ++round_;
    figures_.BeginRound();
  }

  // Calls `side` with 0 to count - 1, beginning with another one in each round, so that what the
  // machine does in the course of a round hits each side in turn.
  void Alternate(size_t count, const std::function<void(size_t)>& side) const;

 private:
  const std::string directory_;
  const uint64_t rounds_;
  const uint64_t seed_;
  uint64_t round_ = 0;
  Figures figures_;
  Report report_;
};

struct Benchmark {
  std::string name;    // "lag" of bench_lag
  std::string about;   // what is measured
  std::string method;  // what the figures mean
  uint64_t rounds = 3;
  std::function<void(CLI::App*)> options;
  // Makes the settings small: does it work at all. One round follows.
  std::function<void()> quick;
  std::function<void(Session*)> round;
  // After the last round: fills session->report().
  std::function<void(Session*)> report;
  // What a process of this program does that is not a node: one whose settings have "other".
  std::function<rocksdb::Status(ChildEnd*)> other = nullptr;
};

// The main function of a program. Exit codes: 0, 1 = failed, 2 = usage, 130 = interrupted.
int Main(Benchmark benchmark, int argc, char** argv);

// Bounds of a number, as the help shows them.
CLI::Validator Between(uint64_t low, uint64_t high);

}  // namespace slipstream::bench
