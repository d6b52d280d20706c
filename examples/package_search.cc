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
#include <getopt.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
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
  --limit N            take the first N packages only, 0 = all (default 20000)
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
query  one search: 1 to 3 terms of a real package (the one of rank r about 1/r as often as the
       first); posting lists are intersected and up to 20 rows fetched and checked, all under one
       snapshot. Many packages are asked for before they are there.

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
constexpr char kAptLists[] = "/var/lib/apt/lists";

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
  std::string input, dir;
  uint64_t limit = 20000, rate = UINT64_MAX, followers = 2, query_threads = 1;
  bool keep = false, help = false;
  std::string leader, name;  // given by the leader to the processes that it starts
};

bool ParseOptions(int argc, char** argv, Options* o) {
  const struct {
    const char* name;
    std::string* text;
    uint64_t* number;
    uint64_t max;
    bool* flag;
  } known[] = {{"input", &o->input, nullptr, 0, nullptr},
               {"dir", &o->dir, nullptr, 0, nullptr},
               {"leader", &o->leader, nullptr, 0, nullptr},
               {"name", &o->name, nullptr, 0, nullptr},
               {"limit", nullptr, &o->limit, 1'000'000'000, nullptr},
               {"rate", nullptr, &o->rate, 10'000'000, nullptr},
               {"followers", nullptr, &o->followers, 16, nullptr},
               {"query-threads", nullptr, &o->query_threads, 64, nullptr},
               {"keep", nullptr, nullptr, 0, &o->keep},
               {"help", nullptr, nullptr, 0, &o->help}};
  std::vector<option> long_options;
  for (const auto& k : known) {
    long_options.push_back(
        {k.name, k.flag == nullptr ? required_argument : no_argument, nullptr, 0});
  }
  long_options.push_back({});
  int index = 0;
  for (int c; (c = ::getopt_long(argc, argv, "", long_options.data(), &index)) != -1;) {
    if (c != 0) return false;  // getopt has said why
    const auto& k = known[index];
    if (k.flag != nullptr) *k.flag = true;
    if (k.text != nullptr) *k.text = optarg;
    if (k.number == nullptr) continue;
    const char* end = optarg + std::strlen(optarg);
    const auto [stop, error] = std::from_chars(optarg, end, *k.number);
    if (error == std::errc() && stop == end && *k.number <= k.max) continue;
    std::cerr << "package_search: --" << k.name << " \"" << optarg
              << "\": expected a number from 0 to " << k.max << '\n';
    return false;
  }
  if (optind < argc) std::cerr << "package_search: unexpected \"" << argv[optind] << "\"\n";
  return optind == argc;
}

// ---- The package index as apt keeps it.

struct Package {
  std::string name;
  std::string row;  // "Field: value\n" of the fields below, as stored
};

bool ReadPackages(const std::string& path, uint64_t limit, std::vector<Package>* packages) {
  static const std::set<std::string, std::less<>> kFields = {
      "Package",      "Version",        "Section", "Maintainer",
      "Architecture", "Installed-Size", "Depends", "Description"};
  // The path comes by a variable, so that no character in it means anything to the shell.
  ::setenv("PACKAGE_LIST", path.c_str(), 1);
  FILE* pipe = ::popen(
      "case $PACKAGE_LIST in"
      "  *.gz) exec zcat \"$PACKAGE_LIST\" ;;"
      "  *.xz) exec xzcat \"$PACKAGE_LIST\" ;;"
      "  *.lz4) command -v lz4cat > /dev/null && exec lz4cat \"$PACKAGE_LIST\";"
      "         exec /usr/lib/apt/apt-helper cat-file \"$PACKAGE_LIST\" ;;"
      "  *) exec cat \"$PACKAGE_LIST\" ;;"
      "esac",
      "re");
  if (pipe == nullptr) return false;
  Package package;
  char* line = nullptr;
  size_t capacity = 0;
  for (ssize_t n = 1; n > 0;) {
    n = ::getline(&line, &capacity, pipe);
    const std::string_view text(line, n > 0 ? std::strcspn(line, "\n") : 0);
    const size_t colon = text.find(": ");
    if (text.empty()) {  // the end of a record
      // Behind the limit too, for a pipe that is closed early is an error to the other side.
      if (!package.name.empty() && (limit == 0 || packages->size() < limit)) {
        packages->push_back(package);
      }
      package = Package();
    } else if (colon != std::string_view::npos && kFields.contains(text.substr(0, colon))) {
      package.row.append(text).push_back('\n');
      if (text.starts_with("Package: ")) package.name = text.substr(colon + 2);
    }
  }
  ::free(line);
  return ::pclose(pipe) == 0;
}

bool ReadInput(const Options& options, std::vector<Package>* packages) {
  std::vector<fs::path> lists;
  std::error_code error;
  if (!options.input.empty()) {
    lists = {options.input};
  } else {
    for (const auto& entry : fs::directory_iterator(kAptLists, error)) {
      const fs::path& path = entry.path();
      const bool plain = path.filename().string().ends_with("_Packages");
      if (plain || path.stem().string().ends_with("_Packages")) lists.push_back(path);
    }
    // The largest first: the smaller ones hold updates of what is in it.
    std::sort(lists.begin(), lists.end(), [&error](const fs::path& a, const fs::path& b) {
      return fs::file_size(a, error) > fs::file_size(b, error);
    });
    if (lists.empty()) lists = {fs::path(__FILE__).parent_path() / "data" / "packages.sample"};
  }
  for (const fs::path& list : lists) {
    if (options.limit != 0 && packages->size() >= options.limit) break;
    if (!fs::is_regular_file(list, error) ||
        !ReadPackages(list.string(), options.limit, packages)) {
      std::cerr << "package_search: cannot read " << list << '\n';
    }
  }
  if (packages->empty()) std::cerr << "package_search: no package records (try --input FILE)\n";
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

// The form of a counter for RocksDB's uint64add: eight bytes, the least significant first.
std::string Fixed64(uint64_t value) {
  std::string out(8, '\0');
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(value >> (8 * i));
  return out;
}

// Write number n of this run leaves "n time" under a key of its own until the ring comes round.
// Every opening of a leader is a new epoch.
std::string ClockKey(uint64_t epoch, uint64_t n) {
  return "clock/" + std::to_string(epoch) + "/" + std::to_string(n % 65536);
}

// The terms of the package that is asked for most, second most, and so on: a line of them.
std::string PopularKey(size_t rank) { return "popular/" + std::to_string(rank); }

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

// ---- Latencies.

class Latencies {
 public:
  void Add(uint64_t us) {
    std::lock_guard<std::mutex> lock(mutex_);
    all_us_.push_back(us);
  }

  // "count p50 p99" of what was added behind the first `*from`, which then stands at the end.
  std::string Describe(size_t* from) const {
    std::unique_lock<std::mutex> lock(mutex_);
    std::vector<uint64_t> us(all_us_.begin() + static_cast<std::ptrdiff_t>(*from), all_us_.end());
    *from = all_us_.size();
    lock.unlock();
    std::sort(us.begin(), us.end());
    const auto at = [&us](size_t percent) {
      return std::to_string(us.empty() ? 0 : us[us.size() * percent / 100]);
    };
    return std::to_string(us.size()) + " " + at(50) + " " + at(99);
  }

 private:
  mutable std::mutex mutex_;
  std::vector<uint64_t> all_us_;
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
  std::atomic<bool> stop{false};
  uint64_t epoch = 0;
  std::atomic<uint64_t> writes_seen{0};
  std::atomic<uint64_t> overrun{0}, found{0}, errors{0};
  Latencies lag, query;
};

// Looks for the next write's time, again and again.
void WatchClock(FollowerWork* work) {
  std::string value;
  while (!work->stop) {
    const uint64_t next = work->writes_seen;
    const Status s = work->db->Get({}, work->handles[kClock], ClockKey(work->epoch, next), &value);
    uint64_t seen = 0, time_us = 0;
    if (s.ok()) std::istringstream(value) >> seen >> time_us;
    if (s.ok() && seen >= next) {
      work->lag.Add(NowUs() - time_us);
      // More than 0 if the ring came round before this thread did.
      work->overrun += seen - next;
      work->writes_seen = seen + 1;
    } else {
      SleepUs(kPollUs);
    }
  }
}

void AskQuestions(FollowerWork* work, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform;
  for (std::string line; !work->stop; SleepUs(kQueryPauseUs)) {
    // The package of rank r is asked for with a probability of about 1/r.
    const auto rank = static_cast<size_t>(std::pow(kPopularPackages, uniform(random))) - 1;
    if (!work->db->Get({}, work->handles[kClock], PopularKey(rank), &line).ok()) continue;
    std::istringstream split(line);
    std::vector<std::string> words, terms;
    for (std::string word; std::getline(split, word, '\t');) words.push_back(word);
    std::sample(words.begin(), words.end(), std::back_inserter(terms), 1 + random() % 3, random);
    uint64_t found = 0;
    const uint64_t start = NowUs();
    const Status s = Search(work->db, work->handles, terms, &found);
    work->query.Add(NowUs() - start);
    work->found += found;
    if (!s.ok() && ++work->errors <= 3) Ok(s, "wrong answer");
  }
}

// One line for the leader: what happened since the last one, or in all. See Figures.
void Report(const FollowerWork& work, const slipstream::FollowerStats& stats, size_t* lag_from,
            size_t* query_from) {
  std::ostringstream line;
  line << "live " << work.lag.Describe(lag_from) << ' ' << work.query.Describe(query_from) << ' '
       << work.overrun << ' ' << work.found << ' ' << work.errors << ' ' << stats.rebuilds << ' '
       << stats.memtable_bytes + stats.image_bytes << '\n';
  std::cout << line.str() << std::flush;
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
  const std::string objects = (fs::path(options.dir) / "objects").string();
  Status s = slipstream::NewDirectoryStorage(objects, &follower_options.storage);
  if (!Ok(s, "open the shared storage")) return 1;
  Handles handles;
  std::unique_ptr<slipstream::Follower> follower;
  s = slipstream::Follower::Open(follower_options, {}, Schema(), &handles, &follower);
  if (!Ok(s, "open the follower")) return 1;

  FollowerWork work;
  work.db = follower->db();
  work.handles = handles;
  work.epoch = follower->position().epoch;
  std::vector<std::thread> threads;
  threads.emplace_back(WatchClock, &work);
  for (uint64_t i = 0; i < options.query_threads; ++i) {
    threads.emplace_back(AskQuestions, &work, std::hash<std::string>()(options.name) + i);
  }
  threads.emplace_back([&] {
    size_t lag_from = 0, query_from = 0;
    for (std::cout << "ready\n" << std::flush; !work.stop; SleepUs(250'000)) {
      Report(work, follower->stats(), &lag_from, &query_from);
    }
  });

  // The leader's word: "verify POSITION WRITES" once all is written. No word: stop.
  std::string word, text;
  uint64_t writes = 0;
  slipstream::Position position;
  std::cin >> word >> text >> writes;
  const bool verify = word == "verify" && slipstream::Position::Parse(text, &position).ok();
  // Once this has returned OK, reads include everything that the leader had written at `position`.
  if (verify) s = follower->WaitFor(position, kVerifyTimeoutUs);
  for (int i = 0; verify && i < 1000 && work.writes_seen < writes; ++i) SleepUs(1000);
  work.stop = true;
  for (std::thread& thread : threads) thread.join();
  if (verify) {
    std::string digest;
    size_t lag_from = 0, query_from = 0;
    Report(work, follower->stats(), &lag_from, &query_from);
    if (s.ok()) s = Digest(follower->db(), handles, &digest);
    std::cout << "digest " << (s.ok() ? digest : "failed: " + s.ToString()) << std::endl;
  }
  for (auto* handle : handles) delete handle;
  return Ok(follower->Close(), "close the follower") ? 0 : 1;
}

// ---- The leader's side of a follower process.

struct Figures {
  uint64_t lags = 0, lag_p50 = 0, lag_p99 = 0, queries = 0, query_p50 = 0, query_p99 = 0;
  uint64_t overrun = 0, found = 0, errors = 0, rebuilds = 0, memory_bytes = 0;
};

class FollowerProcess {
 public:
  ~FollowerProcess() { Stop(); }

  // Runs this program once more, with `args` and with its standard input and output on pipes.
  bool Start(const std::string& name, std::vector<std::string> args) {
    name_ = name;
    int to_child[2], from_child[2];
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
    if (::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, argv.data(), environ) != 0) {
      pid_ = 0;
    }
    posix_spawn_file_actions_destroy(&actions);
    ::close(to_child[0]);
    ::close(from_child[1]);
    to_ = to_child[1];
    listener_ = std::thread([this, file = ::fdopen(from_child[0], "r")] { Listen(file); });
    return pid_ != 0;
  }

  // Lets it end, and kills it if that takes more than ten seconds. Returns whether it ended well;
  // says so if not.
  bool Stop() {
    if (!listener_.joinable()) return true;
    ::close(to_);
    int status = 0;
    pid_t ended = pid_ == 0 ? -1 : 0;
    for (int i = 0; i < 1000 && ended == 0; ++i, SleepUs(10'000)) {
      ended = ::waitpid(pid_, &status, WNOHANG);
    }
    if (ended == 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, &status, 0);
    }
    listener_.join();
    if (status == 0) return true;
    std::cerr << "package_search: " << name_ << " ended with "
              << (WIFSIGNALED(status) ? "signal " : "exit code ")
              << (WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)) << '\n';
    return false;
  }

  void Send(const std::string& line) {
    // Should it be gone, its listener notices.
    if (::write(to_, line.data(), line.size()) < 0) return;
  }

  // What its last line that began with `word` said; "ended" is said by the end of its output.
  std::optional<std::string> Said(const std::string& word) const {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto said = said_.find(word);
    return said == said_.end() ? std::nullopt : std::optional(said->second);
  }

  Figures figures() const {
    Figures f;
    std::istringstream(Said("live").value_or("")) >> f.lags >> f.lag_p50 >> f.lag_p99 >>
        f.queries >> f.query_p50 >> f.query_p99 >> f.overrun >> f.found >> f.errors >> f.rebuilds >>
        f.memory_bytes;
    return f;
  }

  const std::string& name() const { return name_; }

 private:
  void Listen(FILE* file) {
    char line[4096];
    while (::fgets(line, sizeof(line), file) != nullptr) {
      const std::string_view text(line, std::strcspn(line, "\n"));
      const size_t space = std::min(text.find(' '), text.size());
      std::lock_guard<std::mutex> lock(mutex_);
      said_[std::string(text.substr(0, space))] = text.substr(std::min(space + 1, text.size()));
    }
    ::fclose(file);
    std::lock_guard<std::mutex> lock(mutex_);
    said_["ended"] = "";
  }

  std::string name_;
  pid_t pid_ = 0;
  int to_ = -1;
  std::thread listener_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> said_;
};

using FollowerProcesses = std::vector<std::unique_ptr<FollowerProcess>>;

bool AllAlive(const FollowerProcesses& followers) {
  for (const auto& follower : followers) {
    if (!follower->Said("ended") || follower->Said("digest")) continue;
    std::cerr << "\npackage_search: " << follower->name() << " has ended before its time\n";
    return false;
  }
  return true;
}

// Waits until all followers have said `word`; false if one ended or Ctrl-C was pressed instead.
bool WaitForWord(const FollowerProcesses& followers, const std::string& word) {
  for (const auto& follower : followers) {
    for (; !follower->Said(word); SleepUs(10'000)) {
      if (interrupted != 0 || !AllAlive(followers)) return false;
    }
  }
  return true;
}

// ---- The leader's own work.

// Writes one package with everything that belongs to it: followers see all of it or nothing.
Status IngestPackage(rocksdb::DB* db, const Handles& handles, const Package& package,
                     const std::string& clock_key, uint64_t n) {
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
  batch.Put(handles[kClock], clock_key, std::to_string(n) + " " + std::to_string(NowUs()));
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

// Leaves in the database what the followers' searches are made of.
Status WritePopular(rocksdb::DB* db, const Handles& handles, const std::vector<Package>& packages) {
  std::mt19937_64 random(2);
  rocksdb::WriteBatch batch;
  for (size_t rank = 0; rank < kPopularPackages; ++rank) {
    std::string line;
    for (const std::string& term : Terms(packages[random() % packages.size()].row)) {
      line += term + '\t';
    }
    batch.Put(handles[kClock], PopularKey(rank), line);
  }
  return db->Write({}, &batch);
}

// Redraws one line on a terminal; prints a line a second elsewhere.
class LiveLine {
 public:
  explicit LiveLine(uint64_t total) : total_(total) {}
  ~LiveLine() {
    if (terminal_) std::cout << std::endl;
  }

  void MaybePrint(uint64_t done, const FollowerProcesses& followers) {
    const double seconds = static_cast<double>(NowUs() - last_us_) / 1e6;
    if (seconds < (terminal_ ? 0.25 : 1.0)) return;
    std::ostringstream line;
    line << done << "/" << total_ << " packages, "
         << std::lround(static_cast<double>(done - last_done_) / seconds) << "/s";
    for (const auto& follower : followers) {
      const Figures f = follower->figures();
      line << " | lag " << f.lag_p50 << "/" << f.lag_p99 << " query " << f.query_p50 << "/"
           << f.query_p99 << " us";
    }
    last_us_ = NowUs();
    last_done_ = done;
    struct winsize window {};
    if (!terminal_) {
      std::cout << line.str() << std::endl;
    } else if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1) {
      std::cout << "\r\033[K" << line.str().substr(0, window.ws_col - 1u) << std::flush;
    }
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

bool Ingest(slipstream::Leader* leader, const Handles& handles,
            const std::vector<Package>& packages, uint64_t rate, const FollowerProcesses& followers,
            IngestResult* result) {
  const uint64_t total = packages.size() + (packages.size() - 1) / (kReviseEvery - 1);
  if (rate == UINT64_MAX) rate = std::max<uint64_t>(1, total / kDefaultRunSeconds);
  const double step_us = rate == 0 ? 0 : 1e6 / static_cast<double>(rate);
  const uint64_t epoch = leader->position().epoch;
  std::mt19937_64 random(3);
  LiveLine live(total);
  const uint64_t start = NowUs();
  auto due = static_cast<double>(start);
  for (uint64_t n = 0, next = 0; n < total && interrupted == 0; ++n) {
    const bool revise = n % kReviseEvery == kReviseEvery - 1;
    const Status s = IngestPackage(leader->db(), handles,
                                   revise ? Revised(packages[random() % next], n) : packages[next],
                                   ClockKey(epoch, n), n);
    if (!Ok(s, "write") || !AllAlive(followers)) return false;
    revise ? ++result->revised : ++next;
    ++result->written;
    // What could not be written in time is not made up for by a burst.
    due = std::max(due + step_us, static_cast<double>(NowUs()) - 10'000);
    for (;;) {
      live.MaybePrint(n + 1, followers);
      const double wait_us = due - static_cast<double>(NowUs());
      if (wait_us <= 0 || interrupted != 0) break;
      SleepUs(static_cast<uint64_t>(std::min(wait_us, 100'000.0)));
    }
  }
  result->seconds = static_cast<double>(NowUs() - start) / 1e6;
  return interrupted == 0;
}

void PrintSummary(const IngestResult& result, const slipstream::LeaderStats& leader,
                  const FollowerProcesses& followers) {
  std::cout << "\nleader: " << result.written << " writes (" << result.revised << " revisions) in "
            << std::lround(result.seconds * 10) / 10.0 << " s, " << leader.log_bytes / 1'000'000
            << " MB of log, " << leader.live_objects << " SST files, "
            << leader.deleted_objects + leader.pinned_objects
            << " more replaced by compactions\n\n";
  const auto row = [](const auto&... cells) {
    ((std::cout << std::setw(11) << cells), ...);
    std::cout << '\n';
  };
  row("", "lag p50", "p99 us", "writes", "overrun", "query p50", "p99 us", "queries", "rows found");
  for (const auto& follower : followers) {
    const Figures f = follower->figures();
    row(follower->name(), f.lag_p50, f.lag_p99, f.lags, f.overrun, f.query_p50, f.query_p99,
        f.queries, f.found);
  }
  for (const auto& follower : followers) {
    const Figures f = follower->figures();
    std::cout << follower->name() << ": switched to newer files " << f.rebuilds << " times, "
              << f.memory_bytes / 1'000'000 << " MB for what is not in files yet\n";
  }
}

// Compares what the followers hold at the leader's last position with what it holds itself.
bool Verify(slipstream::Leader* leader, const Handles& handles, const FollowerProcesses& followers,
            const IngestResult& result) {
  const std::string position = leader->position().ToString();
  for (const auto& follower : followers) {
    follower->Send("verify " + position + " " + std::to_string(result.written) + "\n");
  }
  std::string expected;
  if (!Ok(Digest(leader->db(), handles, &expected), "scan the leader") ||
      !WaitForWord(followers, "digest")) {
    return false;
  }
  PrintSummary(result, leader->stats(), followers);
  std::cout << "\nall there is at position " << position << ":\n  leader      " << expected << '\n';
  bool same = true;
  uint64_t errors = 0;
  for (const auto& follower : followers) {
    same = same && follower->Said("digest") == expected;
    errors += follower->figures().errors;
    std::cout << "  " << follower->name() << "  " << *follower->Said("digest") << '\n';
  }
  std::cout << (same ? "identical" : "DIFFERENT") << ", " << errors << " wrong answers"
            << std::endl;
  return same && errors == 0;
}

int LeaderMain(const Options& options, const fs::path& dir) {
  std::vector<Package> packages;
  if (!ReadInput(options, &packages)) return 1;
  std::cout << packages.size() << " packages; database in " << dir.string() << std::endl;

  slipstream::LeaderOptions leader_options;
  leader_options.database = kDatabase;
  Status s = slipstream::NewDirectoryStorage((dir / "objects").string(), &leader_options.storage);
  if (!Ok(s, "open the shared storage")) return 1;
  rocksdb::DBOptions db_options;
  db_options.create_if_missing = true;
  db_options.create_missing_column_families = true;
  Handles handles;
  std::unique_ptr<slipstream::Leader> leader;
  s = slipstream::Leader::Open(leader_options, db_options, (dir / "leader").string(), Schema(),
                               &handles, &leader);
  if (!Ok(s, "open the leader")) return 1;

  FollowerProcesses followers;
  bool good = Ok(WritePopular(leader->db(), handles, packages), "write");
  for (uint64_t i = 1; good && i <= options.followers; ++i) {
    const std::string name = "follower-" + std::to_string(i);
    followers.push_back(std::make_unique<FollowerProcess>());
    good =
        followers.back()->Start(name, {"--leader=127.0.0.1:" + std::to_string(leader->port()),
                                       "--name=" + name, "--dir=" + dir.string(),
                                       "--query-threads=" + std::to_string(options.query_threads)});
    if (!good) std::cerr << "package_search: cannot start " << name << '\n';
  }
  IngestResult result;
  good = good && WaitForWord(followers, "ready") &&
         Ingest(leader.get(), handles, packages, options.rate, followers, &result) &&
         Verify(leader.get(), handles, followers, result);
  for (const auto& follower : followers) good = follower->Stop() && good;
  for (auto* handle : handles) delete handle;
  good = Ok(leader->Close(), "close the leader") && good;
  if (interrupted == 0) return good ? 0 : 1;
  std::cout << "\nstopped" << std::endl;
  return 130;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!ParseOptions(argc, argv, &options)) return 2;
  if (options.help) {
    std::cout << kHelp;
    return 0;
  }
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
