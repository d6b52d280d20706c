#include "slipstream/leader.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <mutex>
#include <utility>

#include "lib/core/file_name.h"
#include "lib/core/object_name.h"
#include "lib/host/host_name.h"
#include "lib/leader/database_tasks.h"
#include "lib/leader/epoch_claim.h"
#include "lib/leader/fence.h"
#include "lib/leader/fenced_endpoint.h"
#include "lib/leader/incarnation_keeper.h"
#include "lib/leader/leader_db.h"
#include "lib/leader/leader_env.h"
#include "lib/leader/leader_file_system.h"
#include "lib/leader/leader_report.h"
#include "lib/leader/lineage.h"
#include "lib/leader/reclaimer.h"
#include "lib/leader/recovery_watch.h"
#include "lib/leader/replicable_options.h"
#include "rocksdb/comparator.h"
#include "rocksdb/env.h"
#include "rocksdb/write_batch.h"

namespace slipstream {
namespace {

using rocksdb::ColumnFamilyDescriptor;
using rocksdb::ColumnFamilyHandle;
using rocksdb::DBOptions;
using rocksdb::IOOptions;
using rocksdb::Status;

Status Expect(bool ok, const std::string& field, const std::string& value,
              const std::string& expected) {
  if (ok) return Status::OK();
  return Status::InvalidArgument("LeaderOptions::" + field + " = " + value + ", expected " +
                                 expected);
}

// RocksDB names files below the path as given; ours is compared with it, so both lose their
// trailing slashes.
std::string WithoutTrailingSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

Status Closing() { return Status::Aborted("the leader is closing"); }

// Which directory of which machine, for people and for other machines.
std::string PlaceOf(const std::string& path) {
  std::error_code failed;
  const std::filesystem::path absolute = std::filesystem::absolute(path, failed);
  return HostName() + ":" + (failed ? path : absolute.lexically_normal().string());
}

// A newer leader is noticed after a tenth of a lease at the latest, and after a second.
absl::Duration FenceInterval(uint64_t lease_ms) {
  return std::clamp(absl::Milliseconds(lease_ms) / 10, absl::Milliseconds(10), absl::Seconds(1));
}

// RocksDB flushes when it is closed if it knows of writes that are in no WAL. Those whose WAL is in
// memory it takes for safe. Nor does it wait for memtables that are full already: the next write
// makes them immutable, with an empty one in their place, and then it finds nothing to flush. So
// all are flushed here; what is written afterwards, to a database that its host closes later, is
// flushed because an empty write without a WAL makes RocksDB do so.
Status FlushBeforeClose(rocksdb::DB* db) {
  if (db->GetDBOptions().avoid_flush_during_shutdown) return Status::OK();
  std::vector<std::string> files;
  uint64_t manifest_size = 0;
  Status s = db->GetRootDB()->GetLiveFiles(files, &manifest_size, /*flush_memtable=*/true);
  rocksdb::WriteBatch nothing;
  nothing.PutLogData("").PermitUncheckedError();
  rocksdb::WriteOptions without_wal;
  without_wal.disableWAL = true;
  // If this is refused, as after a background error, so is the flush.
  db->GetRootDB()->Write(without_wal, &nothing).PermitUncheckedError();
  return s;
}

class LeaderImpl : public Leader {
 public:
  LeaderImpl(LeaderOptions options, std::string path)
      : options_(std::move(options)),
        path_(WithoutTrailingSlashes(std::move(path))),
        source_(std::make_shared<LeaderSource>(
            options_.database, [this](LeaderFigures* figures) { return Look(figures); })) {
    if (options_.server == nullptr) return;
    options_.server->router()->Expect(options_.database);
    expected_ = true;
  }

  ~LeaderImpl() override {
    Close().PermitUncheckedError();
    Expected();
    if (database_tasks_ != nullptr) database_tasks_->Stop();
    env_.reset();
    if (file_lock_ != nullptr) {
      base_->UnlockFile(file_lock_, IOOptions(), nullptr).PermitUncheckedError();
    }
  }

  Status Prepare(DBOptions* db_options,
                 const std::vector<ColumnFamilyDescriptor>& column_families) override;
  Status Serve(rocksdb::DB* db, const std::vector<ColumnFamilyHandle*>& handles) override;
  // As Prepare. may_have_transactions: whether the database may be opened with allow_2pc.
  Status PrepareFor(DBOptions* db_options,
                    const std::vector<ColumnFamilyDescriptor>& column_families,
                    bool may_have_transactions);
  // Records where the epoch of this opening begins.
  Status BeginEpoch(rocksdb::DB* db, uint64_t recovered);
  // Takes over the database, to be closed with the leader.
  void Own(std::unique_ptr<rocksdb::DB> db) { owned_db_ = std::move(db); }

  rocksdb::DB* db() override { return db_.load(std::memory_order_acquire); }
  Position position() const override {
    return keeper_ == nullptr ? Position() : keeper_->position();
  }
  Status WaitForFollowers(const Position& position, size_t count, AckLevel level,
                          uint64_t timeout_us) override;
  std::vector<FollowerInfo> followers() const override {
    return followers_ == nullptr ? std::vector<FollowerInfo>() : followers_->List(position());
  }
  LeaderStats stats() const override;
  std::shared_ptr<const observe::Source> source() const override { return source_; }
  int port() const override { return server_ == nullptr ? 0 : server_->port(); }
  Status Close() override;
  LeaderDBParts db_parts() const { return {path_, fence_, gate_, options_.replay_memtable}; }

 private:
  Status LockDirectory(bool create);
  void KnowComparator(ColumnFamilyHandle* handle) {
    const rocksdb::Comparator* comparator = handle->GetComparator();
    log_->KnowComparator(comparator->Name(), static_cast<uint32_t>(comparator->timestamp_size()));
  }
  // Whether this directory is what goes on under the database's name.
  Status CheckDirectory(const std::vector<EpochStart>& openings);
  Status CheckObjects(rocksdb::DB* db);
  void OnFenced(const Status& why);
  // It is there, or will not come.
  void Expected() {
    if (std::exchange(expected_, false)) options_.server->router()->Unexpect(options_.database);
  }
  // For the source. False before Serve.
  bool Look(LeaderFigures* figures) const;
  Status Stop();

  const LeaderOptions options_;
  const std::string path_;
  const std::shared_ptr<LeaderSource> source_;
  std::shared_ptr<rocksdb::FileSystem> base_;
  std::shared_ptr<rocksdb::Logger> logger_;
  rocksdb::FileLock* file_lock_ = nullptr;
  std::shared_ptr<ObjectCatalog> catalog_;
  std::shared_ptr<EpochClaim> claim_;
  std::shared_ptr<RecoverySignal> recovery_;
  std::shared_ptr<DatabaseTasks> database_tasks_;  // null without a registry
  std::shared_ptr<MemoryWals> memory_wals_;        // null unless WALs are kept there
  std::shared_ptr<BarrierGate> gate_;              // null unless manual_wal_flush
  std::unique_ptr<Lineage> lineage_;
  std::shared_ptr<Fence> fence_;
  std::shared_ptr<ReplicationLog> log_;
  std::shared_ptr<FollowerTable> followers_;
  std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<RecoveryWatch> recovery_watch_;
  rocksdb::WALRecoveryMode recovery_mode_ = rocksdb::WALRecoveryMode::kPointInTimeRecovery;

  std::unique_ptr<rocksdb::DB> owned_db_;
  std::atomic<rocksdb::DB*> db_{nullptr};
  std::unique_ptr<Reclaimer> reclaimer_;
  std::shared_ptr<IncarnationKeeper> keeper_;
  bool announced_ = false;  // to the server
  bool expected_ = false;   // by the server
  std::shared_ptr<ReplicationServer> server_;
  std::once_flag closed_;
  Status close_status_;
};

Status LeaderImpl::LockDirectory(bool create) {
  Status exists = base_->FileExists(path_, IOOptions(), nullptr);
  if (!exists.ok() && !create) {
    return Status::InvalidArgument(path_ + " does not exist (create_if_missing is false)");
  }
  Status s = base_->CreateDirIfMissing(path_, IOOptions(), nullptr);
  if (!s.ok()) return s;
  s = base_->LockFile(path_ + "/SLIPSTREAM.lock", IOOptions(), &file_lock_, nullptr);
  if (!s.ok()) {
    file_lock_ = nullptr;
    return Status::Busy(path_ + " is open as a leader already: " + s.ToString());
  }
  return s;
}

Status LeaderImpl::CheckDirectory(const std::vector<EpochStart>& openings) {
  Lineage::DirectoryState state;
  state.openings = openings;
  Status s = base_->FileExists(path_ + "/CURRENT", IOOptions(), nullptr);
  state.has_database = s.ok();
  if (s.IsNotFound()) s = Status::OK();
  if (s.ok() && state.has_database) {
    s = rocksdb::ReadFileToString(base_.get(), path_ + "/IDENTITY", &state.identity);
    if (s.IsNotFound() || s.IsPathNotFound()) s = Status::OK();  // RocksDB makes another
    while (!state.identity.empty() && state.identity.back() == '\n') state.identity.pop_back();
  }
  return s.ok() ? lineage_->CheckDirectory(state) : s;
}

Status LeaderImpl::CheckObjects(rocksdb::DB* db) {
  bool needed = false;
  Status s = lineage_->NeedsObjectCheck(log_->epoch(), &needed);
  if (!s.ok() || !needed) return s;
  std::vector<std::string> files;
  uint64_t manifest_size = 0;
  s = db->GetLiveFiles(files, &manifest_size, /*flush_memtable=*/false);
  std::vector<ObjectInfo> referenced;
  for (const std::string& file : files) {
    const FileName name = ParseFileName(file);
    if (name.kind != FileKind::kTable && name.kind != FileKind::kBlob) continue;
    const auto object = catalog_->Find(name.number);
    if (object) referenced.push_back(*object);
  }
  return s.ok() ? lineage_->CheckObjects(referenced) : s;
}

void LeaderImpl::OnFenced(const Status& why) {
  rocksdb::Error(logger_, "%s", why.ToString().c_str());
  keeper_->End(why);
  followers_->Stop(why);
}

Status LeaderImpl::Prepare(DBOptions* db_options,
                           const std::vector<ColumnFamilyDescriptor>& column_families) {
  // TransactionDB::Open sets allow_2pc itself, later.
  return PrepareFor(db_options, column_families, true);
}

Status LeaderImpl::PrepareFor(DBOptions* db_options,
                              const std::vector<ColumnFamilyDescriptor>& column_families,
                              bool may_have_transactions) {
  if (log_ != nullptr) return Status::InvalidArgument("Leader::Prepare was called before");
  Status s = CheckReplicable(*db_options, path_, column_families);
  if (s.ok() && options_.wal == WalMode::kMemoryOnly) s = CheckMemoryWal(*db_options);
  if (s.ok() && options_.replay_memtable) s = CheckReplayMemTable(*db_options, column_families);
  if (!s.ok()) return s;
  rocksdb::Env* host_env = db_options->env != nullptr ? db_options->env : rocksdb::Env::Default();
  base_ = host_env->GetFileSystem();
  logger_ = db_options->info_log;
  recovery_mode_ = db_options->wal_recovery_mode;
  s = LockDirectory(db_options->create_if_missing);
  if (!s.ok()) return s;

  const std::string place = PlaceOf(path_);
  lineage_ = std::make_unique<Lineage>(options_.database, options_.storage, path_, place);
  // A directory that has led before says so in its catalogue; no other is marked by a refusal.
  const std::string journal = path_ + "/" + ObjectCatalog::kFileName;
  const bool led_before = base_->FileExists(journal, IOOptions(), nullptr).ok();
  if (!led_before) s = CheckDirectory({});
  std::unique_ptr<ObjectCatalog> catalog;
  if (s.ok()) s = ObjectCatalog::Open(base_, path_, options_.database, &catalog);
  if (!s.ok()) return s;
  catalog_ = std::move(catalog);
  if (led_before) s = CheckDirectory(catalog_->epochs());
  uint64_t epoch = 0;
  if (s.ok()) {
    uint64_t known = 0;
    for (const EpochStart& e : catalog_->epochs()) known = std::max(known, e.epoch);
    claim_ = std::make_shared<EpochClaim>(options_.database, options_.storage, place);
    s = claim_->ClaimNewest(known, &epoch);
  }
  if (!s.ok()) return s;
  fence_ = std::make_shared<Fence>(options_.database, options_.storage, epoch, claim_->content());

  auto log = std::make_shared<ReplicationLog>(epoch, options_.replication_log_bytes);
  const std::string wal_directory =
      db_options->wal_dir.empty() ? path_ : WithoutTrailingSlashes(db_options->wal_dir);
  if (options_.wal == WalMode::kMemoryOnly) memory_wals_ = std::make_shared<MemoryWals>();
  if (db_options->manual_wal_flush) gate_ = std::make_shared<BarrierGate>();
  auto fs = std::make_shared<LeaderFileSystem>(
      base_, LeaderFileSystem::Parts{options_.database, path_, wal_directory, options_.storage, log,
                                     catalog_, memory_wals_, gate_, options_.task_registry});
  s = fs->TakeOver(logger_.get());
  if (!s.ok()) return s;
  log_ = std::move(log);
  followers_ = std::make_shared<FollowerTable>(options_.follower_lease_ms, options_.task_registry);
  env_ = NewLeaderEnv(host_env, fs);
  if (options_.replay_memtable) db_options->allow_concurrent_memtable_write = false;
  db_options->env = env_.get();
  recovery_ = std::make_shared<RecoverySignal>();
  db_options->listeners.push_back(recovery_);
  if (options_.task_registry != nullptr) {
    database_tasks_ = std::make_shared<DatabaseTasks>(options_.task_registry, options_.database);
    db_options->listeners.push_back(database_tasks_);
  }
  // The directories are named exactly as the file system knows them.
  if (!db_options->wal_dir.empty()) db_options->wal_dir = wal_directory;
  db_options->db_paths.clear();
  if (may_have_transactions) {
    recovery_watch_ = std::make_unique<RecoveryWatch>();
    db_options->wal_filter = recovery_watch_.get();
  }
  return s;
}

Status LeaderImpl::Serve(rocksdb::DB* db, const std::vector<ColumnFamilyHandle*>& handles) {
  if (log_ == nullptr) return Status::InvalidArgument("Leader::Serve needs Prepare before it");
  if (db_.load() != nullptr) return Status::InvalidArgument("Leader::Serve was called before");
  if (WithoutTrailingSlashes(db->GetName()) != path_) {
    return Status::InvalidArgument("Leader::Serve: the database is " + db->GetName() +
                                   ", expected " + path_);
  }
  if (db->GetEnv() != env_.get()) {
    return Status::InvalidArgument("Leader::Serve: " + path_ +
                                   " was not opened with the options that Prepare adjusted");
  }
  Status s = CheckReplicable(db);
  for (ColumnFamilyHandle* handle : handles) {
    // Prepare may not have been told of it.
    if (s.ok()) s = CheckReplicable(handle->GetName(), db->GetOptions(handle), path_);
  }
  Welcome welcome;
  if (s.ok()) s = db->GetDbIdentity(welcome.db_identity);
  if (!s.ok()) return s;
  if (gate_ != nullptr) gate_->Opened(db->GetLatestSequenceNumber());
  // In this order: the host may be writing already, and then there is a first record.
  welcome.recovered_sequence = db->GetLatestSequenceNumber();
  if (const uint64_t first = log_->first_sequence(); first != 0) {
    welcome.recovered_sequence = first - 1;
  }
  welcome.newest_recovered_wal = log_->newest_recovered_wal();
  s = CheckObjects(db);
  if (s.ok()) s = BeginEpoch(db, welcome.recovered_sequence);
  if (s.ok()) s = lineage_->Record(log_->epoch(), welcome.db_identity);
  if (!s.ok()) return s;
  welcome.epoch = log_->epoch();
  welcome.epochs = catalog_->epochs();
  welcome.wal_recovery_mode = static_cast<uint32_t>(recovery_mode_);
  welcome.heartbeat_ms = options_.heartbeat_ms;
  welcome.two_phase_commit = db->GetDBOptions().allow_2pc;
  if (welcome.two_phase_commit) {
    if (db->GetDBOptions().wal_filter != recovery_watch_.get()) {
      return Status::InvalidArgument("Leader::Serve: DBOptions::wal_filter of " + path_ +
                                     " was set after Prepare, expected before it");
    }
    s = recovery_watch_->Result(&welcome.recovered_transactions);
    if (!s.ok()) return s;
  }
  // The names that followers compare come from the OPTIONS file, which RocksDB writes anew with
  // each change of the column families; the sizes of timestamps do not stand there.
  KnowComparator(db->DefaultColumnFamily());
  for (ColumnFamilyHandle* handle : handles) KnowComparator(handle);

  server_ = options_.server;
  if (server_ == nullptr) {
    s = ReplicationServer::Start(options_.server_options, &server_);
    if (!s.ok()) return s;
  }
  reclaimer_ = std::make_unique<Reclaimer>(options_.database, options_.storage, catalog_,
                                           followers_, fence_, logger_, options_.task_registry);
  IncarnationParts parts;
  parts.database = options_.database;
  parts.heartbeat_us = options_.heartbeat_ms * 1000;
  parts.max_batch_delay_us = options_.max_batch_delay_us;
  parts.catalog = catalog_;
  parts.followers = followers_;
  parts.claim = claim_;
  parts.signal = recovery_;
  parts.deleted_through = [this] { return reclaimer_->deleted_through(); };
  parts.waker = server_->router()->waker();
  parts.logger = logger_;
  parts.tasks = options_.task_registry;
  keeper_ = std::make_shared<IncarnationKeeper>(std::move(parts), log_);
  keeper_->Start(db, std::move(welcome));
  s = server_->router()->Add(options_.database, std::make_shared<FencedEndpoint>(keeper_, fence_));
  if (!s.ok()) {
    keeper_->Stop();
    return s;
  }
  announced_ = true;
  Expected();
  if (database_tasks_ != nullptr && db->GetDBOptions().enable_thread_tracking) {
    database_tasks_->Watch(env_.get(), path_);
  }
  db_.store(db, std::memory_order_release);
  reclaimer_->Start(options_.follower_lease_ms);
  fence_->Start(FenceInterval(options_.follower_lease_ms),
                [this](const Status& why) { OnFenced(why); });
  return s;
}

Status LeaderImpl::BeginEpoch(rocksdb::DB* db, uint64_t recovered) {
  // Where the WALs were in memory they are gone, and each column family stands at its own last
  // flush: the newest of these says nothing of what the others had.
  const uint64_t kept = std::min(recovered, catalog_->kept().value_or(recovered));
  Status s = catalog_->AddEpoch({log_->epoch(), kept});
  if (!s.ok() || memory_wals_ == nullptr) return s.ok() ? catalog_->ForgetKept() : s;
  memory_wals_->SetDatabase(db->GetRootDB());
  // What is recovered is flushed before an open returns.
  catalog_->NoteKept(recovered);
  return s;
}

Status LeaderImpl::WaitForFollowers(const Position& position, size_t count, AckLevel level,
                                    uint64_t timeout_us) {
  if (db_.load(std::memory_order_acquire) == nullptr) {
    return Status::Aborted("the leader is not serving");
  }
  if (const uint64_t epoch = keeper_->epoch(); position.epoch != epoch) {
    return Status::Aborted("position " + position.ToString() + " is not of this epoch, which is " +
                           std::to_string(epoch));
  }
  return followers_->Wait(position, count, level, timeout_us, [this] { keeper_->AskFollowers(); });
}

LeaderStats LeaderImpl::stats() const {
  LeaderStats stats;
  if (keeper_ == nullptr) return stats;
  keeper_->Fill(&stats);
  std::tie(stats.pinned_objects, stats.pinned_bytes) = catalog_->pinned();
  if (reclaimer_ != nullptr) stats.deleted_objects = reclaimer_->deleted();
  if (memory_wals_ != nullptr) stats.memory_wal_bytes = memory_wals_->bytes();
  stats.fenced_by = fence_->fenced_by();
  if (stats.fenced_by != 0) stats.replication = fence_->status();
  return stats;
}

bool LeaderImpl::Look(LeaderFigures* figures) const {
  // What it needs is set before.
  if (db_.load(std::memory_order_acquire) == nullptr) return false;
  *figures = {stats(), followers(), followers_->confirmations(), followers_->waits()};
  return true;
}

Status LeaderImpl::Close() {
  std::call_once(closed_, [this] { close_status_ = Stop(); });
  return close_status_;
}

Status LeaderImpl::Stop() {
  source_->Close();
  if (database_tasks_ != nullptr) database_tasks_->StopWatching();
  if (fence_ != nullptr) fence_->Stop();
  if (followers_ != nullptr) followers_->Stop(Closing());
  // What a leader has not put on the server is another leader's.
  if (std::exchange(announced_, false)) server_->router()->Remove(options_.database);
  if (keeper_ != nullptr) keeper_->Stop();
  if (reclaimer_ != nullptr) reclaimer_->Stop();
  // A server of the leader's own ends with it; the streams of a shared one were finished above.
  if (options_.server == nullptr && server_ != nullptr) server_->Stop();
  rocksdb::DB* db = db_.exchange(nullptr, std::memory_order_acq_rel);
  Status flushed;
  if (db != nullptr && memory_wals_ != nullptr) flushed = FlushBeforeClose(db);
  Status s;
  if (owned_db_ != nullptr) {
    s = owned_db_->Close();
    owned_db_.reset();
  }
  return s.ok() ? flushed : s;
}

}  // namespace

Status LeaderOptions::Validate() const {
  Status s = ValidateDatabaseName(database);
  if (s.ok()) s = Expect(storage != nullptr, "storage", "nullptr", "a SharedStorage");
  if (s.ok()) {
    s = Expect(replication_log_bytes >= 4ull << 20, "replication_log_bytes",
               std::to_string(replication_log_bytes), "4194304 or more");
  }
  if (s.ok()) {
    s = Expect(max_batch_delay_us <= 100000, "max_batch_delay_us",
               std::to_string(max_batch_delay_us), "at most 100000");
  }
  if (s.ok()) {
    s = Expect(heartbeat_ms >= 10 && heartbeat_ms <= 10000, "heartbeat_ms",
               std::to_string(heartbeat_ms), "10 to 10000");
  }
  if (s.ok()) {
    s = Expect(follower_lease_ms >= 100 && follower_lease_ms <= 86400000, "follower_lease_ms",
               std::to_string(follower_lease_ms), "100 to 86400000");
  }
  return s;
}

Status Leader::Create(const LeaderOptions& options, const std::string& path,
                      std::unique_ptr<Leader>* leader) {
  leader->reset();
  Status s = options.Validate();
  if (s.ok() && path.empty()) s = Status::InvalidArgument("Leader: the path is empty");
  if (s.ok()) *leader = std::make_unique<LeaderImpl>(options, path);
  return s;
}

Status Leader::Open(const LeaderOptions& options, const DBOptions& db_options,
                    const std::string& path,
                    const std::vector<ColumnFamilyDescriptor>& column_families,
                    std::vector<ColumnFamilyHandle*>* handles, std::unique_ptr<Leader>* leader) {
  handles->clear();
  leader->reset();
  Status s = options.Validate();
  if (s.ok() && path.empty()) s = Status::InvalidArgument("Leader: the path is empty");
  if (!s.ok()) return s;
  auto impl = std::make_unique<LeaderImpl>(options, path);
  DBOptions adjusted = db_options;
  std::vector<ColumnFamilyDescriptor> families = column_families;
  if (options.replay_memtable) s = SetReplayMemTable(&families);
  if (s.ok()) s = impl->PrepareFor(&adjusted, families, adjusted.allow_2pc);
  rocksdb::DB* db = nullptr;
  std::vector<ColumnFamilyHandle*> opened;
  if (s.ok()) {
    s = rocksdb::DB::Open(adjusted, WithoutTrailingSlashes(path), families, &opened, &db);
  }
  if (!s.ok()) return s;
  std::unique_ptr<rocksdb::DB> facade = NewLeaderDB(db, impl->db_parts());
  s = impl->Serve(facade.get(), opened);
  impl->Own(std::move(facade));
  if (!s.ok()) {
    for (ColumnFamilyHandle* handle : opened) delete handle;
    return s;
  }
  *handles = std::move(opened);
  *leader = std::move(impl);
  return s;
}

Status Leader::Open(const LeaderOptions& options, const rocksdb::Options& db_options,
                    const std::string& path, std::unique_ptr<Leader>* leader) {
  std::vector<ColumnFamilyHandle*> handles;
  Status s = Open(options, db_options, path,
                  {ColumnFamilyDescriptor(rocksdb::kDefaultColumnFamilyName, db_options)}, &handles,
                  leader);
  // The database has a handle of its own to the default column family.
  for (ColumnFamilyHandle* handle : handles) delete handle;
  return s;
}

}  // namespace slipstream
