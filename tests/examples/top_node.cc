// A process for slipstream_top to look at: tasks by command, behind a real HTTP server.
// usage: top_node PORT TOKEN [ENDPOINT OF A FOLLOWER...]
// Prints "listening on ADDRESS", then obeys lines:
//   begin NAME KIND STATUS...   attribute NAME KEY VALUE   status NAME TEXT...   end NAME
//   fail NAME TEXT...           forbid NAME KIND STATUS... (as begin; it may not be killed)
// and answers each with "ok". A task that is killed ends at once.
#include <atomic>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "slipstream/observe/http_server.h"
#include "slipstream/observe/source.h"
#include "slipstream/observe/task.h"
#include "slipstream/observe/task_registry.h"

namespace slipstream {
namespace {

using rocksdb::Status;

// What a leader tells, for a process that has no database.
class LeaderLike final : public observe::Source {
 public:
  explicit LeaderLike(std::vector<std::string> followers) : followers_(std::move(followers)) {}

  void AppendMetrics(std::vector<observe::MetricFamily>*) const override {}
  observe::HealthReport Health() const override {
    observe::HealthReport health;
    health.ready = true;
    return health;
  }
  observe::ReplicationReport Replication() const override {
    observe::ReplicationReport report;
    report.database = "orders";
    report.role = "leader";
    report.epoch = 7;
    report.status = "OK";
    for (const std::string& endpoint : followers_) {
      report.followers.emplace_back().observe_endpoint = endpoint;
    }
    return report;
  }

 private:
  const std::vector<std::string> followers_;
};

// Waits until it is killed or told to end.
class Work {
 public:
  Work(observe::TaskRegistry* registry, const std::string& kind, const std::string& status,
       bool killable)
      : task_(registry, kind, {}, {.cancellable = killable}) {
    task_.SetStatus(status);
    waiter_ = std::thread([this] {
      constexpr uint64_t kLookUs = 20'000;
      while (!stop_) {
        if (task_.token().WaitFor(kLookUs)) return task_.Finish(task_.CheckCancelled());
      }
    });
  }
  ~Work() {
    stop_ = true;
    waiter_.join();
  }
  observe::Task* task() { return &task_; }

 private:
  observe::Task task_;
  std::atomic<bool> stop_{false};
  std::thread waiter_;
};

std::string Rest(std::istream* in) {
  std::string text;
  std::getline(*in >> std::ws, text);
  return text;
}

bool Obey(const std::string& line, observe::TaskRegistry* registry,
          std::map<std::string, std::unique_ptr<Work>>* works) {
  std::istringstream in(line);
  std::string command;
  std::string name;
  in >> command >> name;
  if (command == "begin" || command == "forbid") {
    std::string kind;
    in >> kind;
    (*works)[name] = std::make_unique<Work>(registry, kind, Rest(&in), command == "begin");
    return true;
  }
  const auto it = works->find(name);
  if (it == works->end()) return false;
  observe::Task* task = it->second->task();
  if (command == "attribute") {
    std::string key;
    in >> key;
    task->SetAttribute(key, Rest(&in));
  } else if (command == "status") {
    task->SetStatus(Rest(&in));
  } else if (command == "end") {
    works->erase(it);
  } else if (command == "fail") {
    task->Finish(Status::IOError(Rest(&in)));
    works->erase(it);
  } else {
    return false;
  }
  return true;
}

int Main(int argc, char** argv) {
  if (argc < 3) return 2;
  std::unique_ptr<observe::TaskRegistry> registry;
  Status s = observe::TaskRegistry::Create({}, &registry);
  observe::HttpServerOptions options;
  options.listen_address = std::string("127.0.0.1:") + argv[1];
  options.bearer_token = argv[2];
  options.registry = registry.get();
  std::unique_ptr<observe::HttpServer> server;
  if (s.ok()) s = observe::HttpServer::Start(options, &server);
  if (!s.ok()) {
    std::cerr << s.ToString() << "\n";
    return 1;
  }
  server->AddSource(std::make_shared<LeaderLike>(std::vector<std::string>(argv + 3, argv + argc)));
  std::cout << "listening on 127.0.0.1:" << server->port() << std::endl;
  std::map<std::string, std::unique_ptr<Work>> works;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << (Obey(line, registry.get(), &works) ? "ok" : "what?") << std::endl;
  }
  server->Stop();
  return 0;
}

}  // namespace
}  // namespace slipstream

int main(int argc, char** argv) { return slipstream::Main(argc, argv); }
