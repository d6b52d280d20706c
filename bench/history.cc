// bench_history: how fast a history of finished tasks answers, on its leader and on a follower.
#include "slipstream/observe/history.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bench/benchmark.h"
#include "bench/cpu_time.h"
#include "slipstream/follower.h"
#include "slipstream/leader.h"
#include "slipstream/shared_storage.h"

namespace slipstream::bench {
namespace {

using observe::History;
using observe::HistoryPage;
using observe::HistoryQuery;
using observe::HistoryRecord;
using observe::HistoryWriter;
using observe::TaskOutcome;

constexpr char kAbout[] =
    "Fills a history with the tasks of a week, of 4 processes, in a database that a leader has\n"
    "opened, and asks it for pages of 100 records in several ways: on the leader, and on a "
    "follower\n"
    "that has it all. Half of the tasks are of the most frequent of 20 kinds, 1 % have failed, "
    "and\n"
    "there are as many accounts as tasks / 50.\n";

constexpr char kMethod[] =
    "p50, p99   of the time of one query, with other values each time; queries of each way take\n"
    "           turns, by one thread, one after the other. CPU is of that thread: of the times, "
    "those\n"
    "           of a busy machine have its turns of some milliseconds in them\n"
    "records    in a page, the mean\n"
    "ingest     records per second of one writer, in batches of --batch, with flushes and\n"
    "           compactions; `again` adds the same ones once more, which changes nothing\n";

struct Settings {
  uint64_t records = 500'000;
  uint64_t batch = 500;
  uint64_t queries = 300;
} settings;

constexpr uint64_t kBeginUs = UINT64_C(1'700'000'000'000'000);
constexpr uint64_t kHourUs = UINT64_C(3600) * 1'000'000;
constexpr uint64_t kSpanUs = 7 * 24 * kHourUs;

uint64_t Accounts() { return std::max<uint64_t>(settings.records / 50, 1); }
std::string Instance(uint64_t n) { return "search-" + std::to_string(n % 4) + "-0123456789abcdef"; }

// The n-th record, the same each time.
HistoryRecord RecordOf(uint64_t n, uint64_t seed) {
  std::mt19937_64 random(seed * 1'000'000'007 + n);
  HistoryRecord record;
  record.instance = Instance(n);
  record.id = n + 1;
  record.ended_us = kBeginUs + n * (kSpanUs / settings.records);
  record.began_us = record.ended_us - random() % 1'000'000;
  record.kind = "kind" + std::to_string(random() % 2 == 0 ? 0 : random() % 20);
  record.attributes = {{"account", std::to_string(random() % Accounts())},
                       {"source", random() % 3 == 0 ? "web" : "api"},
                       {"peer", "10.0.0." + std::to_string(random() % 200)}};
  record.status = "step" + std::to_string(random() % 8);
  record.history = {{record.began_us, "reading"}, {record.ended_us, record.status}};
  if (random() % 100 == 0) {
    record.outcome = TaskOutcome::kFailed;
    record.error = "IO error: no answer from the storage in time";
  }
  return record;
}

// A way to ask.
struct Shape {
  std::string name;
  std::function<void(std::mt19937_64*, HistoryQuery*)> fill;
};

std::string AnyKind(std::mt19937_64* random) { return "kind" + std::to_string((*random)() % 20); }
std::pair<std::string, std::string> AnyAccount(std::mt19937_64* random) {
  return {"account", std::to_string((*random)() % Accounts())};
}
void SetHour(std::mt19937_64* random, HistoryQuery* q) {
  q->filter.from_us = kBeginUs + (*random)() % kSpanUs;
  q->filter.to_us = q->filter.from_us + kHourUs;
}

std::vector<Shape> Shapes() {
  return {
      {"newest", [](auto*, auto*) {}},
      {"an hour", SetHour},
      {"kind", [](auto* random, auto* q) { q->filter.kind = AnyKind(random); }},
      {"status",
       [](auto* random, auto* q) { q->filter.status = "step" + std::to_string((*random)() % 8); }},
      {"failed", [](auto*, auto* q) { q->filter.outcome = TaskOutcome::kFailed; }},
      {"account", [](auto* random, auto* q) { q->filter.attributes = {AnyAccount(random)}; }},
      {"source",
       [](auto*, auto* q) {
         q->filter.attributes = {{"source", "web"}};
       }},
      {"account + kind",
       [](auto* random, auto* q) {
         q->filter.attributes = {AnyAccount(random)};
         q->filter.kind = "kind0";
       }},
      {"kind + failed",
       [](auto* random, auto* q) {
         q->filter.kind = AnyKind(random);
         q->filter.outcome = TaskOutcome::kFailed;
       }},
      {"kind + source + an hour",
       [](auto* random, auto* q) {
         q->filter.kind = AnyKind(random);
         q->filter.attributes = {{"source", "web"}};
         SetHour(random, q);
       }},
      {"failed + status + source",
       [](auto* random, auto* q) {
         q->filter.outcome = TaskOutcome::kFailed;
         q->filter.status = "step" + std::to_string((*random)() % 8);
         q->filter.attributes = {{"source", "web"}};
       }},
      {"an account that is not there",
       [](auto*, auto* q) {
         q->filter.attributes = {{"account", "none"}};
         q->filter.kind = "kind0";
       }},
  };
}

std::string Key(const std::string& side, const std::string& shape, const std::string& what) {
  return side + ", " + shape + ", " + what;
}

// The leader's database, and a follower of it.
class Sides {
 public:
  explicit Sides(const std::string& directory) {
    std::shared_ptr<SharedStorage> storage;
    OrThrow(NewDirectoryStorage(directory + "/storage", &storage));
    rocksdb::Options options;
    options.create_if_missing = true;
    HistoryWriter::TuneOptions(&options);
    LeaderOptions leader_options;
    leader_options.database = "history";
    leader_options.storage = storage;
    OrThrow(Leader::Open(leader_options, options, directory + "/leader", &leader_));
    follower_options_.database = "history";
    follower_options_.storage = storage;
    follower_options_.leader_address = "127.0.0.1:" + std::to_string(leader_->port());
  }
  rocksdb::DB* leader() { return leader_->db(); }
  rocksdb::DB* follower() {
    if (follower_ == nullptr) {
      rocksdb::Options options;
      HistoryWriter::TuneOptions(&options);
      OrThrow(Follower::Open(follower_options_, options, &follower_));
    }
    OrThrow(follower_->WaitFor(leader_->position(), 60'000'000));
    return follower_->db();
  }

 private:
  std::unique_ptr<Leader> leader_;
  FollowerOptions follower_options_;
  std::unique_ptr<Follower> follower_;
};

double Ingest(rocksdb::DB* db, uint64_t seed) {
  HistoryWriter writer(db);
  uint64_t ns = 0;  // making the records does not count
  for (uint64_t n = 0; n < settings.records;) {
    if (Interrupted()) throw Interruption();
    std::vector<HistoryRecord> batch;
    for (; batch.size() < settings.batch && n < settings.records; ++n) {
      batch.push_back(RecordOf(n, seed));
    }
    const uint64_t begin_ns = NowNs();
    OrThrow(writer.Add(batch));
    ns += NowNs() - begin_ns;
  }
  return static_cast<double>(settings.records) / (static_cast<double>(ns) / 1e9);
}

// What one way of asking has cost, and found.
class Costs {
 public:
  // `query` returns how many records it has found.
  void Time(const std::function<size_t()>& query) {
    const uint64_t begin_cpu_ns = ThreadCpuNs();
    const uint64_t begin_ns = NowNs();
    records_ += query();
    ns_.push_back(NowNs() - begin_ns);
    cpu_ns_.push_back(ThreadCpuNs() - begin_cpu_ns);
  }
  void Report(Figures* figures, const std::string& side, const std::string& shape) {
    std::sort(ns_.begin(), ns_.end());
    std::sort(cpu_ns_.begin(), cpu_ns_.end());
    figures->Set(Key(side, shape, "p50"), PercentileUs(ns_, 0.5) / 1000);
    figures->Set(Key(side, shape, "p99"), PercentileUs(ns_, 0.99) / 1000);
    figures->Set(Key(side, shape, "CPU p99"), PercentileUs(cpu_ns_, 0.99) / 1000);
    figures->Set(Key(side, shape, "records"),
                 static_cast<double>(records_) / static_cast<double>(ns_.size()));
  }

 private:
  std::vector<uint64_t> ns_;
  std::vector<uint64_t> cpu_ns_;
  size_t records_ = 0;
};

void Measure(Session* session, const std::string& side, rocksdb::DB* db) {
  const std::vector<Shape> shapes = Shapes();
  const History history(db);
  std::mt19937_64 random(session->seed());
  std::vector<Costs> costs(shapes.size());
  Costs of_id;
  for (uint64_t n = 0; n < settings.queries; ++n) {
    if (Interrupted()) throw Interruption();
    for (size_t i = 0; i < shapes.size(); ++i) {
      HistoryQuery query;
      shapes[i].fill(&random, &query);
      HistoryPage page;
      costs[i].Time([&] {
        OrThrow(history.Query(query, &page));
        return page.records.size();
      });
      for (const HistoryRecord& record : page.records) {
        if (!query.filter.Accepts(record)) throw Failure("a record that was not asked for");
      }
    }
    const uint64_t any = random() % settings.records;
    HistoryRecord record;
    of_id.Time([&] {
      OrThrow(history.Get(Instance(any), any + 1, &record));
      return size_t{1};
    });
  }
  of_id.Report(&session->figures(), side, "id");
  for (size_t i = 0; i < shapes.size(); ++i) {
    costs[i].Report(&session->figures(), side, shapes[i].name);
  }
}

void Round(Session* session) {
  Sides sides(session->directory() + "/round" + std::to_string(session->round()));
  session->Progress("ingest");
  session->figures().Set("ingest", Ingest(sides.leader(), session->seed()));
  session->Progress("ingest again");
  session->figures().Set("again", Ingest(sides.leader(), session->seed()));
  OrThrow(sides.leader()->Flush({}));
  rocksdb::DB* follower = sides.follower();
  session->Alternate(2, [&](size_t i) {
    session->Progress(i == 0 ? "leader" : "follower");
    Measure(session, i == 0 ? "leader" : "follower", i == 0 ? sides.leader() : follower);
  });
}

void MakeReport(Session* session) {
  const Figures& figures = session->figures();
  Report& report = session->report();
  Table table{"A page of a history of " + std::to_string(settings.records) + " tasks",
              {{"asked for", "records", "leader p50 ms", "p99", "CPU p99", "follower p50 ms", "p99",
                "CPU p99"}}};
  std::vector<std::string> names = {"id"};
  for (const Shape& shape : Shapes()) names.push_back(shape.name);
  for (const std::string& name : names) {
    const auto text = [&](const char* side, const char* what, int decimals) {
      return ToText(figures.Of(Key(side, name, what)), decimals);
    };
    table.rows.push_back({name, text("leader", "records", 0), text("leader", "p50", 2),
                          text("leader", "p99", 2), text("leader", "CPU p99", 2),
                          text("follower", "p50", 2), text("follower", "p99", 2),
                          text("follower", "CPU p99", 2)});
    for (const char* side : {"leader", "follower"}) {
      report.AddTarget({.what = std::string(side) + ", page of " + name + ": CPU p99",
                        .figure = figures.Of(Key(side, name, "CPU p99")),
                        .decimals = 2,
                        .unit = "ms",
                        .debian = 10,
                        .release = 10});
    }
  }
  report.tables.push_back(std::move(table));
  report.tables.push_back({"Ingest",
                           {{"", "records/s"},
                            {"new records", ToText(figures.Of("ingest"), 0)},
                            {"the same ones again", ToText(figures.Of("again"), 0)}}});
}

void AddOptions(CLI::App* app) {
  app->add_option("--records", settings.records, "in the history")->check(Between(100, 50'000'000));
  app->add_option("--batch", settings.batch, "records that are added at once")
      ->check(Between(1, 100'000));
  app->add_option("--queries", settings.queries, "of each way, on each side")
      ->check(Between(1, 1'000'000));
}

void MakeQuick() {
  settings.records = 5000;
  settings.queries = 10;
}

}  // namespace
}  // namespace slipstream::bench

int main(int argc, char** argv) {
  using namespace slipstream::bench;
  return Main({.name = "history",
               .about = kAbout,
               .method = kMethod,
               .options = AddOptions,
               .quick = MakeQuick,
               .round = Round,
               .report = MakeReport},
              argc, argv);
}
