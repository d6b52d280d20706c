// Races readers of a ReplayTree against its writer, without RocksDB, so that it can be built with
// any sanitizer alone.

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "tests/memtable/key_shapes.h"
#include "tests/memtable/tree_model.h"

namespace slipstream::testing {
namespace {

struct ReverseOrder {
  static constexpr bool kHasWindows = false;
  int Compare(const char* entry, const EntryKey& key) const {
    const EntryKey own = KeyOfEntry(entry);
    EntryKey a = own;
    EntryKey b = key;
    const int c = std::memcmp(a.data, b.data, std::min(a.size, b.size));
    if (c != 0) return -c;
    if (a.size != b.size) return a.size < b.size ? 1 : -1;
    return CompareBytewise(a, b);
  }
};

// Longer keys first; of one length, by their last byte first.
struct LengthOrder {
  static constexpr bool kHasWindows = false;
  int Compare(const char* entry, const EntryKey& key) const {
    const EntryKey own = KeyOfEntry(entry);
    if (own.size != key.size) return own.size > key.size ? -1 : 1;
    for (size_t i = own.size; i-- > 0;) {
      const auto a = static_cast<unsigned char>(own.data[i]);
      const auto b = static_cast<unsigned char>(key.data[i]);
      if (a != b) return a < b ? -1 : 1;
    }
    return CompareBytewise(own, key);
  }
};

struct Choices {
  uint64_t seed = 0;
  double seconds = 3;
  int readers = 2;
};

template <class Order, int kSlots, class Pause>
void RunOnce(const std::string& name, KeyShape shape, uint64_t seed, int readers) {
  Random random(seed);
  // Often small: a tree that is just becoming one has the rarest states.
  const uint64_t sizes[] = {20, 100, 400, 2000, 8000};
  const int count = 1 + static_cast<int>(Below(&random, sizes[Below(&random, 5)]));
  Verdict verdict{name + ", " + NameOf(shape) + ", " + std::to_string(count) + " entries, --seed " +
                  std::to_string(seed)};
  const EntrySet entries(shape, count, &random);
  TreeModel<Order, kSlots, Pause> model(entries, verdict, seed);
  model.Run(readers);
}

// One of each kind, all with one seed.
template <class Pause>
void RunShapes(const std::string& pause, uint64_t seed, int readers) {
  for (const KeyShape shape : kKeyShapes) {
    RunOnce<BytewiseOrder, 8, Pause>("bytewise/8/" + pause, shape, seed, readers);
    RunOnce<BytewiseOrder, 64, Pause>("bytewise/64/" + pause, shape, seed, readers);
    RunOnce<ReverseOrder, 8, Pause>("reverse/8/" + pause, shape, seed, readers);
    RunOnce<LengthOrder, 64, Pause>("length/64/" + pause, shape, seed, readers);
  }
}

int RunAll(const Choices& choices) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(choices.seconds);
  auto report = Clock::now() + std::chrono::seconds(10);
  uint64_t rounds = 0;
  do {
    const uint64_t seed = choices.seed + rounds;
    RunShapes<YieldingPause>("yield", seed, choices.readers);
    RunShapes<NoPause>("plain", seed, choices.readers);
    ++rounds;
    if (Clock::now() >= report) {
      std::printf("%llu rounds\n", static_cast<unsigned long long>(rounds));
      std::fflush(stdout);
      report += std::chrono::seconds(10);
    }
  } while (Clock::now() < end);
  std::printf("%llu rounds of %zu runs, no difference\n", static_cast<unsigned long long>(rounds),
              8 * std::size(kKeyShapes));
  return 0;
}

bool ParseNumber(const char* text, double limit, double* value) {
  char* end = nullptr;
  errno = 0;
  *value = std::strtod(text, &end);
  return errno == 0 && end != text && *end == '\0' && *value >= 0 && *value <= limit;
}

constexpr char kHelp[] =
    "memtable_race [--seed N] [--seconds S] [--readers N]\n"
    "\n"
    "Inserts random entries into trees of 8 and of 64 slots a node while readers check that they\n"
    "find all that was inserted before, in every key shape and order, with and without forced\n"
    "yields. Goes on with the next seed until S seconds are over.\n"
    "  --seed N      first seed; default: a fresh one, printed\n"
    "  --seconds S   default: 3; for a long run 7200 and more\n"
    "  --readers N   threads, 0 to 64; default: 2\n";

int Main(int argc, char** argv) {
  Choices choices;
  choices.seed = std::random_device()() % 1000000000;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--help") {
      std::fputs(kHelp, stdout);
      return 0;
    }
    double value = 0;
    const bool readers = option == "--readers";
    if ((option != "--seed" && option != "--seconds" && !readers) || i + 1 == argc ||
        !ParseNumber(argv[++i], readers ? 64 : 1e15, &value)) {
      std::fprintf(stderr, "memtable_race: %s %s is not understood; see --help\n", option.c_str(),
                   i < argc ? argv[i] : "");
      return 2;
    }
    if (option == "--seed") choices.seed = static_cast<uint64_t>(value);
    if (option == "--seconds") choices.seconds = value;
    if (readers) choices.readers = static_cast<int>(value);
  }
  std::printf("--seed %llu\n", static_cast<unsigned long long>(choices.seed));
  std::fflush(stdout);
  return RunAll(choices);
}

}  // namespace
}  // namespace slipstream::testing

int main(int argc, char** argv) { return slipstream::testing::Main(argc, argv); }
