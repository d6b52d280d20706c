// Uses the installed library through its public headers: writes on a leader, reads on a follower,
// looks at the threads.
#include <slipstream/follower.h>
#include <slipstream/leader.h>
#include <slipstream/observe/http_server.h>
#include <slipstream/observe/thread_stacks.h>

#include <cstdio>
#include <filesystem>

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: consumer DIRECTORY\n");
    return 2;
  }
  const std::string directory = argv[1];
  std::filesystem::remove_all(directory);

  std::shared_ptr<slipstream::SharedStorage> storage;
  rocksdb::Status s = slipstream::NewDirectoryStorage(directory + "/shared", &storage);
  slipstream::LeaderOptions leader_options;
  leader_options.database = "consumer";
  leader_options.storage = storage;
  rocksdb::Options options;
  options.create_if_missing = true;
  std::unique_ptr<slipstream::Leader> leader;
  if (s.ok()) s = slipstream::Leader::Open(leader_options, options, directory + "/db", &leader);
  if (s.ok()) s = leader->db()->Put(rocksdb::WriteOptions(), "key", "value");

  slipstream::FollowerOptions follower_options;
  follower_options.database = "consumer";
  follower_options.storage = storage;
  std::unique_ptr<slipstream::Follower> follower;
  if (s.ok()) {
    follower_options.leader_address = "127.0.0.1:" + std::to_string(leader->port());
    s = slipstream::Follower::Open(follower_options, rocksdb::Options(), &follower);
  }
  if (s.ok()) s = follower->WaitFor(leader->position(), 10'000'000);
  std::string value;
  if (s.ok()) s = follower->db()->Get(rocksdb::ReadOptions(), "key", &value);
  slipstream::observe::ThreadStacks stacks;
  if (s.ok()) s = slipstream::observe::CaptureThreadStacks({}, &stacks);
  if (s.ok() && stacks.threads.empty()) s = rocksdb::Status::Corruption("no stacks");
  std::unique_ptr<slipstream::observe::HttpServer> server;
  if (s.ok()) s = slipstream::observe::HttpServer::Start({}, &server);
  server.reset();
  follower.reset();
  leader.reset();
  std::filesystem::remove_all(directory);
  printf("%s\n", s.ok() ? value.c_str() : s.ToString().c_str());
  return s.ok() && value == "value" ? 0 : 1;
}
