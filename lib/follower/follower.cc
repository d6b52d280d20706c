#include "slipstream/follower.h"

#include <atomic>
#include <cstdio>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/core/object_name.h"
#include "lib/core/stream_checks.h"
#include "lib/follower/applier.h"
#include "lib/follower/column_family_slots.h"
#include "lib/follower/follower_db.h"
#include "lib/follower/follower_report.h"
#include "lib/follower/generation.h"
#include "lib/follower/option_match.h"
#include "lib/follower/progress.h"
#include "lib/follower/receive_queue.h"
#include "lib/follower/receiver.h"
#include "lib/follower/table_metadata.h"
#include "lib/host/steady_clock.h"
#include "lib/host/thread_name.h"
#include "lib/wire/grpc_transport.h"

namespace slipstream {
namespace {

using rocksdb::ColumnFamilyDescriptor;
using rocksdb::ColumnFamilyHandle;
using rocksdb::DBOptions;
using rocksdb::Status;

constexpr uint64_t kDayMs = 86400000;

Status Expect(bool ok, const std::string& field, const std::string& value,
              const std::string& expected) {
  if (ok) return Status::OK();
  return Status::InvalidArgument("FollowerOptions::" + field + " = " + value + ", expected " +
                                 expected);
}

std::string NewFollowerId() {
  std::random_device random;
  char id[33];
  snprintf(id, sizeof(id), "%08x%08x%08x%08x", random(), random(), random(), random());
  return id;
}

// Whether trying again cannot help.
bool IsFinal(const Status& s) {
  return s.IsInvalidArgument() || s.IsNotFound() || s.IsNotSupported();
}

class FollowerImpl : public Follower {
 public:
  FollowerImpl(FollowerOptions options, DBOptions db_options,
               std::vector<ColumnFamilyDescriptor> column_families);
  ~FollowerImpl() override;

  Status Open(std::vector<ColumnFamilyHandle*>* handles);

  rocksdb::DB* db() override { return db_.get(); }
  Position position() const override { return progress_.applied(); }
  Status WaitFor(const Position& position, uint64_t timeout_us) override {
    return progress_.WaitFor(position, timeout_us);
  }
  Status WaitForFreshness(uint64_t max_staleness_us, uint64_t timeout_us) override {
    return progress_.WaitForFreshness(max_staleness_us, timeout_us);
  }
  ColumnFamilyHandle* GetColumnFamily(const std::string& name) override;
  FollowerStats stats() const override;
  std::shared_ptr<const observe::Source> source() const override { return source_; }
  Status Close() override;

 private:
  FollowerFigures Figures() const;
  GenerationSource Source();
  Status CheckWelcome(const Welcome& welcome) const;
  Status WaitUntilServing();
  void RetireLoop();
  void StopThreads();
  void OnApplierError(const Status& status);

  const FollowerOptions options_;
  const DBOptions db_options_;
  const HostColumnFamilies column_families_;
  const std::string id_;

  ColumnFamilySlots slots_;
  TableMetadata table_metadata_;
  GenerationSet generations_;
  FollowerTimings timings_;
  Progress progress_;
  ReceiveQueue queue_;
  std::unique_ptr<Applier> applier_;
  std::unique_ptr<Receiver> receiver_;
  std::thread retirer_;
  std::unique_ptr<FollowerColumnFamilyHandle> default_handle_;
  std::unique_ptr<rocksdb::DB> db_;
  const std::shared_ptr<FollowerSource> source_;
  std::once_flag closed_;

  mutable absl::Mutex mutex_;
  Status open_error_ ABSL_GUARDED_BY(mutex_);
  // By id; for GetColumnFamily.
  std::map<uint32_t, std::unique_ptr<FollowerColumnFamilyHandle>> handles_ ABSL_GUARDED_BY(mutex_);
};

FollowerImpl::FollowerImpl(FollowerOptions options, DBOptions db_options,
                           std::vector<ColumnFamilyDescriptor> column_families)
    : options_(std::move(options)),
      db_options_(std::move(db_options)),
      column_families_{std::move(column_families), options_.other_column_families},
      id_(NewFollowerId()),
      generations_(options_.task_registry, options_.database, options_.slow_read_us),
      progress_(&timings_, options_.task_registry, options_.database),
      queue_(options_.receive_queue_bytes),
      source_(
          std::make_shared<FollowerSource>(FollowerIdentity{options_.database, id_, options_.name,
                                                            options_.max_ready_staleness_ms * 1000},
                                           [this] { return Figures(); })) {}

FollowerImpl::~FollowerImpl() { Close().PermitUncheckedError(); }

GenerationSource FollowerImpl::Source() {
  GenerationSource source;
  source.database = options_.database;
  source.db_options = db_options_;
  source.column_families = column_families_;
  source.pool = std::make_shared<ObjectPool>(options_.storage, options_.database);
  source.slots = &slots_;
  source.table_metadata = &table_metadata_;
  source.tasks = options_.task_registry;
  return source;
}

Status FollowerImpl::CheckWelcome(const Welcome& welcome) const {
  if (const uint64_t shown = progress_.applied().epoch; welcome.epoch < shown) {
    return Status::Aborted("the leader is of epoch " + std::to_string(welcome.epoch) +
                           ", reads show epoch " + std::to_string(shown) +
                           " already: it has been replaced");
  }
  for (const ColumnFamilyInfo& theirs : welcome.column_families) {
    Status s = CheckColumnFamily(column_families_, theirs);
    if (!s.ok()) return s;
  }
  return Status::OK();
}

void FollowerImpl::OnApplierError(const Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    open_error_ = status;
  }
  receiver_->Restart(status);
}

Status FollowerImpl::Open(std::vector<ColumnFamilyHandle*>* handles) {
  ReceiverOptions receiver_options;
  receiver_options.database = options_.database;
  receiver_options.follower_id = id_;
  receiver_options.name = options_.name;
  receiver_options.leader_address = options_.leader_address;
  receiver_options.tasks = options_.task_registry;
  receiver_options.observe_endpoint = options_.observe_endpoint;
  receiver_options.stream_timeout_us = options_.stream_timeout_ms * 1000;
  receiver_options.ack_interval_us = options_.ack_interval_us;
  receiver_options.check_welcome = [this](const Welcome& w) { return CheckWelcome(w); };
  receiver_options.fill_ack = [this](Ack* ack) {
    ack->pin = applier_->OldestCut();
    ack->live_generations = generations_.live();
  };
  receiver_ = std::make_unique<Receiver>(
      std::move(receiver_options), NewGrpcTransport(options_.leader_address, options_.credentials),
      &queue_, &progress_);

  ApplierOptions applier_options;
  applier_options.budget = {options_.rebuild_flushed_bytes, options_.rebuild_interval_ms * 1000};
  applier_options.check_column_family = [this](const ColumnFamilyInfo& theirs) {
    return CheckColumnFamily(column_families_, theirs);
  };
  applier_options.timings = &timings_;
  applier_options.on_history_reset = options_.on_history_reset;
  applier_options.on_column_families_changed = options_.on_column_families_changed;
  applier_ = std::make_unique<Applier>(std::move(applier_options), Source(), &queue_, &generations_,
                                       &progress_, [this](const Status& s) { OnApplierError(s); });
  retirer_ = std::thread([this] {
    NameThisThread("ss-retirer");
    RetireLoop();
  });
  receiver_->Start();

  Status s = WaitUntilServing();
  if (!s.ok()) return s;
  default_handle_ = std::make_unique<FollowerColumnFamilyHandle>(
      rocksdb::kDefaultColumnFamilyName, 0, slots_.SlotOf(0), column_families_.OptionsOf("default"),
      &slots_);
  db_ = NewFollowerDB(options_.database, &generations_, default_handle_.get(), db_options_.env);

  std::string missing;
  std::vector<std::unique_ptr<ColumnFamilyHandle>> opened;
  const GenerationRef generation = generations_.Acquire();
  for (const ColumnFamilyDescriptor& d : column_families_.named) {
    bool found = false;
    for (const auto& [name, id] : generation->contents().column_families) {
      if (name != d.name) continue;
      found = true;
      opened.push_back(std::make_unique<FollowerColumnFamilyHandle>(name, id, slots_.SlotOf(id),
                                                                    d.options, &slots_));
    }
    if (!found) missing += (missing.empty() ? "\"" : ", \"") + d.name + "\"";
  }
  if (!missing.empty()) {
    return Status::InvalidArgument("the leader's database has no column family " + missing);
  }
  for (auto& handle : opened) handles->push_back(handle.release());
  return s;
}

Status FollowerImpl::WaitUntilServing() {
  constexpr absl::Duration kLook = absl::Milliseconds(50);
  const SteadyTime deadline = DeadlineIn(absl::Milliseconds(
      static_cast<int64_t>(std::min<uint64_t>(options_.open_timeout_ms, INT64_MAX))));
  for (;;) {
    const uint64_t seen = progress_.version();
    if (progress_.applied().epoch != 0) return Status::OK();
    Status applier_error;
    {
      absl::MutexLock lock(&mutex_);
      applier_error = open_error_;
    }
    const Status stream_error = receiver_->last_error();
    if (IsFinal(applier_error)) return applier_error;
    if (IsFinal(stream_error)) return stream_error;
    if (std::chrono::steady_clock::now() >= deadline) {
      std::string why = !applier_error.ok() ? applier_error.ToString() : stream_error.ToString();
      if (applier_error.ok() && stream_error.ok()) why = "the image has not arrived yet";
      return Status::TimedOut("no image of database \"" + options_.database + "\" from " +
                              options_.leader_address + " within " +
                              std::to_string(options_.open_timeout_ms) + " ms: " + why);
    }
    progress_.WaitForChange(seen, kLook);
  }
}

void FollowerImpl::RetireLoop() {
  while (generations_.WaitForUnused()) {
    // The leader hears of it: it may delete files that were kept for that generation.
    if (generations_.CloseUnused() > 0) progress_.BumpVersion();
  }
}

ColumnFamilyHandle* FollowerImpl::GetColumnFamily(const std::string& name) {
  const GenerationRef generation = generations_.Acquire();
  if (!generation) return nullptr;
  for (const auto& [have, id] : generation->contents().column_families) {
    if (have != name) continue;
    absl::MutexLock lock(&mutex_);
    auto& handle = handles_[id];
    if (handle == nullptr) {
      handle = std::make_unique<FollowerColumnFamilyHandle>(
          name, id, slots_.SlotOf(id), column_families_.OptionsOf(name), &slots_,
          FollowerColumnFamilyHandle::Owner::kFollower);
    }
    return handle.get();
  }
  return nullptr;
}

FollowerStats FollowerImpl::stats() const {
  FollowerStats stats;
  stats.id = id_;
  progress_.Fill(&stats);
  applier_->Fill(&stats);
  stats.reconnects = receiver_->reconnects();
  stats.live_generations = generations_.live();
  stats.receive_queue_bytes = queue_.bytes();
  stats.table_metadata_bytes = table_metadata_.bytes();
  if (db_ != nullptr) {
    db_->GetAggregatedIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables,
                                  &stats.memtable_bytes);
  }
  return stats;
}

FollowerFigures FollowerImpl::Figures() const {
  return {stats(), timings_.lag.Snapshot(), timings_.apply.Snapshot(), timings_.build.Snapshot(),
          timings_.wait.Snapshot()};
}

Status FollowerImpl::Close() {
  std::call_once(closed_, [this] { StopThreads(); });
  return progress_.status();
}

void FollowerImpl::StopThreads() {
  source_->Close();
  progress_.Stop();
  queue_.Stop();
  if (receiver_ != nullptr) receiver_->Stop();
  if (applier_ != nullptr) applier_->Stop();
  generations_.Stop();
  if (retirer_.joinable()) retirer_.join();
}

}  // namespace

Status FollowerOptions::Validate() const {
  Status s = ValidateDatabaseName(database);
  if (s.ok()) {
    s = Expect(!leader_address.empty(), "leader_address", "\"\"", "host:port of the leader");
  }
  if (s.ok()) s = Expect(storage != nullptr, "storage", "nullptr", "a SharedStorage");
  if (s.ok()) {
    s = Expect(name.size() <= kMaxFollowerName, "name",
               "of " + std::to_string(name.size()) + " bytes",
               "at most " + std::to_string(kMaxFollowerName));
  }
  if (s.ok()) {
    s = Expect(observe_endpoint.size() <= kMaxObserveEndpoint, "observe_endpoint",
               "of " + std::to_string(observe_endpoint.size()) + " bytes",
               "at most " + std::to_string(kMaxObserveEndpoint));
  }
  if (s.ok()) {
    s = Expect(max_ready_staleness_ms >= 1 && max_ready_staleness_ms <= kDayMs,
               "max_ready_staleness_ms", std::to_string(max_ready_staleness_ms), "1 to 86400000");
  }
  if (s.ok()) {
    s = Expect(open_timeout_ms >= 1, "open_timeout_ms", std::to_string(open_timeout_ms),
               "1 or more");
  }
  if (s.ok()) {
    s = Expect(stream_timeout_ms >= 100 && stream_timeout_ms <= kDayMs, "stream_timeout_ms",
               std::to_string(stream_timeout_ms), "100 to 86400000");
  }
  if (s.ok()) {
    s = Expect(receive_queue_bytes >= 1 << 20, "receive_queue_bytes",
               std::to_string(receive_queue_bytes), "1048576 or more");
  }
  if (s.ok()) {
    s = Expect(rebuild_flushed_bytes >= 64 << 10, "rebuild_flushed_bytes",
               std::to_string(rebuild_flushed_bytes), "65536 or more");
  }
  if (s.ok()) {
    s = Expect(rebuild_interval_ms >= 1, "rebuild_interval_ms", std::to_string(rebuild_interval_ms),
               "1 or more");
  }
  if (s.ok()) {
    s = Expect(ack_interval_us <= 1000000, "ack_interval_us", std::to_string(ack_interval_us),
               "at most 1000000");
  }
  return s;
}

Status Follower::Open(const FollowerOptions& options, const DBOptions& db_options,
                      const std::vector<ColumnFamilyDescriptor>& column_families,
                      std::vector<ColumnFamilyHandle*>* handles,
                      std::unique_ptr<Follower>* follower) {
  handles->clear();
  follower->reset();
  Status s = options.Validate();
  if (!s.ok()) return s;
  bool has_default = false;
  for (const ColumnFamilyDescriptor& d : column_families) {
    has_default |= d.name == rocksdb::kDefaultColumnFamilyName;
  }
  if (!has_default) {
    return Status::InvalidArgument(
        "Follower::Open: the column families do not include \"default\"");
  }
  auto impl = std::make_unique<FollowerImpl>(options, db_options, column_families);
  s = impl->Open(handles);
  if (s.ok()) *follower = std::move(impl);
  return s;
}

Status Follower::Open(const FollowerOptions& options, const rocksdb::Options& db_options,
                      std::unique_ptr<Follower>* follower) {
  std::vector<ColumnFamilyHandle*> handles;
  Status s = Open(options, db_options,
                  {ColumnFamilyDescriptor(rocksdb::kDefaultColumnFamilyName, db_options)}, &handles,
                  follower);
  for (ColumnFamilyHandle* handle : handles) delete handle;
  return s;
}

}  // namespace slipstream
