// bench_replication: what replication costs and how far it lags behind, measured between processes
// against plain RocksDB and RocksDB's own secondary in the same run.
//
//   main process   alternates the sides, starts their processes, gathers the numbers
//   writer process a plain RocksDB, or a leader      (replication_writer)
//   reader process a follower, or a stock secondary  (replication_reader)
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "bench/child_process.h"
#include "bench/machine.h"
#include "bench/replication_report.h"
#include "bench/replication_round.h"

namespace slipstream::bench {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using rocksdb::Status;

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;
constexpr int kExitInterrupted = 130;

constexpr char kAbout[] =
    "Measures what replication costs and how far it lags behind, between processes of this\n"
    "machine. Each round runs every side once, in changing order:\n"
    "  plain      RocksDB alone, the same options, no Slipstream\n"
    "  leader     a leader without followers\n"
    "  followers  a leader, and followers in processes of their own\n"
    "  secondary  plain RocksDB, and DB::OpenAsSecondary in another process\n";

constexpr char kMethod[] =
    "lag     from the moment Put returned in the writer until a thread of the reading process\n"
    "        gets that value or a newer one. About every millisecond a Put is such a marker. A\n"
    "        follower's thread looks every --look-us; a secondary's after each catch-up.\n"
    "CPU     user and system time of the process, per million keys written; background flushes\n"
    "        and compactions included, the writer's sleeps for the rate not. A follower's is\n"
    "        without the thread that looks; a secondary's without the looks and sleeps, with\n"
    "        TryCatchUpWithPrimary.\n"
    "ratio   of the two sides of one round; the table has the median over the rounds and the\n"
    "        range. After each round a follower must hold exactly what the leader holds.\n";

struct Options {
  RoundSettings round;
  double seconds = 5;
  uint64_t rounds = 5;
  uint64_t write_buffer_mib = 64;
  bool quick = false;
  std::string json_file = "bench_replication.json";
  std::vector<std::string> sides;
};

std::vector<std::string> NamesOfSides() {
  std::vector<std::string> names;
  for (Side side : kSides) names.emplace_back(NameOf(side));
  return names;
}

void Describe(CLI::App* app, Options* o) {
  ReplicationLoad& load = o->round.load;
  const auto range = [](uint64_t low, uint64_t high) {
    return CLI::Range(low, high).description(std::to_string(low) + " to " + std::to_string(high));
  };
  app->add_option("--rate", load.rate, "keys written per second; 0 = as fast as possible")
      ->check(range(0, 10'000'000));
  app->add_option("--batch", load.batch, "keys in a write")->check(range(1, 100'000));
  app->add_option("--keys", load.key_space, "different keys, of 16 bytes")
      ->check(range(1, 10'000'000'000));
  app->add_option("--value-bytes", load.value_bytes, "size of a value")->check(range(0, 1 << 20));
  app->add_option("--write-buffer-mib", o->write_buffer_mib, "write_buffer_size, in MiB")
      ->check(range(1, 4096));
  app->add_option("--preload", load.preload, "keys written and flushed before each round")
      ->check(range(0, 1'000'000'000));
  app->add_option("--seed", load.seed, "of the random keys and values");
  app->add_option("--rounds", o->rounds, "rounds")->check(range(1, 1000));
  app->add_option("--seconds", o->seconds, "length of a round, for each side")
      ->check(CLI::Range(0.1, 600.0).description("0.1 to 600"));
  app->add_option("--followers", o->round.followers, "follower processes")->check(range(1, 64));
  app->add_option("--batch-delay-us", o->round.max_batch_delay_us,
                  "LeaderOptions::max_batch_delay_us")
      ->check(range(0, 100'000));
  app->add_option("--look-us", o->round.look_us,
                  "pause between a follower's looks at the marker (nanosleep); 0 = a tight loop")
      ->check(range(0, 1'000'000));
  app->add_option("--catch-up-us", o->round.catch_up_us,
                  "period of a secondary's TryCatchUpWithPrimary")
      ->check(range(1, 1'000'000));
  app->add_option("--sides", o->sides, "only these, as a comma-separated list")
      ->delimiter(',')
      ->check(CLI::IsMember(NamesOfSides()).description(""))
      ->type_name("LIST");
  app->add_option("--json", o->json_file, "where all numbers go");
  app->add_flag("--quick", o->quick, "one round of one second: does it work at all");
}

// The line that tells how far the run is: rewritten on a terminal, else one for each side.
class ProgressLine {
 public:
  ProgressLine(uint64_t rounds, const char* side, uint64_t round)
      : on_terminal_(isatty(STDERR_FILENO) != 0),
        start_("round " + std::to_string(round) + " of " + std::to_string(rounds) + "  " + side) {
    if (on_terminal_) Rewrite(start_ + "  starting");
  }

  void Show(const RoundProgress& p) {
    std::ostringstream line;
    line << start_ << "  " << std::fixed << std::setprecision(0) << p.keys_per_second << " keys/s";
    if (p.lag_p50_us >= 0) line << "  lag p50 " << p.lag_p50_us << " us";
    last_ = line.str();
    if (on_terminal_) Rewrite(last_);
  }

  void End() { std::cerr << (on_terminal_ ? "\n" : last_ + "\n") << std::flush; }

 private:
  static void Rewrite(const std::string& text) { std::cerr << "\r\x1b[K" << text << std::flush; }

  const bool on_terminal_;
  const std::string start_;
  std::string last_;
};

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
    std::string pattern = (parent / "bench_replication.XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) return Status::IOError(pattern, strerror(errno));
    path_ = pattern;
    return Status::OK();
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Status RunAll(const Options& o, ReplicationReport* report) {
  TemporaryDirectory directory;
  Status s = directory.Create();
  for (uint64_t round = 1; s.ok() && round <= o.rounds; ++round) {
    std::vector<Side> sides;
    for (Side side : kSides) {
      if (std::find(o.sides.begin(), o.sides.end(), NameOf(side)) != o.sides.end()) {
        sides.push_back(side);
      }
    }
    // What the machine does in the course of a round hits each side in turn.
    std::rotate(sides.begin(), sides.begin() + static_cast<long>((round - 1) % sides.size()),
                sides.end());
    for (Side side : sides) {
      ProgressLine line(o.rounds, NameOf(side), round);
      RoundSettings settings = o.round;
      settings.load.seed += round - 1;
      const std::string path = directory.path() + "/" + NameOf(side);
      RoundResult result;
      result.round = round;
      {
        ReplicationRound run(settings, side, path, [&](const RoundProgress& p) { line.Show(p); });
        s = run.Run(&result);
      }
      line.End();
      if (!s.ok()) return s;
      report->rounds.push_back(std::move(result));
      std::error_code ignored;
      fs::remove_all(path, ignored);
    }
  }
  return s;
}

int RunParent(const Options& o, std::vector<std::string> command_line) {
  CatchSignals();
  // Asked now rather than after minutes of work; what is there stays until then.
  if (!std::ofstream(o.json_file, std::ios::app)) {
    std::cerr << "bench_replication: " << o.json_file << ": " << strerror(errno) << "\n";
    return kExitFailure;
  }
  ReplicationReport report;
  report.settings = o.round;
  report.command_line = std::move(command_line);
  std::cout << DescribeThisRun() << std::endl;
  const Status s = RunAll(o, &report);
  std::error_code ignored;
  if (!s.ok() && fs::file_size(o.json_file, ignored) == 0) fs::remove(o.json_file, ignored);
  if (s.IsIncomplete()) {
    std::cerr << "bench_replication: interrupted\n";
    return kExitInterrupted;
  }
  if (!s.ok()) {
    std::cerr << "bench_replication: " << s.ToString() << "\n";
    return kExitFailure;
  }
  std::cout << "\n";
  report.PrintTable(std::cout);
  std::cout << "\n" << kMethod;
  std::ofstream json_file(o.json_file);
  json_file << report.ToJson().dump(2) << "\n";
  json_file.close();
  if (!json_file) {
    std::cerr << "bench_replication: " << o.json_file << ": could not be written\n";
    return kExitFailure;
  }
  std::cout << "\nAll numbers: " << o.json_file << std::endl;
  return 0;
}

int RunChild(const std::string& settings) {
  std::unique_ptr<ChildEnd> parent;
  Status s = ChildEnd::Open(settings, &parent);
  if (!s.ok()) {
    std::cerr << "bench_replication: " << s.ToString() << "\n";
    return kExitUsage;
  }
  // As top and perf show it; otherwise it would be that of the link to the program.
  prctl(PR_SET_NAME, ("bench-" + parent->settings().value("role", "")).c_str());
  const json& with = parent->settings()["with"];
  if (parent->settings()["role"] == "writer") {
    s = RunWriter(with.get<WriterSettings>(), parent.get());
  } else {
    s = RunReader(with.get<ReaderSettings>(), parent.get());
  }
  if (s.ok()) return 0;
  // If the parent is gone there is nobody to tell.
  parent->Send({{"error", s.ToString()}}).PermitUncheckedError();
  return kExitFailure;
}

int Main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == kChildArgument) return RunChild(argv[2]);
  Options o;
  o.sides = NamesOfSides();
  CLI::App app(kAbout, "bench_replication");
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
    o.seconds = 1;
  }
  o.round.load.duration_ms = static_cast<uint64_t>(o.seconds * 1000);
  o.round.load.write_buffer_bytes = o.write_buffer_mib << 20;
  return RunParent(o, std::vector<std::string>(argv, argv + argc));
}

}  // namespace
}  // namespace slipstream::bench

int main(int argc, char** argv) { return slipstream::bench::Main(argc, argv); }
