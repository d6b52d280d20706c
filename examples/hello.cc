// The smallest complete program: a leader and a follower of the same database in one process.
//
// What to look at: follower->db() never writes anything. What it shows comes from the leader's log,
// and it is an ordinary rocksdb::DB to read from.

#include <stdlib.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include "slipstream/follower.h"
#include "slipstream/leader.h"
#include "slipstream/shared_storage.h"

namespace fs = std::filesystem;
using rocksdb::Status;

namespace {

Status Run(const fs::path& dir, std::string* value) {
  // Flushed data lives here once, for the leader and for all followers.
  std::shared_ptr<slipstream::SharedStorage> storage;
  Status s = slipstream::NewDirectoryStorage((dir / "objects").string(), &storage);
  if (!s.ok()) return s;

  slipstream::LeaderOptions leader_options;
  leader_options.database = "hello";
  leader_options.storage = storage;
  rocksdb::Options db_options;
  db_options.create_if_missing = true;
  std::unique_ptr<slipstream::Leader> leader;
  s = slipstream::Leader::Open(leader_options, db_options, (dir / "leader").string(), &leader);
  if (!s.ok()) return s;

  slipstream::FollowerOptions follower_options;
  follower_options.database = "hello";
  follower_options.storage = storage;
  follower_options.leader_address = "127.0.0.1:" + std::to_string(leader->port());
  std::unique_ptr<slipstream::Follower> follower;
  s = slipstream::Follower::Open(follower_options, rocksdb::Options(), &follower);
  if (!s.ok()) return s;

  s = leader->db()->Put({}, "greeting", "hello from the leader");
  // The follower is a fraction of a millisecond behind; a position says what to wait for.
  if (s.ok()) s = follower->WaitFor(leader->position(), /*timeout_us=*/10'000'000);
  if (s.ok()) s = follower->db()->Get({}, "greeting", value);
  return s;  // the follower is closed first, then the leader with its database
}

}  // namespace

int main(int argc, char**) {
  if (argc > 1) {
    std::cout << "Usage: hello\nWrites on a leader and reads on a follower, in one process.\n";
    return 0;
  }
  std::string dir = (fs::temp_directory_path() / "slipstream_hello-XXXXXX").string();
  if (::mkdtemp(dir.data()) == nullptr) return 1;
  std::string value;
  const Status s = Run(dir, &value);
  std::cout << (s.ok() ? "the follower reads: " + value : s.ToString()) << std::endl;
  std::error_code ignored;
  fs::remove_all(dir, ignored);
  return s.ok() && value == "hello from the leader" ? 0 : 1;
}
