// A search engine over the Debian package index that stays current while it is being written.
//
//   leader process      reads package records and writes each as ONE WriteBatch: the record itself
//                       (column family "rows"), an entry per search term ("search"), a counter per
//                       section ("stats", a merge operator) and the time of writing ("default")
//   follower processes  answer searches on their own copies meanwhile, each search on a snapshot
//
// What to look at:
//   IngestPackage    an ordinary RocksDB write. Nothing in it knows of followers.
//   Search           ordinary RocksDB reads: iterators and Get under one snapshot. A package that
//   is
//                    found by a term but does not contain it would be a torn read: it is counted
//                    and fails the run.
//   LeaderMain and FollowerMain    all there is of Slipstream: Leader::Open, Follower::Open,
//   WaitFor.
//
// Run it with --help for the options and for what exactly is measured.

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "rocksdb/cache.h"
#include "rocksdb/convenience.h"
#include "rocksdb/db.h"
#include "rocksdb/merge_operator.h"
#include "rocksdb/snapshot.h"
#include "rocksdb/table.h"
#include "rocksdb/write_batch.h"
#include "slipstream/follower.h"
#include "slipstream/leader.h"
#include "slipstream/shared_storage.h"

namespace fs = std::filesystem;
using rocksdb::Slice;
using rocksdb::Status;

namespace {

constexpr char kHelp[] = R"(Usage: package_search [options]

A leader process writes package records into a row index and a search index; follower processes
answer searches on them meanwhile. At the end every process scans everything it holds, and the
results are compared.

  --input FILE         package list: plain, .gz, .xz or .lz4
                       (default: apt's lists on this machine, else examples/data/packages.sample)
  --limit N            take the first N packages only, 0 = all (default 0)
  --rate N             packages written per second, 0 = as fast as possible
                       (default: as many as make the run last 20 seconds)
  --followers N        follower processes, 0 to 16 (default 2)
  --query-threads N    searching threads in each follower, 0 to 64 (default 1); each pauses for
                       1 ms between searches, so that a small machine keeps up
  --dir DIR            where the database and the shared storage go; kept afterwards
                       (default: a fresh directory for temporary files, removed afterwards)
  --keep               keep the fresh directory too
  --help               this text

Every fifth write revises an earlier package: new version, new description, stale terms removed.

lag    from just before the leader calls Write until a thread of the follower reads what was
       written. Every write is measured. The thread looks every 200 us, which is part of the figure.
query  one search: 1 to 3 terms of a real package, popular packages more often; posting lists are
       intersected and up to 20 rows fetched and checked, all under one snapshot.

Exit code: 0 if all followers hold exactly what the leader holds and no search was wrong, 1 if not,
2 for bad options, 130 after Ctrl-C.
)";

constexpr uint64_t kPollUs = 200;
constexpr uint64_t kQueryPauseUs = 1000;
constexpr uint64_t kDefaultRunSeconds = 20;
constexpr uint64_t kReviseEvery = 5;
constexpr size_t kMaxResults = 20;
constexpr size_t kPopularPackages = 5000;
constexpr uint64_t kVerifyTimeoutUs = 60'000'000;
constexpr char kDatabase[] = "packages";

volatile sig_atomic_t interrupted = 0;

// steady_clock is the same clock in every process of a machine, so times can be sent around.
uint64_t NowUs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

void SleepUs(uint64_t us) { std::this_thread::sleep_for(std::chrono::microseconds(us)); }

bool Ok(const Status& s, const std::string& what) {
  if (!s.ok()) std::cerr << "\npackage_search: " << what << ": " << s.ToString() << std::endl;
  return s.ok();
}

// ---- Options of the command line.

struct Options {
  std::string input;
  std::string dir;
  uint64_t limit = 0;
  uint64_t rate = UINT64_MAX;  // not given
  uint64_t followers = 2;
  uint64_t query_threads = 1;
  bool keep = false;
  // Given by the leader to the processes that it starts.
  std::string leader;
  std::string name;
};

bool ParseNumber(const std::string& option, const std::string& text, uint64_t max, uint64_t* out) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc() && stop == end && !text.empty() && value <= max) {
    *out = value;
    return true;
  }
  std::cerr << "package_search: " << option << " \"" << text << "\": expected a number from 0 to "
            << max << "\n";
  return false;
}

bool ParseOptions(const std::vector<std::string>& args, Options* o) {
  for (size_t i = 0; i < args.size(); ++i) {
    const size_t equals = args[i].find('=');
    const std::string option = args[i].substr(0, equals);
    if (option == "--keep" && equals == std::string::npos) {
      o->keep = true;
      continue;
    }
    const std::map<std::string, std::string*> texts = {
        {"--input", &o->input}, {"--dir", &o->dir}, {"--leader", &o->leader}, {"--name", &o->name}};
    const std::map<std::string, std::pair<uint64_t*, uint64_t>> numbers = {
        {"--limit", {&o->limit, 1'000'000'000}},
        {"--rate", {&o->rate, 10'000'000}},
        {"--followers", {&o->followers, 16}},
        {"--query-threads", {&o->query_threads, 64}}};
    if (!texts.contains(option) && !numbers.contains(option)) {
      std::cerr << "package_search: unknown option " << args[i] << " (try --help)\n";
      return false;
    }
    if (equals == std::string::npos && i + 1 == args.size()) {
      std::cerr << "package_search: " << option << " needs a value (try --help)\n";
      return false;
    }
    const std::string value = equals == std::string::npos ? args[++i] : args[i].substr(equals + 1);
    if (const auto text = texts.find(option); text != texts.end()) {
      if (value.empty()) {
        std::cerr << "package_search: " << option << " \"\": expected a value\n";
        return false;
      }
      *text->second = value;
    } else if (const auto& [out, max] = numbers.at(option); !ParseNumber(option, value, max, out)) {
      return false;
    }
  }
  return true;
}

// ---- The package index as apt keeps it.

struct Package {
  std::string name;
  std::string row;  // "Field: value\n" of the fields below, as stored
};

std::string Quote(const std::string& path) {
  std::string out = "'";
  for (const char c : path) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

// The command that prints a package list.
std::string PrintCommand(const std::string& path) {
  const std::string apt_helper = "/usr/lib/apt/apt-helper";
  if (path.ends_with(".gz")) return "zcat < " + Quote(path);
  if (::access(apt_helper.c_str(), X_OK) == 0 && path.starts_with('/')) {
    return apt_helper + " cat-file " + Quote(path);
  }
  if (path.ends_with(".lz4")) return "lz4cat < " + Quote(path);
  if (path.ends_with(".xz")) return "xzcat < " + Quote(path);
  return "cat < " + Quote(path);
}

bool ReadPackages(const std::string& path, uint64_t limit, std::vector<Package>* packages) {
  static const std::set<std::string, std::less<>> kFields = {
      "Package",      "Version",        "Section", "Maintainer",
      "Architecture", "Installed-Size", "Depends", "Description"};
  FILE* pipe = ::popen(PrintCommand(path).c_str(), "re");
  if (pipe == nullptr) return false;
  char* line = nullptr;
  size_t capacity = 0;
  Package package;
  const auto finish_record = [&] {
    if (!package.name.empty()) packages->push_back(std::move(package));
    package = Package();
  };
  while (limit == 0 || packages->size() < limit) {
    const ssize_t n = ::getline(&line, &capacity, pipe);
    std::string_view text(line, n > 0 ? static_cast<size_t>(n) : 0);
    if (text.ends_with('\n')) text.remove_suffix(1);
    const size_t colon = text.find(": ");
    if (text.empty()) {
      finish_record();
      if (n <= 0) break;
    } else if (colon != std::string_view::npos && kFields.contains(text.substr(0, colon))) {
      package.row.append(text).push_back('\n');
      if (text.starts_with("Package: ")) package.name = text.substr(colon + 2);
    }
  }
  const bool cut = limit != 0 && packages->size() >= limit;
  ::free(line);
  return ::pclose(pipe) == 0 || cut;  // a list that is not read to its end may break the pipe
}

bool ReadInput(const Options& options, std::vector<Package>* packages) {
  std::vector<fs::directory_entry> lists;
  std::error_code error;
  if (!options.input.empty()) {
    lists.emplace_back(fs::path(options.input), error);
    if (!lists[0].is_regular_file(error)) {
      std::cerr << "package_search: --input " << options.input << ": no such file\n";
      return false;
    }
  } else {
    for (const auto& entry : fs::directory_iterator("/var/lib/apt/lists", error)) {
      const std::string stem = entry.path().stem().string();
      const std::string whole = entry.path().filename().string();
      if (stem.ends_with("_Packages") || whole.ends_with("_Packages")) lists.push_back(entry);
    }
    // The largest first: the smaller ones hold updates of what is in it.
    std::sort(lists.begin(), lists.end(),
              [](const auto& a, const auto& b) { return a.file_size() > b.file_size(); });
    if (lists.empty()) {
      lists.emplace_back(fs::path(__FILE__).parent_path() / "data" / "packages.sample", error);
    }
  }
  for (const auto& list : lists) {
    if (options.limit != 0 && packages->size() >= options.limit) break;
    if (!ReadPackages(list.path().string(), options.limit, packages)) {
      std::cerr << "package_search: cannot read " << list.path() << ", skipped\n";
    }
  }
  if (packages->empty()) std::cerr << "package_search: found no package records (try --input)\n";
  return !packages->empty();
}

// ---- The schema, which leader and followers share.

enum ColumnFamily : size_t { kClock, kRows, kSearch, kStats, kColumnFamilies };
constexpr const char* kNames[kColumnFamilies] = {"default", "rows", "search", "stats"};

std::vector<rocksdb::ColumnFamilyDescriptor> Schema() {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(16 << 20);
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  // Small, so that flushes and compactions happen during a short run: each one changes the set of
  // files below the followers, which must not notice.
  options.write_buffer_size = 4 << 20;
  std::vector<rocksdb::ColumnFamilyDescriptor> schema;
  for (const char* name : kNames) schema.emplace_back(name, options);
  Ok(rocksdb::MergeOperator::CreateFromString(rocksdb::ConfigOptions(), "uint64add",
                                              &schema[kStats].options.merge_operator),
     "merge operator");
  return schema;
}

using Handles = std::vector<rocksdb::ColumnFamilyHandle*>;

std::string Fixed64(uint64_t value) {
  std::string out(8, '\0');
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(value >> (8 * i));
  return out;
}

uint64_t ReadFixed64(const char* p) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value |= uint64_t{static_cast<unsigned char>(p[i])} << (8 * i);
  return value;
}

// The times of the last writes: write number n has its time under a key of its own until the ring
// comes round.
std::string ClockKey(uint64_t n) { return "clock" + std::to_string(n % 65536); }

std::string_view Field(std::string_view row, std::string_view field) {
  for (size_t at = 0; at < row.size();) {
    const size_t end = std::min(row.find('\n', at), row.size());
    const std::string_view line = row.substr(at, end - at);
    if (line.starts_with(field) && line.substr(field.size()).starts_with(": ")) {
      return line.substr(field.size() + 2);
    }
    at = end + 1;
  }
  return {};
}

// What a row is found by: words of name and description, and "field=value".
std::set<std::string> Terms(std::string_view row) {
  std::set<std::string> terms;
  std::string word;
  for (const char* field : {"Package", "Description"}) {
    for (const char c : std::string(Field(row, field)) + " ") {
      if (std::isalnum(static_cast<unsigned char>(c))) {
        word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      } else {
        if (word.size() > 1) terms.insert(word);
        word.clear();
      }
    }
  }
  for (const char* field : {"Section", "Architecture", "Maintainer"}) {
    terms.insert(std::string(field) + "=" + std::string(Field(row, field)));
  }
  std::istringstream depends{std::string(Field(row, "Depends"))};
  for (std::string item; std::getline(depends, item, ',');) {
    item.erase(0, item.find_first_not_of(' '));
    terms.insert("Depends=" + item.substr(0, item.find_first_of(" :")));
  }
  return terms;
}

// A posting: sorted by term, then by package.
std::string Posting(const std::string& term, const std::string& package) {
  return term + '\0' + package;
}

// ---- Latencies: 16 buckets for each power of two, so within 6 % of the true value.

class Histogram {
 public:
  using Counts = std::vector<uint64_t>;

  void Add(uint64_t us) { counts_[Bucket(us)].fetch_add(1, std::memory_order_relaxed); }

  // What was added since `*before`, which is then brought up to date.
  Counts Since(Counts* before) const {
    before->resize(counts_.size());
    Counts since(counts_.size());
    for (size_t i = 0; i < counts_.size(); ++i) {
      const uint64_t now = counts_[i].load(std::memory_order_relaxed);
      since[i] = now - std::exchange((*before)[i], now);
    }
    return since;
  }

  static uint64_t Count(const Counts& c) {
    uint64_t n = 0;
    for (const uint64_t v : c) n += v;
    return n;
  }

  static uint64_t Percentile(const Counts& c, double percent) {
    const auto rank = static_cast<uint64_t>(static_cast<double>(Count(c)) * percent / 100);
    uint64_t seen = 0;
    for (size_t i = 0; i < c.size(); ++i) {
      seen += c[i];
      if (seen > rank) return Middle(i);
    }
    return 0;
  }

 private:
  static size_t Bucket(uint64_t us) {
    if (us < 16) return us;
    const auto shift = static_cast<size_t>(std::bit_width(us)) - 5;
    return std::min<size_t>(16 * shift + (us >> shift), 1023);
  }
  static uint64_t Middle(size_t bucket) {
    if (bucket < 32) return bucket;
    const size_t shift = bucket / 16 - 1;
    return ((16 + bucket % 16) << shift) + (uint64_t{1} << shift) / 2;
  }

  std::array<std::atomic<uint64_t>, 1024> counts_{};
};

// ---- What leader and followers compare at the end: everything.

// "sequence N" and, for each column family, "name keys hash".
Status Digest(rocksdb::DB* db, const Handles& handles, std::string* out) {
  std::ostringstream text;
  rocksdb::ManagedSnapshot snapshot(db);
  rocksdb::ReadOptions read;
  read.snapshot = snapshot.snapshot();
  read.fill_cache = false;
  for (size_t cf = 0; cf < kColumnFamilies; ++cf) {
    std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(read, handles[cf]));
    uint64_t keys = 0;
    uint64_t hash = 14695981039346656037u;  // FNV-1a
    const auto add = [&hash](const Slice& data) {
      for (size_t i = 0; i < data.size(); ++i) {
        hash = (hash ^ static_cast<unsigned char>(data[i])) * 1099511628211u;
      }
    };
    for (it->SeekToFirst(); it->Valid(); it->Next(), ++keys) {
      // The lengths too, so that moving a byte from a key to its value makes a difference.
      add(Fixed64(it->key().size()));
      add(it->key());
      add(Fixed64(it->value().size()));
      add(it->value());
    }
    if (!it->status().ok()) return it->status();
    text << kNames[cf] << " " << keys << " keys, hash " << std::hex << hash << std::dec << "; ";
  }
  text << "sequence " << read.snapshot->GetSequenceNumber();
  *out = text.str();
  return Status::OK();
}

// ---- The followers' side.

// Finds packages that have all `terms`, and checks what it finds. `*found` grows by the rows.
Status Search(rocksdb::DB* db, const Handles& handles, const std::vector<std::string>& terms,
              uint64_t* found) {
  // One snapshot for the index and the rows: whatever the leader is writing, and whichever files
  // are being replaced underneath, they fit together.
  rocksdb::ManagedSnapshot snapshot(db);
  rocksdb::ReadOptions read;
  read.snapshot = snapshot.snapshot();
  std::vector<std::unique_ptr<rocksdb::Iterator>> lists;
  for (size_t i = 0; i < terms.size(); ++i) {
    lists.emplace_back(db->NewIterator(read, handles[kSearch]));
  }
  std::string candidate;  // no earlier package can be in all lists
  size_t agreed = 0;      // how many lists in a row have it
  size_t results = 0;
  for (size_t i = 0; results < kMaxResults; i = (i + 1) % terms.size()) {
    const std::string prefix = Posting(terms[i], "");
    lists[i]->Seek(prefix + candidate);
    if (!lists[i]->Valid() || !lists[i]->key().starts_with(prefix)) return lists[i]->status();
    std::string package = lists[i]->key().ToString().substr(prefix.size());
    agreed = package == candidate ? agreed + 1 : 1;
    candidate = std::move(package);
    if (agreed < terms.size()) continue;

    std::string row;
    const Status s = db->Get(read, handles[kRows], candidate, &row);
    if (!s.ok()) return Status::Corruption("found " + candidate + " but not its row", s.ToString());
    const std::set<std::string> has = Terms(row);
    for (const std::string& term : terms) {
      if (!has.contains(term)) return Status::Corruption(candidate + " does not contain " + term);
    }
    ++results;
    ++*found;
    candidate += '\0';  // the next name in byte order
    agreed = 0;
  }
  return Status::OK();
}

struct FollowerWork {
  rocksdb::DB* db;
  Handles handles;
  std::vector<std::vector<std::string>>
      popular;  // terms of real packages, the most asked for first
  std::atomic<bool> stop{false};
  Histogram lag;
  Histogram query;
  std::atomic<uint64_t> missed{0};
  std::atomic<uint64_t> found{0};
  std::atomic<uint64_t> errors{0};
};

// Looks for the next write's time, again and again.
void WatchClock(FollowerWork* work) {
  std::string value;
  for (uint64_t next = 0; !work->stop;) {
    const Status s = work->db->Get({}, work->handles[kClock], ClockKey(next), &value);
    if (s.ok() && value.size() == 16 && ReadFixed64(value.data()) >= next) {
      const uint64_t seen = ReadFixed64(value.data());
      work->lag.Add(NowUs() - ReadFixed64(value.data() + 8));
      // The ring came round before this thread did.
      if (seen != next) work->missed += seen - next;
      next = seen + 1;
      continue;
    }
    SleepUs(kPollUs);
  }
}

void AskQuestions(FollowerWork* work, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform;
  while (!work->stop && !work->popular.empty()) {
    // The package of rank r is asked for with a probability of about 1/r.
    const auto size = static_cast<double>(work->popular.size());
    const auto rank = static_cast<size_t>(std::pow(size, uniform(random))) - 1;
    std::vector<std::string> terms;
    std::sample(work->popular[rank].begin(), work->popular[rank].end(), std::back_inserter(terms),
                1 + random() % 3, random);
    uint64_t found = 0;
    const uint64_t start = NowUs();
    const Status s = Search(work->db, work->handles, terms, &found);
    work->query.Add(NowUs() - start);
    work->found += found;
    if (!s.ok() && ++work->errors <= 3) Ok(s, "wrong answer");
    SleepUs(kQueryPauseUs);
  }
}

// One line for the leader: what happened since the last one, or in all.
void Report(const char* kind, const FollowerWork& work, const slipstream::FollowerStats& stats,
            Histogram::Counts* lag_before, Histogram::Counts* query_before) {
  const auto lag = work.lag.Since(lag_before);
  const auto query = work.query.Since(query_before);
  std::ostringstream line;
  line << kind << ' ' << Histogram::Count(lag) << ' ' << Histogram::Percentile(lag, 50) << ' '
       << Histogram::Percentile(lag, 99) << ' ' << Histogram::Count(query) << ' '
       << Histogram::Percentile(query, 50) << ' ' << Histogram::Percentile(query, 99) << ' '
       << work.missed << ' ' << work.found << ' ' << work.errors << ' ' << stats.rebuilds << ' '
       << (stats.memtable_bytes + stats.image_bytes) << '\n';
  std::cout << line.str() << std::flush;
}

std::vector<std::vector<std::string>> ReadPopular(const fs::path& path) {
  std::vector<std::vector<std::string>> popular;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    auto& terms = popular.emplace_back();
    for (std::string term; std::getline(words, term, '\t');) terms.push_back(term);
  }
  return popular;
}

int FollowerMain(const Options& options) {
  // Ctrl-C reaches all processes of a terminal; the leader tells its followers what to do then.
  ::signal(SIGINT, SIG_IGN);
  slipstream::FollowerOptions follower_options;
  follower_options.database = kDatabase;
  follower_options.leader_address = options.leader;
  follower_options.name = options.name;
  follower_options.open_timeout_ms = 20000;
  follower_options.rebuild_interval_ms = 2000;
  if (!Ok(slipstream::NewDirectoryStorage((fs::path(options.dir) / "objects").string(),
                                          &follower_options.storage),
          "open the shared storage")) {
    return 1;
  }
  Handles handles;
  std::unique_ptr<slipstream::Follower> follower;
  if (!Ok(slipstream::Follower::Open(follower_options, {}, Schema(), &handles, &follower),
          "open the follower")) {
    return 1;
  }

  FollowerWork work;
  work.db = follower->db();
  work.handles = handles;
  work.popular = ReadPopular(fs::path(options.dir) / "popular.txt");
  std::vector<std::thread> threads;
  threads.emplace_back(WatchClock, &work);
  for (uint64_t i = 0; i < options.query_threads; ++i) {
    threads.emplace_back(AskQuestions, &work, std::hash<std::string>()(options.name) + i);
  }
  Histogram::Counts lag, query, no_lag, no_query;
  std::thread reporter([&] {
    std::cout << "ready\n" << std::flush;
    while (!work.stop) {
      SleepUs(250'000);
      Report("live", work, follower->stats(), &lag, &query);
    }
  });

  // The leader's word: "verify POSITION" once everything is written. No word: it is gone.
  std::string word, text;
  slipstream::Position position;
  std::string digest;
  std::cin >> word >> text;
  const bool verify = word == "verify" && slipstream::Position::Parse(text, &position).ok();
  Status s;
  // From here on, reads include everything that the leader had written at that position.
  if (verify) s = follower->WaitFor(position, kVerifyTimeoutUs);
  SleepUs(10 * kPollUs);
  work.stop = true;
  for (std::thread& thread : threads) thread.join();
  reporter.join();
  if (verify) {
    if (s.ok()) s = Digest(follower->db(), handles, &digest);
    Report("total", work, follower->stats(), &no_lag, &no_query);
    std::cout << "digest " << (s.ok() ? digest : "failed: " + s.ToString()) << std::endl;
  }
  for (auto* handle : handles) delete handle;
  s = follower->Close();
  return s.ok() ? 0 : 1;
}

// ---- The leader's side of a follower process.

struct Figures {
  uint64_t lags = 0, lag_p50 = 0, lag_p99 = 0, queries = 0, query_p50 = 0, query_p99 = 0;
  uint64_t missed = 0, found = 0, errors = 0, rebuilds = 0, memory_bytes = 0;
};

class FollowerProcess {
 public:
  enum class State { kStarting, kReady, kDone, kEnded };

  // Asks it to stop, and kills it if it does not within five seconds.
  ~FollowerProcess() {
    if (pid_ <= 0) return;
    ::close(to_);
    for (int i = 0; i < 500 && ::waitpid(pid_, &exit_, WNOHANG) == 0; ++i) SleepUs(10'000);
    if (::kill(pid_, 0) == 0) ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &exit_, 0);
    reader_.join();
  }

  // This program once more, with `args`, its standard input and output on pipes.
  bool Start(const std::string& name, std::vector<std::string> args) {
    name_ = name;
    int to_child[2];
    int from_child[2];
    if (::pipe2(to_child, O_CLOEXEC) != 0 || ::pipe2(from_child, O_CLOEXEC) != 0) return false;
    args.insert(args.begin(), "package_search");
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    // fork and exec in one call: safe although this process has threads.
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to_child[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, from_child[1], STDOUT_FILENO);
    const int error =
        ::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(to_child[0]);
    ::close(from_child[1]);
    to_ = to_child[1];
    if (error != 0) {
      pid_ = 0;
      return false;
    }
    reader_ = std::thread([this, fd = from_child[0]] { Read(fd); });
    return true;
  }

  void Send(const std::string& line) {
    if (::write(to_, line.data(), line.size()) < 0) SetState(State::kEnded);
  }

  State state() const { return Locked(state_); }
  Figures figures() const { return Locked(figures_); }
  std::string digest() const { return Locked(digest_); }
  const std::string& name() const { return name_; }

 private:
  template <typename T>
  T Locked(const T& value) const {
    std::lock_guard<std::mutex> lock(mutex_);
    return value;
  }

  void SetState(State state) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (state_ != State::kDone) state_ = state;
  }

  void Read(int fd) {
    FILE* file = ::fdopen(fd, "r");
    char* line = nullptr;
    size_t capacity = 0;
    for (ssize_t n; (n = ::getline(&line, &capacity, file)) > 0;) {
      std::istringstream text(std::string(line, static_cast<size_t>(n) - 1));
      std::string kind;
      text >> kind >> std::ws;
      if (kind == "ready") SetState(State::kReady);
      if (kind == "live" || kind == "total") {
        Figures f;
        text >> f.lags >> f.lag_p50 >> f.lag_p99 >> f.queries >> f.query_p50 >> f.query_p99 >>
            f.missed >> f.found >> f.errors >> f.rebuilds >> f.memory_bytes;
        std::lock_guard<std::mutex> lock(mutex_);
        figures_ = f;
      }
      if (kind == "digest") {
        {
          std::lock_guard<std::mutex> lock(mutex_);
          std::getline(text, digest_);
        }
        SetState(State::kDone);
      }
    }
    ::free(line);
    ::fclose(file);
    SetState(State::kEnded);
  }

  std::string name_;
  pid_t pid_ = 0;
  int to_ = -1;
  int exit_ = 0;
  std::thread reader_;
  mutable std::mutex mutex_;
  State state_ = State::kStarting;
  Figures figures_;
  std::string digest_;
};

using FollowerProcesses = std::vector<std::unique_ptr<FollowerProcess>>;

// Waits until all followers are in `state`; false if one ended or Ctrl-C was pressed instead.
bool WaitForAll(const FollowerProcesses& followers, FollowerProcess::State state) {
  for (const auto& follower : followers) {
    while (follower->state() != state) {
      if (interrupted != 0) return false;
      if (follower->state() == FollowerProcess::State::kEnded) {
        std::cerr << "\npackage_search: " << follower->name() << " has ended unexpectedly\n";
        return false;
      }
      SleepUs(10'000);
    }
  }
  return true;
}

// ---- The leader's own work.

// Writes one package with everything that belongs to it: followers see all of it or nothing.
Status IngestPackage(rocksdb::DB* db, const Handles& handles, const Package& package, uint64_t n) {
  std::string old_row;
  Status s = db->Get({}, handles[kRows], package.name, &old_row);
  if (!s.ok() && !s.IsNotFound()) return s;
  const bool is_update = s.ok();
  const std::set<std::string> terms = Terms(package.row);
  rocksdb::WriteBatch batch;
  if (is_update) {
    for (const std::string& stale : Terms(old_row)) {
      if (!terms.contains(stale)) batch.Delete(handles[kSearch], Posting(stale, package.name));
    }
    const std::string section(Field(old_row, "Section"));
    batch.Merge(handles[kStats], section, Fixed64(UINT64_MAX));  // that is, -1
  }
  batch.Put(handles[kRows], package.name, package.row);
  for (const std::string& term : terms) {
    batch.Put(handles[kSearch], Posting(term, package.name), "");
  }
  batch.Merge(handles[kStats], std::string(Field(package.row, "Section")), Fixed64(1));
  batch.Put(handles[kClock], ClockKey(n), Fixed64(n) + Fixed64(NowUs()));
  return db->Write({}, &batch);
}

// The package with a new version, and without the first word of its description.
Package Revised(const Package& package, uint64_t n) {
  Package revised{package.name, ""};
  std::istringstream lines(package.row);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("Version: ")) line += "+r" + std::to_string(n);
    if (line.starts_with("Description: ")) {
      line = "Description: " + line.substr(std::min(line.find(' ', 13), line.size())) + " revised";
    }
    revised.row += line + "\n";
  }
  return revised;
}

void WritePopular(const std::vector<Package>& packages, const fs::path& path) {
  std::ofstream file(path);
  std::vector<const Package*> popular;
  std::vector<const Package*> all;
  for (const Package& package : packages) all.push_back(&package);
  std::sample(all.begin(), all.end(), std::back_inserter(popular), kPopularPackages,
              std::mt19937_64(1));
  std::shuffle(popular.begin(), popular.end(), std::mt19937_64(2));
  for (const Package* package : popular) {
    for (const std::string& term : Terms(package->row)) file << term << '\t';
    file << '\n';
  }
}

class LiveLine {
 public:
  explicit LiveLine(uint64_t total) : total_(total) {}

  void MaybePrint(uint64_t done, const FollowerProcesses& followers) {
    const uint64_t now = NowUs();
    const double seconds = static_cast<double>(now - last_us_) / 1e6;
    if (seconds < (terminal_ ? 0.25 : 1.0)) return;
    std::ostringstream line;
    line << done << "/" << total_ << " packages, "
         << static_cast<uint64_t>(static_cast<double>(done - last_done_) / seconds) << "/s";
    for (const auto& follower : followers) {
      const Figures f = follower->figures();
      line << " | lag " << f.lag_p50 << "/" << f.lag_p99 << " query " << f.query_p50 << "/"
           << f.query_p99 << " us";
    }
    last_us_ = now;
    last_done_ = done;
    std::string text = line.str();
    if (terminal_) {
      struct winsize window {};
      ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window);
      text.resize(std::min<size_t>(text.size(), window.ws_col > 1 ? window.ws_col - 1u : 79));
      std::cout << "\r\033[K" << text << std::flush;
    } else {
      std::cout << text << std::endl;
    }
  }

  void Finish() const {
    if (terminal_) std::cout << std::endl;
  }

 private:
  const uint64_t total_;
  const bool terminal_ = ::isatty(STDOUT_FILENO) != 0;
  uint64_t last_us_ = NowUs();
  uint64_t last_done_ = 0;
};

struct IngestResult {
  uint64_t written = 0;
  uint64_t revised = 0;
  double seconds = 0;
};

bool Ingest(rocksdb::DB* db, const Handles& handles, const std::vector<Package>& packages,
            uint64_t rate, const FollowerProcesses& followers, IngestResult* result) {
  const uint64_t total = packages.size() + (packages.size() - 1) / (kReviseEvery - 1);
  if (rate == UINT64_MAX) rate = std::max<uint64_t>(1, total / kDefaultRunSeconds);
  std::mt19937_64 random(3);
  LiveLine live(total);
  const uint64_t start = NowUs();
  for (uint64_t n = 0, next = 0; n < total && interrupted == 0; ++n) {
    Status s;
    if (n % kReviseEvery == kReviseEvery - 1) {
      s = IngestPackage(db, handles, Revised(packages[random() % next], n), n);
      ++result->revised;
    } else {
      s = IngestPackage(db, handles, packages[next++], n);
    }
    if (!Ok(s, "write")) return false;
    ++result->written;
    do {
      live.MaybePrint(n + 1, followers);
      for (const auto& follower : followers) {
        if (follower->state() != FollowerProcess::State::kEnded) continue;
        std::cerr << "\npackage_search: " << follower->name() << " has ended unexpectedly\n";
        return false;
      }
      const uint64_t now = NowUs();
      const uint64_t due = rate == 0 ? now : start + (n + 1) * 1'000'000 / rate;
      if (due <= now) break;
      SleepUs(std::min<uint64_t>(due - now, 100'000));
    } while (interrupted == 0);
  }
  live.Finish();
  result->seconds = static_cast<double>(NowUs() - start) / 1e6;
  return interrupted == 0;
}

void PrintRow(const std::string& what, const FollowerProcesses& followers,
              const std::function<std::string(const Figures&)>& figure) {
  std::cout << what << std::string(34 - what.size(), ' ');
  for (const auto& follower : followers) {
    const std::string text = figure(follower->figures());
    std::cout << std::string(text.size() < 18 ? 18 - text.size() : 1, ' ') << text;
  }
  std::cout << '\n';
}

void PrintSummary(const IngestResult& result, const slipstream::LeaderStats& leader,
                  const FollowerProcesses& followers) {
  const auto pair = [](uint64_t a, uint64_t b) {
    return std::to_string(a) + " / " + std::to_string(b);
  };
  std::cout << "\nleader: " << result.written << " writes (" << result.revised << " revisions) in "
            << result.seconds << " s, " << leader.log_bytes / 1'000'000 << " MB of log; "
            << leader.live_objects << " SST files live, "
            << leader.deleted_objects + leader.pinned_objects << " compacted away\n\n";
  std::cout << std::string(34, ' ');
  for (const auto& follower : followers) {
    std::cout << std::string(18 - follower->name().size(), ' ') << follower->name();
  }
  std::cout << '\n';
  PrintRow("lag, us (p50 / p99)", followers,
           [&](const Figures& f) { return pair(f.lag_p50, f.lag_p99); });
  PrintRow("writes measured / overrun", followers,
           [&](const Figures& f) { return pair(f.lags, f.missed); });
  PrintRow("query, us (p50 / p99)", followers,
           [&](const Figures& f) { return pair(f.query_p50, f.query_p99); });
  PrintRow("queries / rows found and checked", followers,
           [&](const Figures& f) { return pair(f.queries, f.found); });
  PrintRow("wrong answers", followers, [](const Figures& f) { return std::to_string(f.errors); });
  PrintRow("switches to a new set of files", followers,
           [](const Figures& f) { return std::to_string(f.rebuilds); });
  PrintRow("memory for recent writes, MB", followers,
           [](const Figures& f) { return std::to_string(f.memory_bytes / 1'000'000); });
  std::cout << '\n';
}

// Compares what the followers hold at the leader's last position with what it holds itself.
bool Verify(slipstream::Leader* leader, const Handles& handles, const FollowerProcesses& followers,
            const IngestResult& result) {
  const std::string position = leader->position().ToString();
  for (const auto& follower : followers) follower->Send("verify " + position + "\n");
  std::string expected;
  if (!Ok(Digest(leader->db(), handles, &expected), "scan the leader") ||
      !WaitForAll(followers, FollowerProcess::State::kDone)) {
    return false;
  }
  PrintSummary(result, leader->stats(), followers);
  std::cout << "verification at position " << position << "\n  leader      " << expected << '\n';
  bool same = true;
  uint64_t errors = 0;
  for (const auto& follower : followers) {
    same = same && follower->digest() == expected;
    errors += follower->figures().errors;
    std::cout << "  " << follower->name() << "  " << follower->digest() << '\n';
  }
  std::cout << (same ? "identical" : "DIFFERENT") << ", " << errors << " wrong answers"
            << std::endl;
  return same && errors == 0;
}

int LeaderMain(const Options& options, const fs::path& dir) {
  std::vector<Package> packages;
  if (!ReadInput(options, &packages)) return 1;
  WritePopular(packages, dir / "popular.txt");
  std::cout << packages.size() << " packages; database in " << dir.string() << std::endl;

  slipstream::LeaderOptions leader_options;
  leader_options.database = kDatabase;
  if (!Ok(slipstream::NewDirectoryStorage((dir / "objects").string(), &leader_options.storage),
          "open the shared storage")) {
    return 1;
  }
  rocksdb::DBOptions db_options;
  db_options.create_if_missing = true;
  db_options.create_missing_column_families = true;
  Handles handles;
  std::unique_ptr<slipstream::Leader> leader;
  if (!Ok(slipstream::Leader::Open(leader_options, db_options, (dir / "leader").string(), Schema(),
                                   &handles, &leader),
          "open the leader")) {
    return 1;
  }

  bool good = true;
  {
    FollowerProcesses followers;
    for (uint64_t i = 1; good && i <= options.followers; ++i) {
      const std::string name = "follower-" + std::to_string(i);
      followers.push_back(std::make_unique<FollowerProcess>());
      good = followers.back()->Start(
          name,
          {"--leader=127.0.0.1:" + std::to_string(leader->port()), "--name=" + name,
           "--dir=" + dir.string(), "--query-threads=" + std::to_string(options.query_threads)});
      if (!good) std::cerr << "package_search: cannot start " << name << '\n';
    }
    IngestResult result;
    good = good && WaitForAll(followers, FollowerProcess::State::kReady) &&
           Ingest(leader->db(), handles, packages, options.rate, followers, &result) &&
           Verify(leader.get(), handles, followers, result);
  }
  for (auto* handle : handles) delete handle;
  good = Ok(leader->Close(), "close the leader") && good;
  if (interrupted != 0) {
    std::cout << "\nstopped" << std::endl;
    return 130;
  }
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (std::find(args.begin(), args.end(), "--help") != args.end()) {
    std::cout << kHelp;
    return 0;
  }
  Options options;
  if (!ParseOptions(args, &options)) return 2;
  if (!options.leader.empty()) return FollowerMain(options);

  ::signal(SIGPIPE, SIG_IGN);  // a follower that is gone is noticed by name instead
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);

  std::error_code error;
  fs::path dir = options.dir;
  if (dir.empty()) {
    std::string pattern = (fs::temp_directory_path(error) / "package_search-XXXXXX").string();
    if (error || ::mkdtemp(pattern.data()) == nullptr) {
      std::cerr << "package_search: cannot create a directory for temporary files\n";
      return 1;
    }
    dir = pattern;
  } else if (fs::create_directories(dir, error); error) {
    std::cerr << "package_search: --dir " << options.dir << ": " << error.message() << '\n';
    return 2;
  }
  const int result = LeaderMain(options, dir);
  if (options.dir.empty() && !options.keep) fs::remove_all(dir, error);
  return result;
}
