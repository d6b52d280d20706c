#include "tests/oracle/cluster.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "rocksdb/memtablerep.h"
#include "slipstream/replay_memtable.h"
#include "tests/oracle/families.h"
#include "tests/oracle/vanishing_storage.h"

namespace slipstream::oracle {

using rocksdb::ColumnFamilyDescriptor;
using rocksdb::ColumnFamilyHandle;
using rocksdb::Status;

Cluster::Cluster(const SeedOptions& seed, std::string directory, Verdict* verdict)
    : seed_(seed),
      directory_(std::move(directory)),
      verdict_(verdict),
      lease_ms_(seed.follower_lease_ms),
      network_(seed.followers, seed.faulty_network) {
  for (size_t i = 0; i < seed.followers; ++i) slots_.push_back(std::make_unique<FollowerSlot>());
}

Cluster::~Cluster() {
  for (size_t i = 0; i < slots_.size(); ++i) CloseFollower(i, false);
  if (leader_ != nullptr) CloseLeader(CloseStyle::kCrash, false).PermitUncheckedError();
}

Status Cluster::OpenLeader(Random* random) {
  Status s;
  if (storage_ == nullptr) {
    s = NewDirectoryStorage(directory_ + "/shared", &storage_);
    if (s.ok()) storage_ = NewVanishingStorage(std::move(storage_));
    if (s.ok()) faults_ = std::make_unique<Faults>(storage_);
  }
  if (s.ok() && seed_.shared_server && server_ == nullptr) {
    s = ReplicationServer::Start({}, &server_);
  }
  if (!s.ok()) return s;
  const LeaderOptions options = OptionsOfLeader();
  rocksdb::DBOptions db_options = seed_.db;
  db_options.env = faults_->env();
  db_options.avoid_flush_during_recovery = random->OneIn(2) && seed_.wal != WalKeeping::kMemory;
  const std::string path = directory_ + "/leader";
  if (seed_.separate_wal_directory) db_options.wal_dir = directory_ + "/wal";
  std::vector<std::string> names;
  if (std::filesystem::exists(path + "/CURRENT")) {
    s = rocksdb::DB::ListColumnFamilies(rocksdb::DBOptions(), path, &names);
    if (!s.ok()) return s;
  } else {
    for (size_t i = 0; i < seed_.families; ++i) names.push_back(BaseFamily(i));
    for (const std::string& name : SpecialFamilies(seed_)) names.push_back(name);
  }
  std::vector<ColumnFamilyDescriptor> descriptors;
  for (const std::string& name : names) {
    descriptors.emplace_back(name, OptionsOfFamily(name, seed_.family));
  }
  std::vector<ColumnFamilyHandle*> handles;
  if (seed_.transactions) {
    if (seed_.replay_memtable) {
      for (ColumnFamilyDescriptor& d : descriptors) {
        if (s.ok()) s = UseReplayMemTable(&d.options);
      }
    }
    if (!s.ok()) return s;
    s = OpenTransactionDB(options, db_options, path, descriptors, &handles);
  } else {
    s = Leader::Open(options, db_options, path, descriptors, &handles, &leader_);
  }
  for (ColumnFamilyHandle* handle : handles) handles_[handle->GetName()] = handle;
  if (!s.ok()) return s;
  port_ = server_ != nullptr ? server_->port() : leader_->port();
  network_.SetLeaderPort(port_);
  leader_epoch_ = leader_->position().epoch;
  return s;
}

LeaderOptions Cluster::OptionsOfLeader() const {
  LeaderOptions options;
  options.database = kDatabase;
  options.storage = faults_->leaders_storage();
  options.server = server_;
  options.server_options.listen_address = "127.0.0.1:" + std::to_string(port_);
  options.replication_log_bytes = seed_.replication_log_bytes;
  options.max_batch_delay_us = seed_.max_batch_delay_us;
  options.heartbeat_ms = seed_.heartbeat_ms;
  options.follower_lease_ms = lease_ms_;
  options.replay_memtable = seed_.replay_memtable;
  if (seed_.wal == WalKeeping::kMemory) options.wal = WalMode::kMemoryOnly;
  return options;
}

Status Cluster::OpenTransactionDB(const LeaderOptions& options,
                                  const rocksdb::DBOptions& db_options, const std::string& path,
                                  const std::vector<ColumnFamilyDescriptor>& descriptors,
                                  std::vector<ColumnFamilyHandle*>* handles) {
  rocksdb::DBOptions adjusted = db_options;
  Status s = Leader::Create(options, path, &leader_);
  if (s.ok()) s = leader_->Prepare(&adjusted, descriptors);
  if (s.ok()) {
    s = rocksdb::TransactionDB::Open(adjusted, rocksdb::TransactionDBOptions(), path, descriptors,
                                     handles, &transaction_db_);
  }
  return s.ok() ? leader_->Serve(transaction_db_, *handles) : s;
}

Status Cluster::CloseLeader(CloseStyle style, bool destroy_only) {
  Status s;
  if (style != CloseStyle::kOrderly) {
    s = db()->SetDBOptions({{"avoid_flush_during_shutdown", "true"}});
  }
  const bool kill = s.ok() && style == CloseStyle::kKill;
  if (kill) faults_->StopLeader();
  for (const auto& [name, handle] : handles_) delete handle;
  handles_.clear();
  verdict_->totals->objects_deleted += leader_->stats().deleted_objects;
  if (transaction_db_ != nullptr || (s.ok() && !destroy_only)) s = leader_->Close();
  delete std::exchange(transaction_db_, nullptr);
  leader_.reset();
  if (!kill) return s;
  // Whatever it said: nobody would have heard it.
  faults_->Heal();
  return Status::OK();
}

Status Cluster::PublishWrites() const {
  return seed_.wal == WalKeeping::kManual ? db()->FlushWAL(/*sync=*/false) : Status::OK();
}

Status Cluster::FlushAll() const {
  std::vector<ColumnFamilyHandle*> all;
  for (const auto& [name, handle] : handles_) all.push_back(handle);
  return db()->Flush(rocksdb::FlushOptions(), all);
}

ColumnFamilyHandle* Cluster::handle(const std::string& family) const {
  auto it = handles_.find(family);
  return it == handles_.end() ? nullptr : it->second;
}

Status Cluster::CreateFamily(const std::string& name) {
  ColumnFamilyHandle* handle = nullptr;
  Status s = db()->CreateColumnFamily(seed_.family, name, &handle);
  if (s.ok()) handles_[name] = handle;
  return s;
}

Status Cluster::DropFamily(const std::string& name) {
  auto node = handles_.extract(name);
  Status s = db()->DropColumnFamily(node.mapped());
  delete node.mapped();
  return s;
}

Status Cluster::OpenFollower(size_t i, Random* random) {
  FollowerOptions options;
  options.database = kDatabase;
  options.leader_address = "127.0.0.1:" + std::to_string(network_.port(i));
  options.storage = faults_->followers_storage();
  options.name = "follower " + std::to_string(i);
  const FollowerVariant& variant = seed_.variants[i];
  rocksdb::ColumnFamilyOptions family = seed_.family;
  if (variant.skip_list) {
    // One with lookahead: the plain one means that the follower chooses.
    family.memtable_factory = std::make_shared<rocksdb::SkipListFactory>(16);
  }
  options.rebuild_flushed_bytes = variant.small_limits ? 64 << 10 : seed_.rebuild_flushed_bytes;
  options.rebuild_interval_ms = seed_.rebuild_interval_ms;
  options.ack_interval_us = seed_.ack_interval_us;
  options.receive_queue_bytes = seed_.ReceiveQueueBytes(i);
  options.stream_timeout_ms = seed_.stream_timeout_ms;
  options.other_column_families = family;
  FollowerSlot& slot = *slots_[i];
  options.on_history_reset = [&slot](const HistoryReset& reset) {
    absl::MutexLock lock(&slot.resets_mutex);
    slot.resets.push_back(reset);
  };
  rocksdb::DBOptions db_options;
  db_options.max_open_files = seed_.FollowerMaxOpenFiles(i);
  // Each follower names some of the column families; it has to show the others as well.
  std::vector<ColumnFamilyDescriptor> descriptors;
  for (const auto& [name, handle] : handles_) {
    if (name == "default" || IsSpecial(name) || random->OneIn(2)) {
      descriptors.emplace_back(name, OptionsOfFamily(name, family));
    }
  }
  std::vector<ColumnFamilyHandle*> handles;
  std::unique_ptr<Follower> follower;
  Status s = Follower::Open(options, db_options, descriptors, &handles, &follower);
  if (!s.ok()) return s;
  ++verdict_->totals->follower_opens;
  absl::MutexLock lock(&slot.mutex);
  slot.follower = std::move(follower);
  slot.handles = std::move(handles);
  return s;
}

void Cluster::AddCounts(const Follower& follower) {
  const FollowerStats stats = follower.stats();
  Totals& t = *verdict_->totals;
  t.records += stats.records_applied;
  t.generations += stats.rebuilds + 1;
  t.barriers += stats.rebuilds_for_barriers;
  t.gaps += stats.sequence_gaps;
  t.resyncs += stats.resyncs;
  t.history_resets += stats.history_resets;
}

void Cluster::CloseFollower(size_t i, bool read_after_close) {
  FollowerSlot& slot = *slots_[i];
  absl::MutexLock lock(&slot.mutex);
  if (slot.follower == nullptr) return;
  AddCounts(*slot.follower);
  Status s = slot.follower->Close();
  if (read_after_close) {
    std::unique_ptr<rocksdb::Iterator> it(
        slot.follower->db()->NewIterator(rocksdb::ReadOptions(), slot.handles.front()));
    it->SeekToFirst();
    // Its lease has run since it was closed.
    const Status read = it->status();
    if (!read.ok() && !read.IsIOError()) {
      verdict_->Fail("read after Follower::Close: " + read.ToString());
    }
  }
  for (ColumnFamilyHandle* handle : slot.handles) delete handle;
  slot.handles.clear();
  slot.follower.reset();
}

std::pair<std::string, uint64_t> Cluster::NewestWal() const {
  std::pair<std::string, uint64_t> newest;
  for (const auto& entry : std::filesystem::directory_iterator(
           directory_ + (seed_.separate_wal_directory ? "/wal" : "/leader"))) {
    if (entry.path().extension() != ".log") continue;
    if (entry.path().string() > newest.first) {
      newest = {entry.path().string(), std::filesystem::file_size(entry.path())};
    }
  }
  return newest;
}

Status Cluster::ListObjects(std::vector<std::string>* names) const {
  return storage_->List(std::string(kDatabase) + "/sst/", names);
}

}  // namespace slipstream::oracle
