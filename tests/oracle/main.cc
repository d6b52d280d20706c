// oracle: compares followers with their leader, and the leader with a model, under random
// workloads. Each seed is a history of its own, which can be replayed.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <random>
#include <sstream>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/oracle/seed_run.h"

namespace slipstream::oracle {
namespace {

struct CommandLine {
  uint64_t seed = 0;
  bool seed_given = false;
  uint64_t seeds = 0;  // 0 = as many as `seconds` allow
  uint64_t seconds = 0;
  RunOptions run;
};

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

void PrintHelp() {
  printf(
      "Usage: oracle [options]\n"
      "  --seed N        the first seed; default: a random one, which is printed\n"
      "  --seeds N       how many seeds to run, one after the other; default: 1\n"
      "  --seconds N     run seeds until this many seconds have passed\n"
      "  --operations N  write operations of a seed; default: 4000\n"
      "  --followers N   default: two or three, as the seed chooses\n"
      "  --without LIST  kinds of operations to leave out, separated by commas:\n"
      "                  %s\n"
      "  --keep          do not remove the directory of a seed that failed\n"
      "  --verbose       print the options of each seed\n"
      "Exits with 0 if no check failed, 1 if one did, 2 for a wrong command line.\n",
      Join(KindsThatCanBeLeftOut()).c_str());
}

bool ParseNumber(const char* text, uint64_t* number) {
  const auto [end, error] = std::from_chars(text, text + strlen(text), *number);
  return error == std::errc() && *end == '\0' && end != text;
}

bool ParseKinds(const std::string& text, const std::vector<std::string>& known,
                std::set<std::string>* kinds) {
  std::stringstream in(text);
  for (std::string kind; std::getline(in, kind, ',');) {
    if (std::find(known.begin(), known.end(), kind) == known.end()) {
      fprintf(stderr, "oracle: unknown kind of operation: %s\n", kind.c_str());
      return false;
    }
    kinds->insert(kind);
  }
  return true;
}

// Returns -1 to go on, or the exit code.
int Parse(int argc, char** argv, CommandLine* out) {
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    uint64_t followers = 0;
    bool ok = true;
    if (option == "--help") {
      PrintHelp();
      return 0;
    } else if (option == "--verbose") {
      out->run.verbose = true;
    } else if (option == "--keep") {
      out->run.keep = true;
    } else if (i + 1 == argc) {
      ok = false;
    } else if (option == "--without") {
      ok = ParseKinds(argv[++i], KindsThatCanBeLeftOut(), &out->run.without);
    } else if (option == "--seed") {
      ok = out->seed_given = ParseNumber(argv[++i], &out->seed);
    } else if (option == "--seeds") {
      ok = ParseNumber(argv[++i], &out->seeds);
    } else if (option == "--seconds") {
      ok = ParseNumber(argv[++i], &out->seconds);
    } else if (option == "--operations") {
      ok = ParseNumber(argv[++i], &out->run.operations);
    } else if (option == "--followers") {
      ok = ParseNumber(argv[++i], &followers) && followers > 0;
      out->run.followers = followers;
    } else {
      ok = false;
    }
    if (!ok) {
      fprintf(stderr, "oracle: bad option: %s; see --help\n", option.c_str());
      return 2;
    }
  }
  if (!out->seed_given) out->seed = std::random_device()();
  if (out->seeds == 0 && out->seconds == 0) out->seeds = 1;
  return -1;
}

std::string ReplayCommand(const CommandLine& line, uint64_t seed) {
  std::string text = "oracle --seed " + std::to_string(seed) + " --operations " +
                     std::to_string(line.run.operations);
  if (line.run.followers != 0) text += " --followers " + std::to_string(line.run.followers);
  if (!line.run.without.empty()) {
    text += " --without " +
            Join(std::vector<std::string>(line.run.without.begin(), line.run.without.end()));
  }
  return text;
}

// For the end of the process by a failed assertion of RocksDB.
char replay_on_abort[512];
void OnAbort(int signal_number) {
  const ssize_t ignored = write(STDERR_FILENO, replay_on_abort, strlen(replay_on_abort));
  (void)ignored;
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

void PrintTotals(const Totals& t, double seconds) {
  auto n = [](const std::atomic<uint64_t>& counter) {
    return static_cast<unsigned long long>(counter.load());
  };
  printf(
      "%.0f s: %llu seeds, %llu operations (%llu changes), %llu maintenance; %llu checkpoints, "
      "%llu comparisons of a column family (%llu entries), %llu read-your-writes\n",
      seconds, n(t.seeds), n(t.operations), n(t.keys_written), n(t.maintenance), n(t.checkpoints),
      n(t.family_comparisons), n(t.entries_compared), n(t.read_your_writes));
  printf(
      "  readers: %llu checks, %llu snapshots, %llu held (%llu over a swap, %llu over an epoch, "
      "%llu lost to a lease)\n",
      n(t.reader_checks), n(t.snapshots), n(t.held), n(t.held_over_swap), n(t.held_over_epoch),
      n(t.lost_to_lease));
  printf(
      "  followers: %llu opens, %llu WAL records, %llu generations (%llu for barriers, %llu "
      "gaps), %llu resyncs, %llu history resets, %llu times a sequence number to correct, "
      "%llu network faults\n",
      n(t.follower_opens), n(t.records), n(t.generations), n(t.barriers), n(t.gaps), n(t.resyncs),
      n(t.history_resets), n(t.sequences_corrected), n(t.network_faults));
  printf(
      "  leader: %llu restarts, %llu crashes (%llu WALs damaged, %llu refused, %llu operations "
      "lost), %llu objects deleted; %llu families created, %llu dropped, %llu ingests, %llu "
      "deletions of files\n",
      n(t.leader_restarts), n(t.leader_crashes), n(t.lost_tails), n(t.refused_tails),
      n(t.lost_operations), n(t.objects_deleted), n(t.families_created), n(t.families_dropped),
      n(t.ingests), n(t.range_file_deletions));
  printf("  transactions: %llu prepared, %llu rolled back\n", n(t.prepared), n(t.rolled_back));
  printf(
      "  seeds with: WAL in memory %llu (column families apart after a crash %llu), "
      "manual_wal_flush "
      "%llu, three followers or more %llu, a skip list %llu, small limits %llu; %llu kills, the "
      "model rewound %llu times\n",
      n(t.memory_wal), n(t.torn_families), n(t.manual_wal), n(t.three_followers), n(t.skip_lists),
      n(t.small_limits), n(t.leader_kills), n(t.rewinds));
  printf(
      "  seeds with: timestamps %llu, FIFO %llu, a compaction filter %llu; %llu comparisons of "
      "these (%llu entries were dropped or filtered), %llu exact ones after a barrier\n",
      n(t.timed), n(t.fifo), n(t.filtered), n(t.special_comparisons), n(t.dropped_entries),
      n(t.settled_comparisons));
  fflush(stdout);
}

void PrintFailure(const CommandLine& line, const SeedOptions& seed, const Verdict& verdict,
                  const std::string& directory) {
  printf("\nFAILED: %s\n", verdict.failure().c_str());
  printf("seed %llu: %s\n", static_cast<unsigned long long>(seed.seed), seed.Describe().c_str());
  printf("last operations:\n");
  for (const std::string& operation : verdict.LastOperations()) {
    printf("  %s\n", operation.c_str());
  }
  printf("replay: %s\n", ReplayCommand(line, seed.seed).c_str());
  if (line.run.keep) printf("directory: %s\n", directory.c_str());
  fflush(stdout);
}

// Prints progress, and ends the process if there is none.
class Watch {
 public:
  Watch(const Totals* totals, absl::Time begin) : thread_([=, this] { Run(totals, begin); }) {}
  // Whose operations to print if nothing moves; null between seeds.
  void Set(const Verdict* verdict) {
    absl::MutexLock lock(&mutex_);
    verdict_ = verdict;
  }
  ~Watch() {
    stop_.Notify();
    thread_.join();
  }

 private:
  void Run(const Totals* totals, absl::Time begin) {
    constexpr absl::Duration kInterval = absl::Seconds(5);
    constexpr absl::Duration kHung = absl::Seconds(150);
    uint64_t seen = 0;
    absl::Time moved = absl::Now();
    while (!stop_.WaitForNotificationWithTimeout(kInterval)) {
      // Readers go on even if everything else hangs.
      const uint64_t now = totals->operations + totals->checkpoints + totals->maintenance +
                           totals->entries_compared + totals->seeds;
      if (now != seen) moved = absl::Now();
      seen = now;
      printf("%4.0f s: %llu seeds, %llu operations, %llu checkpoints, %llu reader checks\n",
             absl::ToDoubleSeconds(absl::Now() - begin),
             static_cast<unsigned long long>(totals->seeds.load()),
             static_cast<unsigned long long>(totals->operations.load()),
             static_cast<unsigned long long>(totals->checkpoints.load()),
             static_cast<unsigned long long>(totals->reader_checks.load()));
      fflush(stdout);
      if (absl::Now() - moved > kHung) {
        printf("FAILED: nothing has moved for %s\nlast operations:\n",
               absl::FormatDuration(kHung).c_str());
        PrintLastOperations();
        printf("%s", replay_on_abort);
        fflush(stdout);
        abort();
      }
    }
  }

  void PrintLastOperations() {
    absl::MutexLock lock(&mutex_);
    if (verdict_ == nullptr) return;
    for (const std::string& operation : verdict_->LastOperations()) {
      printf("  %s\n", operation.c_str());
    }
  }

  absl::Mutex mutex_;
  const Verdict* verdict_ ABSL_GUARDED_BY(mutex_) = nullptr;
  absl::Notification stop_;
  std::thread thread_;
};

void CountModes(const SeedOptions& seed, Totals* totals) {
  totals->memory_wal += seed.wal == WalKeeping::kMemory;
  totals->torn_families += seed.TornByCrash();
  totals->manual_wal += seed.wal == WalKeeping::kManual;
  totals->three_followers += seed.followers >= 3;
  totals->skip_lists += seed.variants.front().skip_list;
  totals->timed += seed.timed;
  totals->fifo += seed.fifo;
  totals->filtered += seed.filtered;
  totals->small_limits += seed.variants.back().small_limits;
}

// Returns whether all checks held.
bool RunSeed(const CommandLine& line, uint64_t number, Totals* totals, Watch* watch) {
  const SeedOptions seed = ChooseOptions(number, line.run);
  snprintf(replay_on_abort, sizeof(replay_on_abort), "\nreplay: %s\n",
           ReplayCommand(line, number).c_str());
  printf("seed %llu\n", static_cast<unsigned long long>(number));
  if (line.run.verbose) printf("%s\n", seed.Describe().c_str());
  fflush(stdout);
  std::string directory =
      (std::filesystem::temp_directory_path() / "slipstream_oracle_XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) {
    perror("oracle: mkdtemp");
    return false;
  }
  Verdict verdict(totals);
  watch->Set(&verdict);
  {
    SeedRun run(line.run, seed, directory, &verdict);
    run.Run();
    // Before anything is taken down, which a bug may keep from ending.
    if (verdict.failed()) PrintFailure(line, seed, verdict, directory);
  }
  if (!verdict.failed() || !line.run.keep) {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
  watch->Set(nullptr);
  ++totals->seeds;
  CountModes(seed, totals);
  return !verdict.failed();
}

int Main(int argc, char** argv) {
  CommandLine line;
  if (const int code = Parse(argc, argv, &line); code >= 0) return code;
  signal(SIGABRT, OnAbort);
  signal(SIGSEGV, OnAbort);
  Totals totals;
  const absl::Time begin = absl::Now();
  bool ok = true;
  {
    Watch watch(&totals, begin);
    for (uint64_t i = 0; ok; ++i) {
      const double elapsed = absl::ToDoubleSeconds(absl::Now() - begin);
      if (line.seeds != 0 && i >= line.seeds) break;
      if (line.seconds != 0 && elapsed >= static_cast<double>(line.seconds)) break;
      ok = RunSeed(line, line.seed + i, &totals, &watch);
    }
  }
  PrintTotals(totals, absl::ToDoubleSeconds(absl::Now() - begin));
  printf("%s\n", ok ? "OK" : "FAILED");
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace slipstream::oracle

int main(int argc, char** argv) { return slipstream::oracle::Main(argc, argv); }
