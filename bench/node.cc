#include "bench/node.h"

#include <sched.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "bench/cpu_time.h"
#include "bench/logical_replication.h"
#include "bench/marker_board.h"
#include "bench/process_usage.h"
#include "bench/queries.h"
#include "bench/writer.h"
#include "rocksdb/sst_file_writer.h"

namespace slipstream::bench {
namespace {

using nlohmann::json;
using rocksdb::Status;

constexpr uint64_t kVisibleTimeoutUs = 120'000'000;

class Node {
 public:
  explicit Node(const NodeSettings& settings);

  Status Open(json* answer);
  Status Do(const json& command, json* answer);
  Status Close();

 private:
  bool IsWriter() const {
    const Kind kind = settings_.database.kind;
    return kind == Kind::kPlain || kind == Kind::kLeader;
  }
  Status Load(const json& command, json* answer);
  Status EndWatch(const json& command, json* answer);
  Status Reach(const json& command, json* answer);
  Status BeginQueries(const json& command);
  Status EndQueries(json* answer);
  Status WaitForRebuilds(const json& command);
  Status Ingest(const json& command);
  json Usage();

  const NodeSettings settings_;
  std::map<std::string, std::function<Status(const json&, json*)>> commands_;
  MarkerBoard board_;
  Database database_;
  std::unique_ptr<LogicalSource> source_;
  std::unique_ptr<LogicalReplica> replica_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<MarkerWatch> watch_;
  std::unique_ptr<Queries> queries_;
  std::unique_ptr<MemoryWatch> memory_;
};

Node::Node(const NodeSettings& settings) : settings_(settings) {
  commands_["load"] = [this](const json& command, json* answer) { return Load(command, answer); };
  commands_["flush"] = [this](const json&, json*) {
    Status s = writer_->Flush();
    return s.ok() ? writer_->Settle() : s;
  };
  commands_["watch"] = [this](const json&, json*) {
    watch_ = std::make_unique<MarkerWatch>(settings_.watch, &database_,
                                           settings_.board_fd >= 0 ? &board_ : nullptr);
    watch_->Begin();
    return Status::OK();
  };
  commands_["watch_end"] = [this](const json& c, json* answer) { return EndWatch(c, answer); };
  commands_["reach"] = [this](const json& command, json* answer) { return Reach(command, answer); };
  commands_["query"] = [this](const json& command, json*) { return BeginQueries(command); };
  commands_["query_end"] = [this](const json&, json* answer) { return EndQueries(answer); };
  commands_["memory"] = [this](const json&, json*) {
    memory_ = std::make_unique<MemoryWatch>(&database_);
    memory_->Begin();
    return Status::OK();
  };
  commands_["memory_end"] = [this](const json&, json* answer) {
    *answer = memory_->End();
    return Status::OK();
  };
  commands_["usage"] = [this](const json&, json* answer) {
    *answer = Usage();
    return Status::OK();
  };
  commands_["ingest"] = [this](const json& command, json*) { return Ingest(command); };
  commands_["rebuild"] = [this](const json& command, json*) { return WaitForRebuilds(command); };
  commands_["digest"] = [this](const json&, json* answer) {
    ContentDigest digest;
    Status s = DigestOf(database_.db(), database_.families(), &digest);
    *answer = digest;
    return s;
  };
}

Status Node::Open(json* answer) {
  if (settings_.core >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(settings_.core, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0) return Status::IOError("sched_setaffinity");
  }
  Status s;
  if (settings_.board_fd >= 0) {
    s = board_.Attach(settings_.board_fd, settings_.board_markers, settings_.board_readers);
  }
  if (s.ok()) s = database_.Open(settings_.database);
  if (!s.ok()) return s;
  int port = database_.leader() != nullptr ? database_.leader()->port() : 0;
  writer_ = std::make_unique<Writer>(settings_.database.data, &database_,
                                     settings_.board_fd >= 0 ? &board_ : nullptr);
  if (IsWriter()) s = writer_->WriteFirst();
  if (s.ok() && settings_.database.keep_wal) {
    source_ = std::make_unique<LogicalSource>();
    s = source_->Open(database_.db());
    port = source_->port();
  }
  if (s.ok() && settings_.database.kind == Kind::kReplica) {
    replica_ = std::make_unique<LogicalReplica>();
    s = replica_->Open(database_.db(), settings_.database.port);
    // The writer had its first marker before it listened.
    if (s.ok()) s = database_.WaitUntilVisible("", 1, kVisibleTimeoutUs);
  }
  std::string value;
  if (s.ok()) s = database_.db()->Get(rocksdb::ReadOptions(), kMarkerKey, &value);
  *answer = {{"port", port}, {"open_ns", NowNs()}};
  return s;
}

Status Node::Do(const json& command, json* answer) {
  *answer = json::object();
  const auto found = commands_.find(command.value("do", ""));
  if (found == commands_.end()) return Status::InvalidArgument("command", command.dump());
  return found->second(command, answer);
}

Status Node::Load(const json& command, json* answer) {
  WriterResult result;
  Status s = writer_->Write(command.at("load").get<bench::Load>(), &result);
  *answer = result;
  return s;
}

Status Node::Reach(const json& command, json* answer) {
  Status s = database_.WaitUntilVisible(command.value("position", ""),
                                        command.value("sequence", uint64_t{0}), kVisibleTimeoutUs);
  *answer = {{"ns", NowNs()}};
  return s;
}

Status Node::EndWatch(const json& command, json* answer) {
  Status s = Reach(command, answer);
  // Its flushes and compactions belong to what it costs, as the writer's do.
  if (s.ok() && settings_.database.kind == Kind::kReplica) s = writer_->Settle();
  *answer = watch_->End();
  return s;
}

Status Node::BeginQueries(const json& command) {
  queries_ = std::make_unique<Queries>(command.at("settings").get<QuerySettings>(),
                                       settings_.database.data, &database_);
  queries_->Begin();
  return Status::OK();
}

Status Node::EndQueries(json* answer) {
  QueryResult result;
  Status s = queries_->End(&result);
  *answer = result;
  return s;
}

Status Node::WaitForRebuilds(const json& command) {
  const uint64_t rebuilds = command.at("rebuilds").get<uint64_t>();
  const uint64_t deadline_ns = NowNs() + kVisibleTimeoutUs * 1000;
  while (database_.follower()->stats().rebuilds < rebuilds) {
    if (NowNs() > deadline_ns) return Status::TimedOut("no new generation");
    SleepUs(5000);
  }
  return Status::OK();
}

Status Node::Ingest(const json& command) {
  constexpr uint64_t kKeysOfFile = 10;
  const std::string& directory = settings_.database.directory;
  const rocksdb::Options options = DatabaseOptions(settings_.database.shape);
  std::vector<std::string> files;
  Status s;
  for (uint64_t f = 0; s.ok() && f < command.at("files").get<uint64_t>(); ++f) {
    files.push_back(directory + ".ingest" + std::to_string(f));
    rocksdb::SstFileWriter file(rocksdb::EnvOptions(), options);
    s = file.Open(files.back());
    for (uint64_t k = 0; s.ok() && k < kKeysOfFile; ++k) {
      std::string key = std::to_string(f * kKeysOfFile + k);
      s = file.Put("ingested" + std::string(12 - key.size(), '0') + key, std::string(100, 'v'));
    }
    if (s.ok()) s = file.Finish();
  }
  rocksdb::IngestExternalFileOptions ingest;
  ingest.move_files = true;
  return s.ok() ? database_.db()->IngestExternalFile(files, ingest) : s;
}

json Node::Usage() {
  json usage = {{"cpu_seconds", CpuTime::Of(RUSAGE_SELF).seconds},
                {"threads", CpuByThread()},
                {"stats", json::object()}};
  if (database_.follower() == nullptr) return usage;
  const FollowerStats stats = database_.follower()->stats();
  usage["stats"] = {{"records_applied", stats.records_applied},
                    {"keys_applied", stats.keys_applied},
                    {"writes", stats.writes},
                    {"bytes_applied", stats.bytes_applied},
                    {"rebuilds", stats.rebuilds},
                    {"rebuild_us", stats.rebuild_us},
                    {"last_rebuild_us", stats.last_rebuild_us},
                    {"resyncs", stats.resyncs},
                    {"reconnects", stats.reconnects},
                    {"memtable_bytes", stats.memtable_bytes},
                    {"image_bytes", stats.image_bytes}};
  return usage;
}

Status Node::Close() {
  queries_.reset();
  watch_.reset();
  memory_.reset();
  replica_.reset();
  source_.reset();
  writer_.reset();
  return database_.Close();
}

}  // namespace

Status RunNode(const NodeSettings& settings, ChildEnd* parent) {
  Node node(settings);
  json answer;
  Status s = node.Open(&answer);
  if (s.ok()) s = parent->Send(answer);
  while (s.ok()) {
    json command;
    s = parent->Receive(&command);
    if (!s.ok()) break;
    if (command.value("do", "") == "quit") {
      s = node.Close();
      return s.ok() ? parent->Send({{"closed", true}}) : s;
    }
    s = node.Do(command, &answer);
    if (s.ok()) s = parent->Send(answer);
  }
  // What runs beside must not outlive the database; the parent is told why by the caller.
  node.Close().PermitUncheckedError();
  return s;
}

}  // namespace slipstream::bench
