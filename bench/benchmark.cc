#include "bench/benchmark.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "bench/machine.h"
#include "bench/node.h"

namespace slipstream::bench {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using rocksdb::Status;

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;
constexpr int kExitInterrupted = 130;

struct Options {
  uint64_t rounds = 0;
  uint64_t seed = 1;
  bool quick = false;
  std::string json_file;
  std::vector<std::string> command_line;
};

// A directory that goes away with this object.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::string& name) {
    path_ = (fs::temp_directory_path() / (name + ".XXXXXX")).string();
    if (mkdtemp(path_.data()) == nullptr) throw Failure(path_ + ": " + strerror(errno));
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

int RunChild(const Benchmark& benchmark, const std::string& settings) {
  std::unique_ptr<ChildEnd> parent;
  Status s = ChildEnd::Open(settings, &parent);
  if (!s.ok()) {
    std::cerr << s.ToString() << "\n";
    return kExitUsage;
  }
  // A failure is the parent's to tell. If it is gone there is nobody to tell.
  try {
    if (benchmark.other && parent->settings().contains("other")) {
      s = benchmark.other(parent.get());
      return s.ok() ? 0 : kExitFailure;
    }
    const auto node = parent->settings().get<NodeSettings>();
    // As top and perf show it; otherwise it would be that of the link to the program.
    const std::string kind = json(node.database.kind).get<std::string>();
    prctl(PR_SET_NAME, ("b-" + kind).c_str());
    s = RunNode(node, parent.get());
  } catch (const std::exception& e) {
    s = Status::Aborted(e.what());
  }
  if (s.ok()) return 0;
  parent->Send({{"error", s.ToString()}}).PermitUncheckedError();
  return kExitFailure;
}

void MaximizeOpenFiles() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void RunRounds(const Benchmark& benchmark, const Options& o, json* result) {
  const TemporaryDirectory directory("bench_" + benchmark.name);
  Session session(directory.path(), o.rounds, o.seed);
  for (uint64_t round = 1; round <= o.rounds; ++round) {
    session.BeginRound();
    benchmark.round(&session);
  }
  benchmark.report(&session);
  session.report().Print(std::cout);
  *result = session.report().ToJson();
  (*result)["benchmark"] = benchmark.name;
  (*result)["command_line"] = o.command_line;
  (*result)["machine"] = MachineOfThisRun();
  (*result)["versions"] = VersionsOfThisRun();
  (*result)["rounds"] = session.figures().ToJson();
}

int RunParent(const Benchmark& benchmark, const Options& o) {
  CatchSignals();
  MaximizeOpenFiles();
  // Asked now rather than after minutes of work; what is there stays until then.
  if (!std::ofstream(o.json_file, std::ios::app)) {
    throw Failure(o.json_file + ": " + strerror(errno));
  }
  std::cout << DescribeThisRun() << std::endl;
  json result;
  try {
    RunRounds(benchmark, o, &result);
  } catch (...) {
    std::error_code ignored;
    if (fs::file_size(o.json_file, ignored) == 0) fs::remove(o.json_file, ignored);
    throw;
  }
  if (isatty(STDERR_FILENO) != 0) std::cerr << "\n";
  std::cout << "\n" << benchmark.method;
  std::ofstream json_file(o.json_file);
  json_file << result.dump(1) << "\n";
  json_file.close();
  if (!json_file) throw Failure(o.json_file + ": could not be written");
  std::cout << "\nAll numbers: " << o.json_file << std::endl;
  return 0;
}

}  // namespace

void OrThrow(const Status& s) {
  if (s.ok()) return;
  if (s.IsIncomplete()) throw Interruption();
  throw Failure(s.ToString());
}

CLI::Validator Between(uint64_t low, uint64_t high) {
  return CLI::Range(low, high).description(std::to_string(low) + " to " + std::to_string(high));
}

void Session::Progress(const std::string& what) const {
  const std::string line =
      "round " + std::to_string(round_) + " of " + std::to_string(rounds_) + "  " + what;
  if (isatty(STDERR_FILENO) != 0) {
    std::cerr << "\r\x1b[K" << line << std::flush;
  } else {
    std::cerr << line << "\n";
  }
}

void Session::Alternate(size_t count, const std::function<void(size_t)>& side) const {
  for (size_t i = 0; i < count; ++i) {
    if (Interrupted()) throw Interruption();
    side((i + round_ - 1) % count);
  }
}

int Main(Benchmark benchmark, int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == kChildArgument) return RunChild(benchmark, argv[2]);
  const std::string program = "bench_" + benchmark.name;
  Options o;
  o.rounds = benchmark.rounds;
  o.json_file = program + ".json";
  o.command_line.assign(argv, argv + argc);
  CLI::App app(benchmark.about, program);
  app.footer(benchmark.method);
  app.option_defaults()->always_capture_default();
  app.add_option("--rounds", o.rounds, "rounds")->check(Between(1, 1000));
  app.add_option("--seed", o.seed, "of the random keys and values")->check(Between(0, 1'000'000));
  benchmark.options(&app);
  app.add_option("--json", o.json_file, "where all numbers go");
  app.add_flag("--quick", o.quick, "one round of a few seconds: does it work at all");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : kExitUsage;
  }
  if (o.quick) {
    o.rounds = 1;
    benchmark.quick();
  }
  try {
    return RunParent(benchmark, o);
  } catch (const Interruption&) {
    std::cerr << "\n" << program << ": interrupted\n";
    return kExitInterrupted;
  } catch (const std::exception& e) {
    std::cerr << "\n" << program << ": " << e.what() << "\n";
    return kExitFailure;
  }
}

}  // namespace slipstream::bench
