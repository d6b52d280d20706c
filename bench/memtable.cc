// bench_memtable: the replay memtable against RocksDB's skip list, side by side in one process.
#include <stdlib.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "bench/machine.h"
#include "bench/memtable_report.h"
#include "bench/memtable_round.h"

namespace slipstream::bench {
namespace {

namespace fs = std::filesystem;
using rocksdb::Status;

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;

constexpr char kAbout[] =
    "Measures the replay memtable against RocksDB's skip list. Each round runs both, in changing\n"
    "order, in this process: databases whose memtable is never flushed, and leaders without\n"
    "followers.\n";

constexpr char kMethod[] =
    "insert  DB::Write without WAL, allow_concurrent_memtable_write = false\n"
    "leader  Write on a Leader's database, WAL on, not synced; the side with the skip list keeps\n"
    "        RocksDB's default, which inserts concurrently\n"
    "CPU     of the thread that does it; wall: from the first writer's start to the last one's "
    "end\n"
    "ratio   replay memtable / skip list, both of one round; the table has the medians over the\n"
    "        rounds, with the ranges. Below 1 the replay memtable costs less.\n";

struct Options {
  MemtableSettings settings;
  uint64_t rounds = 5;
  bool quick = false;
  std::string only;
  std::string json_file = "bench_memtable.json";
};

void Describe(CLI::App* app, Options* o) {
  MemtableSettings& settings = o->settings;
  const auto range = [](uint64_t low, uint64_t high) {
    return CLI::Range(low, high).description(std::to_string(low) + " to " + std::to_string(high));
  };
  app->add_option("--keys", settings.keys, "keys of 16 bytes in the memtable")
      ->check(range(1, 100'000'000));
  app->add_option("--value-bytes", settings.value_bytes, "size of a value")
      ->check(range(1, 1 << 20));
  app->add_option("--leader-keys", settings.leader_keys, "keys written to each leader")
      ->check(range(1, 10'000'000));
  app->add_option("--seed", settings.seed, "of the random keys")->check(range(0, 1'000'000));
  app->add_flag("--ascending", settings.ascending,
                "keys in order, with 8 bytes in common, in place of random ones");
  app->add_option("--rounds", o->rounds, "rounds")->check(range(1, 1000));
  app->add_option("--only", o->only, "\"memtable\" or \"leader\": leave the other part out")
      ->check(CLI::IsMember({"memtable", "leader"}).description(""));
  app->add_option("--json", o->json_file, "where all numbers go");
  app->add_flag("--quick", o->quick, "one round of 20000 keys: does it work at all");
}

// A directory that goes away with this object.
class TemporaryDirectory {
 public:
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Status Create() {
    std::error_code error;
    const fs::path parent = fs::temp_directory_path(error);
    if (error) return Status::IOError("directory for temporary files", error.message());
    std::string pattern = (parent / "bench_memtable.XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) return Status::IOError(pattern, strerror(errno));
    path_ = pattern;
    return Status::OK();
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void ShowProgress(uint64_t round, uint64_t rounds, Memtable side, const std::string& what) {
  const std::string line = "round " + std::to_string(round) + " of " + std::to_string(rounds) +
                           "  " + NameOf(side) + "  " + what;
  if (isatty(STDERR_FILENO) != 0) {
    std::cerr << "\r\x1b[K" << line << std::flush;
  } else {
    std::cerr << line << "\n";
  }
}

Status RunAll(const Options& o, MemtableReport* report) {
  for (uint64_t round = 1; round <= o.rounds; ++round) {
    MemtableSettings settings = o.settings;
    settings.seed += round - 1;
    MemtableResult results[2];
    for (int i = 0; i < 2; ++i) {
      // What the machine does in the course of a round hits each side in turn.
      const int side = static_cast<int>((round + static_cast<uint64_t>(i)) % 2);
      TemporaryDirectory directory;
      Status s = directory.Create();
      if (!s.ok()) return s;
      s = RunMemtableRound(
          settings, kMemtables[side], directory.path(),
          [&](const std::string& what) { ShowProgress(round, o.rounds, kMemtables[side], what); },
          &results[side]);
      if (!s.ok()) return s;
    }
    report->skip_list.push_back(std::move(results[0]));
    report->replay.push_back(std::move(results[1]));
  }
  return Status::OK();
}

int Run(const Options& o, std::vector<std::string> command_line) {
  // Asked now rather than after minutes of work; what is there stays until then.
  if (!std::ofstream(o.json_file, std::ios::app)) {
    std::cerr << "bench_memtable: " << o.json_file << ": " << strerror(errno) << "\n";
    return kExitFailure;
  }
  MemtableReport report;
  report.settings = o.settings;
  report.command_line = std::move(command_line);
  std::cout << DescribeThisRun() << std::endl;
  const Status s = RunAll(o, &report);
  if (isatty(STDERR_FILENO) != 0) std::cerr << "\n";
  if (!s.ok()) {
    std::cerr << "bench_memtable: " << s.ToString() << "\n";
    std::error_code ignored;
    if (fs::file_size(o.json_file, ignored) == 0) fs::remove(o.json_file, ignored);
    return kExitFailure;
  }
  std::cout << "\n";
  report.PrintTable(std::cout);
  std::cout << "\n" << kMethod;
  std::ofstream json_file(o.json_file);
  json_file << report.ToJson().dump(2) << "\n";
  json_file.close();
  if (!json_file) {
    std::cerr << "bench_memtable: " << o.json_file << ": could not be written\n";
    return kExitFailure;
  }
  std::cout << "\nAll numbers: " << o.json_file << std::endl;
  return 0;
}

int Main(int argc, char** argv) {
  Options o;
  CLI::App app(kAbout, "bench_memtable");
  app.footer(kMethod);
  app.option_defaults()->always_capture_default();
  Describe(&app, &o);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : kExitUsage;
  }
  if (o.quick) {
    o.rounds = 1;
    o.settings.keys = 20'000;
    o.settings.leader_keys = 5'000;
  }
  o.settings.memtable = o.only != "leader";
  o.settings.leader = o.only != "memtable";
  return Run(o, std::vector<std::string>(argv, argv + argc));
}

}  // namespace
}  // namespace slipstream::bench

int main(int argc, char** argv) { return slipstream::bench::Main(argc, argv); }
