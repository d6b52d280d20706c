// What examples/slipstream_history asks: a leader with a history, a follower that shows it over
// HTTP, and the log of the same tasks.
//
//   history_node DIRECTORY
//
// Prints "ready PORT", and ends with its standard input.
#include <iostream>
#include <memory>
#include <string>

#include "slipstream/follower.h"
#include "slipstream/leader.h"
#include "slipstream/observe/history.h"
#include "slipstream/observe/http_server.h"
#include "slipstream/observe/task.h"
#include "slipstream/observe/task_log.h"
#include "slipstream/shared_storage.h"

int main(int argc, char** argv) {
  using namespace slipstream;
  using rocksdb::Status;
  constexpr uint64_t kPatienceUs = 30'000'000;
  if (argc != 2) return 2;
  const std::string directory = argv[1];
  std::shared_ptr<SharedStorage> storage;
  std::unique_ptr<observe::TaskRegistry> registry;
  Status s = NewDirectoryStorage(directory + "/storage", &storage);
  if (s.ok()) s = observe::TaskRegistry::Create({.name = "node"}, &registry);

  rocksdb::Options options;
  options.create_if_missing = true;
  observe::HistoryWriter::TuneOptions(&options);
  LeaderOptions leader_options;
  leader_options.database = "history";
  leader_options.storage = storage;
  std::unique_ptr<Leader> leader;
  if (s.ok()) s = Leader::Open(leader_options, options, directory + "/leader", &leader);
  FollowerOptions follower_options;
  follower_options.database = "history";
  follower_options.storage = storage;
  std::unique_ptr<Follower> follower;
  if (s.ok()) {
    follower_options.leader_address = "127.0.0.1:" + std::to_string(leader->port());
    s = Follower::Open(follower_options, options, &follower);
  }
  std::unique_ptr<observe::TaskLog> log;
  if (s.ok()) s = observe::TaskLog::Open({.registry = registry.get(), .storage = storage}, &log);
  std::unique_ptr<observe::HistoryKeeper> keeper;
  if (s.ok()) {
    s = observe::HistoryKeeper::Open({.db = leader->db(), .registry = registry.get()}, &keeper);
  }
  for (int i = 1; s.ok() && i <= 300; ++i) {
    observe::Task task(registry.get(), i % 3 == 0 ? "ingest" : "query",
                       {{"account", std::to_string(i)}, {"source", "web"}});
    task.SetStatus("reading");
    if (i % 100 == 0) task.Finish(Status::IOError("disk", "\x1b[31mred"));
  }
  if (s.ok()) s = log->Flush(kPatienceUs);
  if (s.ok()) s = keeper->Flush(kPatienceUs);
  if (s.ok()) s = follower->WaitFor(leader->position(), kPatienceUs);
  std::unique_ptr<observe::History> history;
  std::unique_ptr<observe::HttpServer> server;
  if (s.ok()) {
    history = std::make_unique<observe::History>(follower->db());
    s = observe::HttpServer::Start({.history = history.get()}, &server);
  }
  if (!s.ok()) {
    std::cout << "error " << s.ToString() << std::endl;
    return 1;
  }
  std::cout << "ready " << server->port() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
  }
  server->Stop();
  s = keeper->Close(kPatienceUs);
  if (s.ok()) s = log->Close(kPatienceUs);
  return s.ok() ? 0 : 1;
}
