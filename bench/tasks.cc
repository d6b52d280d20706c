// bench_tasks: what it costs a program to have its work in the task registry.
#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bench/benchmark.h"
#include "bench/cpu_time.h"
#include "slipstream/observe/finished_task_feed.h"
#include "slipstream/observe/task.h"
#include "slipstream/observe/task_registry.h"

namespace slipstream::bench {
namespace {

using observe::Task;
using observe::TaskRegistry;

constexpr char kAbout[] =
    "Measures the task registry against one map behind one lock that holds the same of each task:\n"
    "kind, two attributes, status and times. Each round runs both, in changing order, with one\n"
    "thread and with two, among tasks that run all the time.\n";

constexpr char kMethod[] =
    "begin and end   a task with two attributes; the map inserts and erases an entry\n"
    "status          one change of the status of a task that runs; the map assigns and has no "
    "history\n"
    "beside a list   the same while another thread lists all tasks again and again\n"
    "with a feed     the same while another thread takes all ended tasks, as a log of them does;\n"
    "                those that find no room are dropped\n"
    "list            all tasks, copied; the registry sorts them by when they began\n"
    "CPU             of the threads that do it, so that a busy machine counts less\n"
    "ratio           registry / map, both of one round; with two threads, the registry with two\n"
    "                against the map with one, which nobody contends for\n";

struct Settings {
  uint64_t live = 100'000;
  uint64_t operations = 200'000;
} settings;

// What somebody would write who needs a process list at once.
class TaskMap {
 public:
  struct Entry {
    std::string kind;
    std::vector<std::pair<std::string, std::string>> attributes;
    std::string status;
    uint64_t began_ns = 0;
    uint64_t status_ns = 0;
  };

  uint64_t Begin() {
    Entry entry{"query", {{"account", "123456"}, {"source", "web"}}, {}, NowNs(), 0};
    std::lock_guard<std::mutex> lock(mutex_);
    entries_.emplace(++last_id_, std::move(entry));
    return last_id_;
  }
  void SetStatus(uint64_t id, const std::string& status) {
    const uint64_t now_ns = NowNs();
    std::lock_guard<std::mutex> lock(mutex_);
    Entry& entry = entries_.at(id);
    entry.status = status;
    entry.status_ns = now_ns;
  }
  void End(uint64_t id) {
    std::lock_guard<std::mutex> lock(mutex_);
    entries_.erase(id);
  }
  size_t List() {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<std::pair<uint64_t, Entry>> all(entries_.begin(), entries_.end());
    return all.size();
  }

 private:
  std::mutex mutex_;
  std::unordered_map<uint64_t, Entry> entries_;
  uint64_t last_id_ = 0;
};

class MapSide {
 public:
  static constexpr char kName[] = "map";
  class Handle {
   public:
    explicit Handle(MapSide* side) : map_(&side->map_), id_(map_->Begin()) {}
    ~Handle() { map_->End(id_); }
    void SetStatus(const std::string& status) { map_->SetStatus(id_, status); }

   private:
    TaskMap* const map_;
    const uint64_t id_;
  };
  size_t List() { return map_.List(); }

 private:
  TaskMap map_;
};

class RegistrySide {
 public:
  static constexpr char kName[] = "registry";
  RegistrySide() {
    observe::TaskRegistryOptions options;
    options.max_running_tasks = settings.live + 1024;
    OrThrow(TaskRegistry::Create(options, &registry_));
  }
  class Handle {
   public:
    explicit Handle(RegistrySide* side)
        : task_(side->registry_.get(), "query", {{"account", "123456"}, {"source", "web"}}) {}
    void SetStatus(const std::string& status) { task_.SetStatus(status); }

   private:
    Task task_;
  };
  size_t List() { return registry_->List({.limit = 0}).size(); }
  std::unique_ptr<observe::FinishedTaskFeed> Feed() {
    return registry_->SubscribeToFinished(32 << 20);
  }

 private:
  std::unique_ptr<TaskRegistry> registry_;
};

// Nanoseconds of CPU for each of settings.operations, the mean of `threads` threads.
template <typename Work>
double NsOfEach(int threads, const Work& work) {
  std::atomic<uint64_t> ns{0};
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&] {
      const uint64_t begin = ThreadCpuNs();
      work();
      ns += ThreadCpuNs() - begin;
    });
  }
  for (std::thread& thread : running) thread.join();
  return static_cast<double>(ns) / static_cast<double>(settings.operations) / threads;
}

std::string Key(const char* side, const std::string& measure) {
  return std::string(side) + ", " + measure;
}

template <typename Side>
void RunSide(Session* session) {
  using Handle = typename Side::Handle;
  static const std::string kStatuses[] = {"reading", "waiting for the storage", "merging"};
  Side side;
  std::deque<Handle> live;
  for (uint64_t i = 0; i < settings.live; ++i) live.emplace_back(&side);
  const auto begin_and_end = [&] {
    for (uint64_t i = 0; i < settings.operations; ++i) Handle handle(&side);
  };
  const auto status = [&] {
    Handle handle(&side);
    for (uint64_t i = 0; i < settings.operations; ++i) handle.SetStatus(kStatuses[i % 3]);
  };
  const auto set = [&](const std::string& measure, double value) {
    session->figures().Set(Key(Side::kName, measure), value);
  };
  for (const int threads : {1, 2}) {
    const std::string of = std::to_string(threads);
    session->Progress(std::string(Side::kName) + "  " + of + " threads");
    if (Interrupted()) throw Interruption();
    set("begin_end_" + of, NsOfEach(threads, begin_and_end));
    set("status_" + of, NsOfEach(threads, status));
  }
  if constexpr (std::is_same_v<Side, RegistrySide>) {
    const auto feed = side.Feed();
    std::atomic<bool> stop{false};
    std::thread reader([&] {
      std::vector<observe::FinishedTask> tasks;
      while (!stop) {
        feed->Wait(100'000);
        do {
          tasks.clear();
          feed->Take(1000, &tasks);
        } while (!tasks.empty());
      }
    });
    for (const int threads : {1, 2}) {
      set("begin_end_fed_" + std::to_string(threads), NsOfEach(threads, begin_and_end));
    }
    stop = true;
    feed->Interrupt();
    reader.join();
  }
  const uint64_t list_begin = ThreadCpuNs();
  if (side.List() < settings.live) throw Failure("a list misses tasks");
  set("list", static_cast<double>(ThreadCpuNs() - list_begin) / 1e6);

  std::atomic<bool> stop{false};
  std::thread lister([&] {
    // With a pause: who locks a mutex again at once may keep others from it for minutes.
    while (!stop) {
      side.List();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  const uint64_t begin = NowNs();
  set("begin_end_listed", NsOfEach(1, begin_and_end));
  set("status_listed", NsOfEach(1, status));
  set("wall_listed",
      static_cast<double>(NowNs() - begin) / static_cast<double>(2 * settings.operations));
  stop = true;
  lister.join();
}

void Round(Session* session) {
  session->Alternate(
      2, [&](size_t i) { i == 0 ? RunSide<MapSide>(session) : RunSide<RegistrySide>(session); });
}

void MakeReport(Session* session) {
  const Figures& figures = session->figures();
  Report& report = session->report();
  const auto of = [&](const char* side, const std::string& measure) {
    return figures.Of(Key(side, measure));
  };
  const auto ratio = [&](const std::string& measure, const std::string& of_map) {
    return figures.Ratio(Key(RegistrySide::kName, measure), Key(MapSide::kName, of_map));
  };
  Table table{"Task registry against a map behind a lock, among " + std::to_string(settings.live) +
                  " tasks",
              {{"", "", "map", "registry", "ratio (range)"}}};
  const auto row = [&](const std::string& text, const std::string& unit, const std::string& measure,
                       const std::string& of_map) {
    table.rows.push_back({text, unit, ToText(of(MapSide::kName, measure), 0),
                          ToText(of(RegistrySide::kName, measure), 0),
                          ToText(ratio(measure, of_map), 2)});
  };
  row("begin and end, 1 thread", "CPU ns", "begin_end_1", "begin_end_1");
  row("begin and end, 2 threads", "CPU ns", "begin_end_2", "begin_end_1");
  row("status, 1 thread", "CPU ns", "status_1", "status_1");
  row("status, 2 threads", "CPU ns", "status_2", "status_1");
  row("begin and end, beside a list", "CPU ns", "begin_end_listed", "begin_end_listed");
  row("status, beside a list", "CPU ns", "status_listed", "status_listed");
  row("each of both, beside a list", "wall ns", "wall_listed", "wall_listed");
  row("list", "CPU ms", "list", "list");
  for (const std::string threads : {"1", "2"}) {
    table.rows.push_back({"begin and end, with a feed, threads: " + threads, "CPU ns", "-",
                          ToText(of(RegistrySide::kName, "begin_end_fed_" + threads), 0),
                          ToText(ratio("begin_end_fed_" + threads, "begin_end_1"), 2)});
  }
  report.tables.push_back(std::move(table));

  const auto add = [&](const std::string& what, const std::string& measure, double to) {
    report.AddTarget({.what = what,
                      .figure = of(RegistrySide::kName, measure),
                      .decimals = 0,
                      .unit = "ns",
                      .debian = to,
                      .release = to});
  };
  add("a task begins and ends, 1 thread", "begin_end_1", 1000);
  add("a task begins and ends, 2 threads", "begin_end_2", 1000);
  add("a task's status changes, 1 thread", "status_1", 150);
  add("a task's status changes, 2 threads", "status_2", 150);
}

void AddOptions(CLI::App* app) {
  app->add_option("--live", settings.live, "tasks that run all the time")
      ->check(Between(0, 10'000'000));
  app->add_option("--operations", settings.operations, "of each kind, by each thread")
      ->check(Between(1, 100'000'000));
}

void MakeQuick() {
  settings.live = 1000;
  settings.operations = 5000;
}

}  // namespace
}  // namespace slipstream::bench

int main(int argc, char** argv) {
  using namespace slipstream::bench;
  return Main({.name = "tasks",
               .about = kAbout,
               .method = kMethod,
               .options = AddOptions,
               .quick = MakeQuick,
               .round = Round,
               .report = MakeReport},
              argc, argv);
}
