// A leader or a follower as a process of its own, which obeys lines on its standard input.
//
//   e2e_node leader   directory=D storage=S database=N [port=0] [write_buffer_bytes=B]
//                     [manifest_bytes=B] [log_bytes=B] [lease_ms=T] [transactions=1] [wal=memory]
//   e2e_node follower address=HOST:PORT storage=S database=N [open_timeout_ms=T] [rebuild_ms=T]
//                     [rebuild_bytes=B] [stream_timeout_ms=T]
//
// It prints "ready PORT" once it serves ("ready 0" for a follower), or "error STATUS". Each line is
// then answered by one that begins with "ok" or "error":
//
//   put CF KEY VALUE | delete CF KEY | delete_range CF BEGIN END | merge CF KEY NUMBER
//   batch CF KEY VALUE [CF KEY VALUE]...    puts, all in one
//   prepare NAME CF KEY VALUE [CF KEY VALUE]...   puts, all in one transaction in two phases
//   commit NAME | rollback NAME             also of one that was recovered
//   get CF KEY                              -> ok VALUE
//   flush | compact                         all column families
//   flush_one CF
//   load N BYTES SEED                       N writes of every kind, as fast as can be
//   start_load BYTES SEED | stop_load       the same in the background, without an end
//   await_load                              waits until a write of that load fails
//   position                                -> ok POSITION
//   wait POSITION TIMEOUT_MS
//   hash                                    -> ok ENTRIES HASH SEQUENCE
//   snapshot | snapshot_hash | release      at most one snapshot; its hash as above
//   stats                                   -> ok NAME=NUMBER...
//   quit
#include <signal.h>
#include <sys/prctl.h>

#include <atomic>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "rocksdb/db.h"
#include "rocksdb/utilities/transaction_db.h"
#include "slipstream/follower.h"
#include "slipstream/leader.h"
#include "slipstream/shared_storage.h"
#include "tests/e2e/column_families.h"
#include "tests/e2e/content_digest.h"
#include "tests/e2e/mixed_load.h"

namespace slipstream::testing {
namespace {

using rocksdb::ColumnFamilyHandle;
using rocksdb::Status;
using rocksdb::WriteOptions;

class Arguments {
 public:
  Arguments(int argc, char** argv) {
    for (int i = 2; i < argc; ++i) {
      const std::string argument = argv[i];
      const size_t equals = argument.find('=');
      if (equals != std::string::npos) {
        values_[argument.substr(0, equals)] = argument.substr(equals + 1);
      }
    }
  }
  std::string Text(const std::string& name) const {
    auto it = values_.find(name);
    return it == values_.end() ? std::string() : it->second;
  }
  uint64_t Number(const std::string& name, uint64_t otherwise) const {
    auto it = values_.find(name);
    return it == values_.end() ? otherwise : std::stoull(it->second);
  }

 private:
  std::map<std::string, std::string> values_;
};

class Node {
 public:
  explicit Node(const Arguments& arguments) : arguments_(arguments) {}
  ~Node() { Close(); }

  Status Open(const std::string& role);
  int port() const { return leader_ != nullptr ? leader_->port() : 0; }
  // Returns the text behind "ok".
  Status Obey(const std::string& command, std::istringstream* words, std::string* answer);
  void Close();

 private:
  Status OpenLeader();
  Status OpenFollower();
  Status OpenTransactions(const LeaderOptions& options, rocksdb::DBOptions db_options);
  Status Write(const std::string& command, std::istringstream* words);
  Status Transact(const std::string& command, std::istringstream* words);
  Status Files(const std::string& command);
  Status Load(const std::string& command, std::istringstream* words, std::string* answer);
  Status Look(const std::string& command, std::istringstream* words, std::string* answer);
  Status StopLoad();
  std::string Stats() const;
  ColumnFamilyHandle* Family(const std::string& name) const;

  const Arguments arguments_;
  std::shared_ptr<SharedStorage> storage_;
  std::vector<ColumnFamilyHandle*> families_;
  std::unique_ptr<Leader> leader_;
  std::unique_ptr<Follower> follower_;
  rocksdb::DB* db_ = nullptr;
  rocksdb::TransactionDB* transactions_ = nullptr;  // owned; the database of some leaders
  const rocksdb::Snapshot* snapshot_ = nullptr;

  std::thread load_;
  std::atomic<bool> load_stops_{false};
  Status load_status_;
};

Status Node::Open(const std::string& role) {
  Status s = NewDirectoryStorage(arguments_.Text("storage"), &storage_);
  if (!s.ok()) return s;
  s = role == "leader" ? OpenLeader() : OpenFollower();
  if (!s.ok()) return s;
  db_ = leader_ != nullptr ? leader_->db() : follower_->db();
  // The load has entries that are not for transactions.
  if (transactions_ != nullptr) db_ = transactions_->GetBaseDB();
  return s;
}

Status Node::OpenLeader() {
  LeaderOptions options;
  options.database = arguments_.Text("database");
  options.storage = storage_;
  options.server_options.listen_address =
      "127.0.0.1:" + std::to_string(arguments_.Number("port", 0));
  options.replication_log_bytes = arguments_.Number("log_bytes", options.replication_log_bytes);
  options.follower_lease_ms = arguments_.Number("lease_ms", options.follower_lease_ms);
  if (arguments_.Text("wal") == "memory") options.wal = WalMode::kMemoryOnly;
  rocksdb::DBOptions db_options;
  db_options.create_if_missing = true;
  db_options.create_missing_column_families = true;
  db_options.max_manifest_file_size =
      arguments_.Number("manifest_bytes", db_options.max_manifest_file_size);
  if (arguments_.Number("transactions", 0) != 0) return OpenTransactions(options, db_options);
  return Leader::Open(options, db_options, arguments_.Text("directory"),
                      TestColumnFamilies(arguments_.Number("write_buffer_bytes", 64ull << 20)),
                      &families_, &leader_);
}

Status Node::OpenTransactions(const LeaderOptions& options, rocksdb::DBOptions db_options) {
  const std::string path = arguments_.Text("directory");
  const auto families = TestColumnFamilies(arguments_.Number("write_buffer_bytes", 64ull << 20));
  Status s = Leader::Create(options, path, &leader_);
  if (s.ok()) s = leader_->Prepare(&db_options, families);
  if (s.ok()) {
    s = rocksdb::TransactionDB::Open(db_options, rocksdb::TransactionDBOptions(), path, families,
                                     &families_, &transactions_);
  }
  return s.ok() ? leader_->Serve(transactions_, families_) : s;
}

Status Node::OpenFollower() {
  FollowerOptions options;
  options.database = arguments_.Text("database");
  options.leader_address = arguments_.Text("address");
  options.storage = storage_;
  options.name = arguments_.Text("name");
  options.open_timeout_ms = arguments_.Number("open_timeout_ms", options.open_timeout_ms);
  options.stream_timeout_ms = arguments_.Number("stream_timeout_ms", options.stream_timeout_ms);
  options.rebuild_interval_ms = arguments_.Number("rebuild_ms", options.rebuild_interval_ms);
  options.rebuild_flushed_bytes = arguments_.Number("rebuild_bytes", options.rebuild_flushed_bytes);
  return Follower::Open(options, rocksdb::DBOptions(), TestColumnFamilies(), &families_,
                        &follower_);
}

void Node::Close() {
  StopLoad().PermitUncheckedError();
  if (snapshot_ != nullptr) db_->ReleaseSnapshot(snapshot_);
  for (ColumnFamilyHandle* family : families_) delete family;
  families_.clear();
  snapshot_ = nullptr;
  if (leader_ != nullptr) leader_->Close().PermitUncheckedError();
  delete std::exchange(transactions_, nullptr);
  leader_.reset();
  follower_.reset();
}

ColumnFamilyHandle* Node::Family(const std::string& name) const {
  for (ColumnFamilyHandle* family : families_) {
    if (family->GetName() == name) return family;
  }
  return families_[0];
}

Status Node::Write(const std::string& command, std::istringstream* words) {
  std::string family, a, b;
  if (command == "batch") {
    rocksdb::WriteBatch batch;
    while (*words >> family >> a >> b) {
      Status s = batch.Put(Family(family), a, b);
      if (!s.ok()) return s;
    }
    return db_->Write(WriteOptions(), &batch);
  }
  *words >> family >> a >> b;
  if (command == "put") return db_->Put(WriteOptions(), Family(family), a, b);
  if (command == "delete") return db_->Delete(WriteOptions(), Family(family), a);
  if (command == "merge") return db_->Merge(WriteOptions(), Family(family), a, b);
  return db_->DeleteRange(WriteOptions(), Family(family), a, b);
}

Status Node::Transact(const std::string& command, std::istringstream* words) {
  if (transactions_ == nullptr) return Status::NotSupported("no transactions here: " + command);
  std::string name, family, a, b;
  *words >> name;
  if (command == "prepare") {
    // It is found by its name later.
    rocksdb::Transaction* transaction = transactions_->BeginTransaction(WriteOptions());
    Status s = transaction->SetName(name);
    while (s.ok() && *words >> family >> a >> b) s = transaction->Put(Family(family), a, b);
    return s.ok() ? transaction->Prepare() : s;
  }
  const std::unique_ptr<rocksdb::Transaction> transaction(
      transactions_->GetTransactionByName(name));
  if (transaction == nullptr) return Status::NotFound("transaction " + name);
  return command == "commit" ? transaction->Commit() : transaction->Rollback();
}

Status Node::Files(const std::string& command) {
  if (command == "flush") return db_->Flush(rocksdb::FlushOptions(), families_);
  Status s;
  for (ColumnFamilyHandle* family : families_) {
    if (s.ok()) s = db_->CompactRange(rocksdb::CompactRangeOptions(), family, nullptr, nullptr);
  }
  return s;
}

Status Node::StopLoad() {
  if (!load_.joinable()) return Status::OK();
  load_stops_ = true;
  load_.join();
  return load_status_;
}

Status Node::Load(const std::string& command, std::istringstream* words, std::string*) {
  if (command == "stop_load") return StopLoad();
  if (command == "await_load") {
    if (load_.joinable()) load_.join();
    return load_status_;
  }
  uint64_t n = 0, bytes = 0, seed = 0;
  if (command == "load") {
    *words >> n >> bytes >> seed;
    return MixedLoad(db_, families_, bytes, seed).Write(n);
  }
  *words >> bytes >> seed;
  load_stops_ = false;
  load_ = std::thread([this, bytes, seed] {
    MixedLoad load(db_, families_, bytes, seed);
    load_status_ = Status::OK();
    while (!load_stops_ && load_status_.ok()) load_status_ = load.WriteOne();
  });
  return Status::OK();
}

std::string Node::Stats() const {
  std::ostringstream out;
  if (leader_ != nullptr) {
    const LeaderStats stats = leader_->stats();
    uint64_t images = 0, connected = 0;
    for (const FollowerInfo& f : leader_->followers()) {
      images += f.images_sent;
      connected += f.connected ? 1 : 0;
    }
    out << "log_bytes=" << stats.log_bytes << " memory_bytes=" << stats.replication_log_bytes
        << " live_objects=" << stats.live_objects << " pinned_objects=" << stats.pinned_objects
        << " deleted_objects=" << stats.deleted_objects << " images_sent=" << images
        << " connected=" << connected << " healthy=" << stats.replication.ok()
        << " epoch=" << stats.position.epoch << " fenced_by=" << stats.fenced_by;
    return out.str();
  }
  const FollowerStats stats = follower_->stats();
  out << "resyncs=" << stats.resyncs << " reconnects=" << stats.reconnects
      << " history_resets=" << stats.history_resets << " rebuilds=" << stats.rebuilds
      << " sequence_gaps=" << stats.sequence_gaps << " live_generations=" << stats.live_generations
      << " connected=" << stats.connected << " healthy=" << stats.status.ok()
      << " lag_bytes=" << stats.lag_bytes << " lag_sequences=" << stats.lag_sequences
      << " lag_us=" << stats.lag_us << " epoch=" << stats.applied.epoch
      << " sequence=" << stats.applied.sequence;
  return out.str();
}

Status Node::Look(const std::string& command, std::istringstream* words, std::string* answer) {
  if (command == "get") {
    std::string family, key;
    *words >> family >> key;
    return db_->Get(rocksdb::ReadOptions(), Family(family), key, answer);
  }
  if (command == "position") {
    *answer = (leader_ != nullptr ? leader_->position() : follower_->position()).ToString();
    return Status::OK();
  }
  if (command == "wait") {
    std::string text;
    uint64_t timeout_ms = 0;
    *words >> text >> timeout_ms;
    Position position;
    Status s = Position::Parse(text, &position);
    if (!s.ok() || follower_ == nullptr) return s;
    return follower_->WaitFor(position, timeout_ms * 1000);
  }
  if (command == "stats") {
    *answer = Stats();
    return Status::OK();
  }
  ContentDigest digest;
  Status s = DigestOf(db_, families_, command == "hash" ? nullptr : snapshot_, &digest);
  *answer = digest.ToString();
  return s;
}

Status Node::Obey(const std::string& command, std::istringstream* words, std::string* answer) {
  if (command == "put" || command == "delete" || command == "merge" || command == "batch" ||
      command == "delete_range") {
    return Write(command, words);
  }
  if (command == "prepare" || command == "commit" || command == "rollback") {
    return Transact(command, words);
  }
  if (command == "flush" || command == "compact") return Files(command);
  if (command == "flush_one") {
    std::string family;
    *words >> family;
    return db_->Flush(rocksdb::FlushOptions(), Family(family));
  }
  if (command == "load" || command == "start_load" || command == "stop_load" ||
      command == "await_load") {
    return Load(command, words, answer);
  }
  if (command == "snapshot") {
    snapshot_ = db_->GetSnapshot();
    return Status::OK();
  }
  if (command == "release") {
    db_->ReleaseSnapshot(std::exchange(snapshot_, nullptr));
    return Status::OK();
  }
  if (command == "get" || command == "position" || command == "wait" || command == "stats" ||
      command == "hash" || command == "snapshot_hash") {
    return Look(command, words, answer);
  }
  return Status::NotSupported("unknown command " + command);
}

int Run(int argc, char** argv) {
  // The node goes with the test, even if that crashes.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Node node(Arguments(argc, argv));
  Status s = node.Open(argc > 1 ? argv[1] : "");
  if (!s.ok()) {
    std::cout << "error " << s.ToString() << std::endl;
    return 1;
  }
  std::cout << "ready " << node.port() << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string command, answer;
    words >> command;
    if (command == "quit") {
      node.Close();
      std::cout << "ok" << std::endl;
      break;
    }
    s = node.Obey(command, &words, &answer);
    std::cout << (s.ok() ? "ok" + (answer.empty() ? "" : " " + answer) : "error " + s.ToString())
              << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace slipstream::testing

int main(int argc, char** argv) { return slipstream::testing::Run(argc, argv); }
