// A process that the page shows: a leader or a follower with an HTTP server, and tasks of its own.
//
//   page_node leader   directory=D storage=S
//   page_node follower address=HOST:PORT storage=S name=N
//
// It prints "ready HTTP_PORT REPLICATION_PORT" and obeys lines on its standard input, each answered
// by one that begins with "ok" or "error":
//
//   put CF KEY VALUE | create CF | flush    on a leader
//   get CF KEY                              -> ok VALUE
//   task KIND KEY VALUE STATUS              begins a task that ends when it is cancelled -> ok ID
//   stall                                   from now on nobody opens an object of the storage:
//                                           whoever tries is a task that waits until it is
//                                           cancelled, and the first that is cancelled ends the
//                                           stall
//
// The bearer token is "open-sesame".
#include <signal.h>
#include <sys/prctl.h>

#include <atomic>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "rocksdb/db.h"
#include "slipstream/follower.h"
#include "slipstream/leader.h"
#include "slipstream/observe/http_server.h"
#include "slipstream/observe/task.h"
#include "slipstream/shared_storage.h"

namespace slipstream::testing {
namespace {

using rocksdb::Status;

class StallingStorage : public SharedStorage {
 public:
  StallingStorage(std::shared_ptr<SharedStorage> base, observe::TaskRegistry* tasks)
      : base_(std::move(base)), tasks_(tasks) {}

  void Stall() { stalled_.store(true); }

  Status NewReader(const std::string& name, std::unique_ptr<ObjectReader>* out) override {
    if (stalled_.load()) {
      observe::TaskScope task(tasks_, "storage", {{"object", name}});
      task->SetStatus("opening an object");
      task->SetBlocker(observe::Blocker::Peer("the shared storage"));
      while (stalled_.load()) {
        if (!task.task().token().WaitFor(10'000)) continue;
        stalled_.store(false);
        const Status s = task->CheckCancelled();
        task->Finish(s);
        return Status::IOError("opening " + name + " was cancelled", s.ToString());
      }
    }
    return base_->NewReader(name, out);
  }
  Status NewWriter(const std::string& name, std::unique_ptr<ObjectWriter>* out) override {
    return base_->NewWriter(name, out);
  }
  Status PutIfAbsent(const std::string& name, const rocksdb::Slice& data) override {
    return base_->PutIfAbsent(name, data);
  }
  Status Put(const std::string& name, const rocksdb::Slice& data) override {
    return base_->Put(name, data);
  }
  Status Size(const std::string& name, uint64_t* size) override { return base_->Size(name, size); }
  Status List(const std::string& prefix, std::vector<std::string>* names) override {
    return base_->List(prefix, names);
  }
  Status Delete(const std::string& name) override { return base_->Delete(name); }
  std::string Describe() const override { return base_->Describe(); }

 private:
  const std::shared_ptr<SharedStorage> base_;
  observe::TaskRegistry* const tasks_;
  std::atomic<bool> stalled_{false};
};

using Arguments = std::map<std::string, std::string>;

class Node {
 public:
  Status Start(const std::string& role, const Arguments& arguments) {
    Status s = observe::TaskRegistry::Create({}, &tasks_);
    observe::HttpServerOptions options;
    options.bearer_token = "open-sesame";
    options.registry = tasks_.get();
    if (s.ok()) s = observe::HttpServer::Start(options, &http_);
    std::shared_ptr<SharedStorage> directory;
    if (s.ok()) s = NewDirectoryStorage(arguments.at("storage"), &directory);
    if (!s.ok()) return s;
    storage_ = std::make_shared<StallingStorage>(directory, tasks_.get());
    return role == "leader" ? Lead(arguments) : Follow(arguments);
  }

  std::string ready() const {
    const int replication_port = leader_ == nullptr ? 0 : leader_->port();
    return "ready " + std::to_string(http_->port()) + " " + std::to_string(replication_port);
  }

  std::string Obey(const std::string& line) {
    std::istringstream words(line);
    std::string command, a, b, c;
    words >> command >> a >> b >> c;
    std::string rest;
    std::getline(words >> std::ws, rest);
    if (command == "task") return BeginTask(a, b, c, rest);
    if (command == "stall") {
      storage_->Stall();
      return "ok";
    }
    if (command == "get") return Get(a, b);
    const Status s = Write(command, a, b, c);
    return s.ok() ? "ok" : "error " + s.ToString();
  }

  void Stop() {
    stopping_.store(true);
    for (std::thread& thread : threads_) thread.join();
    http_->Stop();
    follower_.reset();
    for (const auto& [name, handle] : families_) {
      static_cast<void>(leader_->db()->DestroyColumnFamilyHandle(handle));
    }
    leader_.reset();
  }

 private:
  Status Lead(const Arguments& arguments) {
    LeaderOptions options;
    options.database = "orders";
    options.storage = storage_;
    options.server_options.listen_address = "127.0.0.1:0";
    options.task_registry = tasks_.get();
    rocksdb::Options db_options;
    db_options.create_if_missing = true;
    const Status s = Leader::Open(options, db_options, arguments.at("directory"), &leader_);
    if (s.ok()) http_->AddSource(leader_->source());
    return s;
  }

  Status Follow(const Arguments& arguments) {
    FollowerOptions options;
    options.database = "orders";
    options.storage = storage_;
    options.leader_address = arguments.at("address");
    options.name = arguments.at("name");
    options.observe_endpoint = "127.0.0.1:" + std::to_string(http_->port());
    options.task_registry = tasks_.get();
    const Status s = Follower::Open(options, rocksdb::Options(), &follower_);
    if (s.ok()) http_->AddSource(follower_->source());
    return s;
  }

  std::string BeginTask(const std::string& kind, const std::string& key, const std::string& value,
                        const std::string& status) {
    observe::Task task(tasks_.get(), kind, {{key, value}});
    task.SetStatus("began");
    task.SetStatus(status);
    const std::string id = std::to_string(task.id());
    threads_.emplace_back([this, task = std::move(task)]() mutable {
      while (!stopping_.load() && !task.token().WaitFor(20'000)) {
      }
      task.Finish(task.CheckCancelled());
    });
    return "ok " + id;
  }

  std::string Get(const std::string& family, const std::string& key) {
    std::string value;
    rocksdb::DB* const db = leader_ != nullptr ? leader_->db() : follower_->db();
    rocksdb::ColumnFamilyHandle* const handle = family == "default" ? db->DefaultColumnFamily()
                                                : follower_ == nullptr
                                                    ? families_[family]
                                                    : follower_->GetColumnFamily(family);
    if (handle == nullptr) return "error there is no " + family;
    const Status s = db->Get(rocksdb::ReadOptions(), handle, key, &value);
    return s.ok() ? "ok " + value : "error " + s.ToString();
  }

  Status Write(const std::string& command, const std::string& family, const std::string& key,
               const std::string& value) {
    if (leader_ == nullptr) return Status::InvalidArgument("not a leader");
    rocksdb::DB* const db = leader_->db();
    if (command == "create") {
      return db->CreateColumnFamily(rocksdb::ColumnFamilyOptions(), family, &families_[family]);
    }
    if (command == "flush") return db->Flush(rocksdb::FlushOptions());
    if (command != "put") return Status::InvalidArgument("unknown command", command);
    rocksdb::ColumnFamilyHandle* const handle =
        family == "default" ? db->DefaultColumnFamily() : families_[family];
    return db->Put(rocksdb::WriteOptions(), handle, key, value);
  }

  // Outlives all that has tasks in it.
  std::unique_ptr<observe::TaskRegistry> tasks_;
  std::shared_ptr<StallingStorage> storage_;
  std::unique_ptr<observe::HttpServer> http_;
  std::unique_ptr<Leader> leader_;
  std::unique_ptr<Follower> follower_;
  std::map<std::string, rocksdb::ColumnFamilyHandle*> families_;
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

int Run(int argc, char** argv) {
  // What starts it may be killed.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Arguments arguments;
  for (int i = 2; i < argc; ++i) {
    const std::string argument = argv[i];
    arguments[argument.substr(0, argument.find('='))] = argument.substr(argument.find('=') + 1);
  }
  Node node;
  const Status s = node.Start(argc > 1 ? argv[1] : "", arguments);
  std::cout << (s.ok() ? node.ready() : "error " + s.ToString()) << std::endl;
  if (!s.ok()) return 1;
  std::string line;
  while (std::getline(std::cin, line)) std::cout << node.Obey(line) << std::endl;
  node.Stop();
  return 0;
}

}  // namespace
}  // namespace slipstream::testing

int main(int argc, char** argv) { return slipstream::testing::Run(argc, argv); }
