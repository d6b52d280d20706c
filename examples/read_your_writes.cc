// Read your own writes across processes: the position of a write travels with the request.
//
// A web application writes through the process that has the leader, and the next request of the
// same user is answered by another process, with a follower. The follower is a fraction of a
// millisecond behind, so that request may come too early.
//
// What to look at: the writer puts leader->position().ToString() into the request, and the reader
// passes it to Follower::WaitFor before it reads. Half of the requests do without, for comparison.

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include "slipstream/follower.h"
#include "slipstream/leader.h"
#include "slipstream/shared_storage.h"

namespace fs = std::filesystem;
using rocksdb::Status;

namespace {

constexpr char kHelp[] = R"(Usage: read_your_writes

One process writes, another one reads, and the position of each write is passed along. Prints how
many of 1000 reads came too early without Follower::WaitFor, and how many with it.
Exit code: 0 if none came too early with it.
)";

constexpr char kDatabase[] = "read_your_writes";
constexpr int kRequests = 2000;  // every second one waits
constexpr uint64_t kTimeoutUs = 10'000'000;

bool Ok(const Status& s, const std::string& what) {
  if (!s.ok()) std::cerr << "read_your_writes: " << what << ": " << s.ToString() << std::endl;
  return s.ok();
}

// The process with the follower: answers "KEY POSITION" with the value of KEY, a line each.
// "KEY -" is answered at once.
int ReaderMain(const fs::path& dir, const std::string& leader_address) {
  slipstream::FollowerOptions options;
  options.database = kDatabase;
  options.leader_address = leader_address;
  Status s = slipstream::NewDirectoryStorage((dir / "objects").string(), &options.storage);
  if (!Ok(s, "open the shared storage")) return 1;
  std::unique_ptr<slipstream::Follower> follower;
  s = slipstream::Follower::Open(options, rocksdb::Options(), &follower);
  if (!Ok(s, "open the follower")) return 1;
  std::cout << "ready" << std::endl;

  for (std::string key, token; std::cin >> key >> token;) {
    if (token != "-") {
      slipstream::Position position;
      s = slipstream::Position::Parse(token, &position);
      if (s.ok()) s = follower->WaitFor(position, kTimeoutUs);
      if (!Ok(s, "wait")) return 1;
    }
    std::string value;
    s = follower->db()->Get({}, key, &value);
    std::cout << (s.IsNotFound() ? "(nothing)" : value) << std::endl;
  }
  return 0;
}

// The other process, with its standard input and output on pipes.
class Reader {
 public:
  bool Start(const std::string& dir, const std::string& leader_address) {
    int to_child[2];
    int from_child[2];
    if (::pipe2(to_child, O_CLOEXEC) != 0 || ::pipe2(from_child, O_CLOEXEC) != 0) return false;
    std::string name = "read_your_writes", role = "--reader", where = dir, whom = leader_address;
    char* argv[] = {name.data(), role.data(), where.data(), whom.data(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to_child[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, from_child[1], STDOUT_FILENO);
    const int error = ::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(to_child[0]);
    ::close(from_child[1]);
    to_ = ::fdopen(to_child[1], "w");
    from_ = ::fdopen(from_child[0], "r");
    return error == 0 && ReadLine() == "ready";
  }

  std::string Ask(const std::string& request) {
    std::fprintf(to_, "%s\n", request.c_str());
    std::fflush(to_);
    return ReadLine();
  }

  // Returns whether it ended well.
  bool Stop() {
    if (to_ == nullptr) return false;
    std::fclose(to_);
    std::fclose(from_);
    int status = 1;
    return ::waitpid(pid_, &status, 0) == pid_ && status == 0;
  }

 private:
  std::string ReadLine() {
    char line[256];
    if (std::fgets(line, sizeof(line), from_) == nullptr) return "(no answer)";
    std::string text = line;
    text.pop_back();
    return text;
  }

  pid_t pid_ = 0;
  FILE* to_ = nullptr;
  FILE* from_ = nullptr;
};

int WriterMain(const fs::path& dir) {
  slipstream::LeaderOptions options;
  options.database = kDatabase;
  Status s = slipstream::NewDirectoryStorage((dir / "objects").string(), &options.storage);
  if (!Ok(s, "open the shared storage")) return 1;
  rocksdb::Options db_options;
  db_options.create_if_missing = true;
  std::unique_ptr<slipstream::Leader> leader;
  s = slipstream::Leader::Open(options, db_options, (dir / "leader").string(), &leader);
  if (!Ok(s, "open the leader")) return 1;

  Reader reader;
  bool good = reader.Start(dir.string(), "127.0.0.1:" + std::to_string(leader->port()));
  int early_without = 0;
  int early_with = 0;
  for (int i = 0; good && i < kRequests; ++i) {
    const bool wait = i % 2 == 0;
    const std::string value = "written-" + std::to_string(i);
    good = Ok(leader->db()->Put({}, "cart", value), "write");
    // Taken after the write has returned, so it covers the write.
    const std::string token = wait ? leader->position().ToString() : "-";
    if (reader.Ask("cart " + token) != value) ++(wait ? early_with : early_without);
  }
  good = reader.Stop() && good;
  std::cout << "reads that did not see the write just made, of " << kRequests / 2 << " each:\n"
            << "  without WaitFor  " << early_without << '\n'
            << "  with WaitFor     " << early_with << std::endl;
  return good && early_with == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == "--reader") return ReaderMain(argv[2], argv[3]);
  if (argc > 1) {
    std::cout << kHelp;
    return std::string(argv[1]) == "--help" ? 0 : 2;
  }
  ::signal(SIGPIPE, SIG_IGN);  // a reader that is gone is noticed by its missing answer
  std::string dir = (fs::temp_directory_path() / "read_your_writes-XXXXXX").string();
  if (::mkdtemp(dir.data()) == nullptr) return 1;
  const int result = WriterMain(dir);
  std::error_code ignored;
  fs::remove_all(dir, ignored);
  return result;
}
