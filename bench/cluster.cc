#include "bench/cluster.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "bench/cpu_time.h"

namespace slipstream::bench {

using nlohmann::json;
using rocksdb::Status;

namespace {
// Nothing takes as long unless something is wrong; a loaded machine may need long for it.
constexpr uint64_t kAnswerTimeoutMs = 180'000;
}  // namespace

json UpTo(const char* command, const WriterResult& written) {
  return {{"do", command}, {"position", written.position}, {"sequence", written.sequence}};
}

Cluster::Cluster(Session* session, const std::string& name, DatabaseSettings database,
                 uint64_t markers, uint64_t readers)
    : session_(session),
      name_(name),
      directory_(session->directory() + "/round" + std::to_string(session->round()) + "-" + name),
      settings_(std::move(database)),
      markers_(markers),
      readers_(readers) {
  session->Progress(name);
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  if (error) throw Failure(directory_ + ": " + error.message());
  settings_.directory = directory_ + "/db";
  settings_.storage = directory_ + "/storage";
  if (markers > 0) OrThrow(board_.Create(markers, readers));
}

Cluster::~Cluster() {
  processes_.clear();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

Process* Cluster::Start(const std::string& name, NodeSettings node) {
  if (markers_ > 0) {
    node.board_fd = board_.fd();
    node.board_markers = markers_;
    node.board_readers = readers_;
  }
  auto process = std::make_unique<Process>();
  process->kind = node.database.kind;
  process->started_ns = NowNs();
  OrThrow(ChildProcess::Start(name_ + ": " + name, node, &process->child));
  processes_.push_back(std::move(process));
  Process* started = processes_.back().get();
  const json answer = Receive(started);
  started->opened_ns = answer.at("open_ns");
  if (started == writer()) settings_.port = answer.at("port");
  return started;
}

Process* Cluster::StartWriter(Kind kind, int core) {
  NodeSettings node;
  node.database = settings_;
  node.database.kind = kind;
  node.core = core;
  return Start(json(kind).get<std::string>(), node);
}

Process* Cluster::StartReader(Kind kind, uint64_t watch_period_us, int core) {
  const size_t reader = processes_.size() - 1;
  NodeSettings node;
  node.database = settings_;
  node.database.kind = kind;
  node.database.keep_wal = false;
  node.database.shape.replay_memtable = false;
  const std::string name = json(kind).get<std::string>() + std::to_string(reader + 1);
  node.database.name = name;
  node.database.own_directory = directory_ + "/" + name;
  node.watch.period_us = watch_period_us;
  node.watch.reader = reader;
  node.core = core;
  return Start(name, node);
}

Status Cluster::Tick() {
  for (const auto& process : processes_) {
    Status s = process->child->CheckAlive();
    if (!s.ok()) return s;
  }
  return Status::OK();
}

void Cluster::Send(Process* process, const json& command) {
  OrThrow(process->child->Send(command));
}

json Cluster::Receive(Process* process) {
  json answer;
  OrThrow(process->child->Receive(
      kAnswerTimeoutMs, [&] { return Tick(); }, &answer));
  return answer;
}

json Cluster::Ask(Process* process, const json& command) {
  Send(process, command);
  return Receive(process);
}

WriterResult Cluster::Write(const Load& load) {
  return Ask(writer(), {{"do", "load"}, {"load", load}}).get<WriterResult>();
}

bool Cluster::Compare() {
  const auto expected = Ask(writer(), {{"do", "digest"}}).get<ContentDigest>();
  bool equal = true;
  for (const auto& process : processes_) {
    if (process.get() == writer()) continue;
    const auto found = Ask(process.get(), {{"do", "digest"}}).get<ContentDigest>();
    if (found == expected) continue;
    if (process->kind == Kind::kFollower) {
      throw Failure(name_ + ": a follower holds " + found.ToString() + ", the leader " +
                    expected.ToString());
    }
    equal = false;
  }
  return equal;
}

void Cluster::QuitReader() {
  OrThrow(processes_.back()->child->Quit(kAnswerTimeoutMs));
  processes_.pop_back();
}

void Cluster::Quit() {
  while (!processes_.empty()) QuitReader();
}

}  // namespace slipstream::bench
