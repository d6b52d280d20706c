// A leader and its followers, each in a terminal of its own, with commands to type.
//
// What to look at: type "put" on the leader and "get" on a follower; "flush" on the leader, then
// "stats" on both; end a follower and start it again. A follower given to "put" refuses.

#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "slipstream/follower.h"
#include "slipstream/leader.h"
#include "slipstream/shared_storage.h"

namespace fs = std::filesystem;
using rocksdb::Status;

namespace {

constexpr char kHelp[] = R"(Usage: two_processes leader DIR [PORT]
       two_processes follower DIR HOST:PORT

In one terminal:   two_processes leader /some/dir 5000
In another:        two_processes follower /some/dir 127.0.0.1:5000

DIR holds the leader's database and the storage that both share. Without PORT, or with 0, the
system chooses one. Commands are read from standard input, a terminal or not:

  put KEY VALUE    write (leader)
  delete KEY       write (leader)
  flush            move what is in memory to files on the shared storage (leader)
  get KEY          read
  scan             read everything
  stats            figures of replication
  wait             leader: until all connected followers show everything written so far
                   follower: until it shows everything that the leader is known to have
  wait POSITION    until this follower shows what the leader had written at POSITION (follower)
  quit             end; so does the end of input

Exit code: 0 if every command worked, 1 if one failed, 2 for bad arguments.
)";

constexpr char kDatabase[] = "two_processes";
constexpr uint64_t kTimeoutUs = 10'000'000;

// What both sides can do.
Status Get(rocksdb::DB* db, const std::string& key) {
  std::string value;
  const Status s = db->Get({}, key, &value);
  if (s.IsNotFound()) {
    std::cout << "(not found)" << std::endl;
    return Status::OK();
  }
  if (s.ok()) std::cout << value << std::endl;
  return s;
}

Status Scan(rocksdb::DB* db) {
  std::unique_ptr<rocksdb::Iterator> it(db->NewIterator({}));
  uint64_t count = 0;
  for (it->SeekToFirst(); it->Valid(); it->Next(), ++count) {
    std::cout << it->key().ToString() << " = " << it->value().ToString() << '\n';
  }
  std::cout << "(" << count << " keys)" << std::endl;
  return it->status();
}

Status LeaderCommand(slipstream::Leader* leader, const std::string& command,
                     const std::string& first, const std::string& rest) {
  if (command == "put" || command == "delete") {
    const Status s =
        command == "put" ? leader->db()->Put({}, first, rest) : leader->db()->Delete({}, first);
    // A follower that has reached this position shows the write: give it to "wait" there.
    if (s.ok()) std::cout << "at position " << leader->position().ToString() << std::endl;
    return s;
  }
  if (command == "flush") return leader->db()->Flush({});
  if (command == "wait") {
    size_t connected = 0;
    for (const auto& follower : leader->followers()) connected += follower.connected ? 1 : 0;
    const Status s = leader->WaitForFollowers(leader->position(), connected,
                                              slipstream::AckLevel::kApplied, kTimeoutUs);
    if (s.ok()) std::cout << "shown by " << connected << " followers" << std::endl;
    return s;
  }
  if (command == "stats") {
    const slipstream::LeaderStats stats = leader->stats();
    std::cout << "position " << stats.position.ToString() << ", " << stats.live_objects
              << " files on the shared storage\n";
    for (const auto& follower : leader->followers()) {
      std::cout << "follower at " << follower.address << ": "
                << (follower.connected ? "connected" : "gone") << ", shows "
                << follower.applied.ToString() << ", " << follower.lag_sequences << " keys behind, "
                << follower.bytes_sent << " bytes sent\n";
    }
    std::cout << std::flush;
    return stats.replication;
  }
  return Status::InvalidArgument("unknown command " + command + " (see --help)");
}

Status FollowerCommand(slipstream::Follower* follower, const std::string& command,
                       const std::string& first, const std::string& rest) {
  // Refused: a follower is there to be read.
  if (command == "put") return follower->db()->Put({}, first, rest);
  if (command == "delete") return follower->db()->Delete({}, first);
  if (command == "flush") return follower->db()->Flush({});
  if (command == "wait") {
    slipstream::Position position = follower->stats().leader;
    Status s;
    if (!first.empty()) s = slipstream::Position::Parse(first, &position);
    if (s.ok()) s = follower->WaitFor(position, kTimeoutUs);
    if (s.ok()) std::cout << "shows " << follower->position().ToString() << std::endl;
    return s;
  }
  if (command == "stats") {
    const slipstream::FollowerStats stats = follower->stats();
    std::cout << (stats.connected ? "connected" : "not connected") << ", shows "
              << stats.applied.ToString() << ", " << stats.lag_sequences << " keys behind, all the "
              << "leader had " << stats.staleness_us / 1000 << " ms ago; " << stats.keys_applied
              << " keys applied, " << stats.rebuilds << " switches to newer files" << std::endl;
    return stats.status;
  }
  return Status::InvalidArgument("unknown command " + command + " (see --help)");
}

// Runs the commands on standard input. Returns whether all of them worked.
template <typename Command>
bool Prompt(const std::string& role, rocksdb::DB* db, const Command& command_of_role) {
  const bool terminal = ::isatty(STDIN_FILENO) != 0;
  bool good = true;
  for (std::string line;;) {
    if (terminal) std::cout << role << "> " << std::flush;
    if (!std::getline(std::cin, line)) break;
    std::istringstream words(line);
    std::string command, first, rest;
    words >> command >> first >> std::ws;
    std::getline(words, rest);
    if (command.empty()) continue;
    if (command == "quit") break;
    const bool needs_key = command == "get" || command == "put" || command == "delete";
    const Status s = needs_key && first.empty() ? Status::InvalidArgument(command + " needs a key")
                     : command == "get"         ? Get(db, first)
                     : command == "scan"        ? Scan(db)
                                                : command_of_role(command, first, rest);
    if (!s.ok()) std::cout << s.ToString() << std::endl;
    good = good && s.ok();
  }
  return good;
}

bool RunLeader(const fs::path& dir, const std::string& port,
               std::shared_ptr<slipstream::SharedStorage> storage) {
  slipstream::LeaderOptions options;
  options.database = kDatabase;
  options.storage = std::move(storage);
  options.server_options.listen_address = "127.0.0.1:" + port;
  rocksdb::Options db_options;
  db_options.create_if_missing = true;
  std::unique_ptr<slipstream::Leader> leader;
  const Status s =
      slipstream::Leader::Open(options, db_options, (dir / "leader").string(), &leader);
  if (!s.ok()) {
    std::cerr << s.ToString() << std::endl;
    return false;
  }
  std::cout << "listening on 127.0.0.1:" << leader->port() << std::endl;
  const bool good = Prompt("leader", leader->db(),
                           [&](auto&&... args) { return LeaderCommand(leader.get(), args...); });
  return leader->Close().ok() && good;
}

bool RunFollower(const std::string& address, std::shared_ptr<slipstream::SharedStorage> storage) {
  slipstream::FollowerOptions options;
  options.database = kDatabase;
  options.leader_address = address;
  options.storage = std::move(storage);
  std::cout << "connecting to " << address << std::endl;
  std::unique_ptr<slipstream::Follower> follower;
  const Status s = slipstream::Follower::Open(options, rocksdb::Options(), &follower);
  if (!s.ok()) {
    std::cerr << s.ToString() << std::endl;
    return false;
  }
  std::cout << "connected at position " << follower->position().ToString() << std::endl;
  return Prompt("follower", follower->db(),
                [&](auto&&... args) { return FollowerCommand(follower.get(), args...); });
}

bool IsPort(const std::string& text) {
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  return error == std::errc() && stop == end;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (!args.empty() && args[0] == "--help") {
    std::cout << kHelp;
    return 0;
  }
  const bool is_leader = !args.empty() && args[0] == "leader" &&
                         (args.size() == 2 || (args.size() == 3 && IsPort(args[2])));
  if (!is_leader && !(args.size() == 3 && args[0] == "follower")) {
    std::cerr << kHelp;
    return 2;
  }
  std::error_code error;
  const fs::path dir = args[1];
  fs::create_directories(dir, error);
  std::shared_ptr<slipstream::SharedStorage> storage;
  const Status s = slipstream::NewDirectoryStorage((dir / "objects").string(), &storage);
  if (!s.ok()) {
    std::cerr << s.ToString() << std::endl;
    return 1;
  }
  const bool good = is_leader ? RunLeader(dir, args.size() == 3 ? args[2] : "0", storage)
                              : RunFollower(args[2], storage);
  return good ? 0 : 1;
}
