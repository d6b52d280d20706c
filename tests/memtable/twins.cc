// Compares databases with the replay memtable and with RocksDB's skip list, seed after seed.

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

#include "tests/memtable/twin_databases.h"

namespace slipstream::testing {
namespace {

constexpr char kHelp[] =
    "memtable_twins [--seed N] [--seconds S]\n"
    "\n"
    "Gives the same random operations to a database with RocksDB's skip list and to one with the\n"
    "replay memtable, and compares everything that can be read. Goes on with the next seed until\n"
    "S seconds are over.\n"
    "  --seed N      first seed; default: a fresh one, printed\n"
    "  --seconds S   default: 3; for a long run 7200 and more\n";

bool ParseNumber(const char* text, double* value) {
  char* end = nullptr;
  errno = 0;
  *value = std::strtod(text, &end);
  return errno == 0 && end != text && *end == '\0' && *value >= 0 && *value <= 1e15;
}

int Main(int argc, char** argv) {
  uint64_t seed = std::random_device()() % 1000000000;
  double seconds = 3;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--help") {
      std::fputs(kHelp, stdout);
      return 0;
    }
    double value = 0;
    if ((option != "--seed" && option != "--seconds") || i + 1 == argc ||
        !ParseNumber(argv[++i], &value)) {
      std::fprintf(stderr, "memtable_twins: %s %s is not understood; see --help\n", option.c_str(),
                   i < argc ? argv[i] : "");
      return 2;
    }
    if (option == "--seed") seed = static_cast<uint64_t>(value);
    if (option == "--seconds") seconds = value;
  }
  std::printf("--seed %llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  auto report = Clock::now() + std::chrono::seconds(10);
  uint64_t rounds = 0;
  do {
    TwinDatabases twins(seed + rounds);
    twins.Run(500);
    ++rounds;
    if (Clock::now() >= report) {
      std::printf("%llu databases\n", static_cast<unsigned long long>(rounds));
      std::fflush(stdout);
      report += std::chrono::seconds(10);
    }
  } while (Clock::now() < end);
  std::printf("%llu pairs of databases, no difference\n", static_cast<unsigned long long>(rounds));
  return 0;
}

}  // namespace
}  // namespace slipstream::testing

int main(int argc, char** argv) { return slipstream::testing::Main(argc, argv); }
