#include "lib/follower/generation_builder.h"

#include <algorithm>
#include <utility>

#include "lib/core/batch_gatherer.h"
#include "lib/core/coding.h"
#include "lib/follower/generation_file_system.h"
#include "lib/follower/generation_options.h"
#include "lib/host/steady_clock.h"
#include "lib/host/thread_cpu_clock.h"
#include "lib/host/thread_name.h"
#include "lib/host/thread_priority.h"
#include "rocksdb/write_batch.h"

namespace slipstream {
namespace {

using rocksdb::ColumnFamilyDescriptor;
using rocksdb::ColumnFamilyHandle;
using rocksdb::Status;

// When no more than this is left, the applier does the rest.
constexpr uint64_t kSmallBacklogBytes = 64ull << 10;

// `count` deletions in a column family that does not exist. With ignore_missing_column_families
// each consumes a sequence number and inserts nothing; no comparator sees their key, which would
// not be one of the host's.
std::string BatchOfNothing(uint32_t count) {
  constexpr char kColumnFamilyDeletion = 0x4;  // then the family's id, and the length of the key
  const std::string entry{kColumnFamilyDeletion, '\xff', '\xff', '\xff', '\xff', '\x0f', '\0'};
  std::string batch(kBatchHeaderSize, '\0');
  EncodeFixed32(batch.data() + 8, count);
  for (uint32_t i = 0; i < count; ++i) batch += entry;
  return batch;
}

// Some records of a recovered WAL leave the last sequence number lower than it was on the leader
// (those that end with an empty range delete).
Status FillSequences(rocksdb::DB* db, uint64_t wanted) {
  constexpr uint64_t kBatch = 1000;
  // They come from one WAL, which may be gone already, and take three bytes of it each. A number
  // that is far away is none that a leader gave.
  constexpr uint64_t kMostMissing = 1 << 26;
  const uint64_t recovered = db->GetLatestSequenceNumber();
  if (wanted > recovered && wanted - recovered > kMostMissing) {
    return Status::Corruption("generation: recovered sequence number " + std::to_string(recovered) +
                              ", the log files explain " + std::to_string(wanted) +
                              ", expected at most " + std::to_string(kMostMissing) + " more");
  }
  for (uint64_t have; (have = db->GetLatestSequenceNumber()) < wanted;) {
    Status s = WriteToGeneration(
        db, BatchOfNothing(static_cast<uint32_t>(std::min(kBatch, wanted - have))));
    if (!s.ok()) return s;
    if (db->GetLatestSequenceNumber() <= have) {
      return Status::Corruption("generation: sequence number " + std::to_string(have) +
                                " cannot be raised to " + std::to_string(wanted));
    }
  }
  return Status::OK();
}

Status CheckComparators(const GenerationSource& source, const ImageCut& cut) {
  for (const auto& [id, family] : cut.column_families) {
    const rocksdb::ColumnFamilyOptions& options = source.column_families.OptionsOf(family.name);
    if (!family.comparator.empty() && family.comparator != options.comparator->Name()) {
      return Status::InvalidArgument("column family \"" + family.name + "\": comparator is " +
                                     options.comparator->Name() + ", the leader's is " +
                                     family.comparator);
    }
  }
  return Status::OK();
}

}  // namespace

Status WriteToGeneration(rocksdb::DB* db, std::string batch) {
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  // A batch may name a column family that was dropped: its creation would have been a barrier, so
  // every other one is there.
  options.ignore_missing_column_families = true;
  rocksdb::WriteBatch write_batch(std::move(batch));
  return db->Write(options, &write_batch);
}

Status OpenGeneration(const GenerationSource& source, const ImageCut& cut, uint64_t id,
                      GenerationContents* out) {
  Status s = CheckComparators(source, cut);
  if (!s.ok()) return s;
  GenerationContents generation;
  generation.id = id;
  generation.cut = cut.position;
  const std::string directory = "/slipstream/" + source.database;
  generation.env = NewGenerationEnv(directory, cut, source.pool);

  std::vector<ColumnFamilyDescriptor> descriptors;
  for (const auto& [id, family] : cut.column_families) {
    rocksdb::ColumnFamilyOptions options =
        GenerationColumnFamilyOptions(source.column_families.OptionsOf(family.name));
    if (source.table_metadata != nullptr) {
      options.table_factory = source.table_metadata->Sharing(options.table_factory);
    }
    descriptors.emplace_back(family.name, std::move(options));
    generation.column_families.emplace_back(family.name, family.id);
  }
  std::vector<ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  s = rocksdb::DB::Open(
      GenerationDBOptions(source.db_options, cut.wal_recovery_mode, generation.env.get()),
      directory, descriptors, &handles, &db);
  if (!s.ok()) return s;
  generation.db.reset(db);
  ReleaseLogFiles(generation.env.get());
  for (ColumnFamilyHandle* handle : handles) {
    const size_t slot = source.slots->SlotOf(handle->GetID());
    if (generation.handles.size() <= slot) generation.handles.resize(slot + 1, nullptr);
    generation.handles[slot] = handle;
    uint64_t blob_files = 0;
    generation.has_blobs |=
        db->GetIntProperty(handle, rocksdb::DB::Properties::kNumBlobFiles, &blob_files) &&
        blob_files > 0;
  }

  const uint64_t recovered = db->GetLatestSequenceNumber();
  if (recovered > cut.position.sequence) {
    s = Status::Corruption("generation: recovered sequence number " + std::to_string(recovered) +
                           ", the log files explain " + std::to_string(cut.position.sequence));
  } else {
    s = FillSequences(db, cut.position.sequence);
  }
  if (!s.ok()) {
    generation.Close();
    return s;
  }
  *out = std::move(generation);
  return s;
}

GenerationBuilder::GenerationBuilder(GenerationSource source, std::function<void()> on_ready,
                                     uint64_t max_backlog_bytes)
    : source_(std::move(source)),
      on_ready_(std::move(on_ready)),
      max_backlog_bytes_(max_backlog_bytes) {
  thread_ = std::thread([this] {
    NameThisThread("ss-builder");
    LowerThisThreadsPriority();
    Run();
  });
}

GenerationBuilder::~GenerationBuilder() {
  Stop();
  absl::MutexLock lock(&mutex_);
  if (built_) built_->contents.Close();
}

void GenerationBuilder::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void GenerationBuilder::Start(ImageCut cut) {
  absl::MutexLock lock(&mutex_);
  cut_ = std::move(cut);
  backlog_.clear();
  backlog_bytes_ = 0;
}

void GenerationBuilder::Discard() {
  std::optional<Built> built;
  {
    absl::MutexLock lock(&mutex_);
    cut_.reset();
    backlog_.clear();
    backlog_bytes_ = 0;
    discarded_ = building_;
    built = std::exchange(built_, std::nullopt);
  }
  if (built) built->contents.Close();
}

bool GenerationBuilder::busy() const {
  absl::MutexLock lock(&mutex_);
  return cut_ || building_ || built_;
}

uint64_t GenerationBuilder::backlog_bytes() const {
  absl::MutexLock lock(&mutex_);
  return backlog_bytes_;
}

bool GenerationBuilder::ready() const {
  absl::MutexLock lock(&mutex_);
  return built_.has_value();
}

void GenerationBuilder::Add(const std::string& batch, observe::Task* task) {
  absl::MutexLock lock(&mutex_);
  if (discarded_ || !(cut_ || building_ || built_)) return;
  const bool waits = task != nullptr && backlog_bytes_ >= max_backlog_bytes_ && !built_;
  if (waits) {
    task->SetStatus("waiting for the builder");
    task->SetBlocker(observe::Blocker::Task(build_task_));
  }
  mutex_.Await(absl::Condition(
      +[](GenerationBuilder* b) {
        b->mutex_.AssertReaderHeld();
        return b->backlog_bytes_ < b->max_backlog_bytes_ || b->built_ || b->stopping_;
      },
      this));
  if (waits) {
    task->SetStatus("applying");
    task->SetBlocker({});
  }
  backlog_bytes_ += batch.size();
  backlog_.push_back(batch);
}

std::optional<GenerationBuilder::Built> GenerationBuilder::Take() {
  absl::MutexLock lock(&mutex_);
  if (!built_) return std::nullopt;
  std::optional<Built> result = std::exchange(built_, std::nullopt);
  result->backlog = std::exchange(backlog_, {});
  backlog_bytes_ = 0;
  return result;
}

GenerationBuilder::Built GenerationBuilder::BuildNow(ImageCut cut) {
  uint64_t id;
  {
    absl::MutexLock lock(&mutex_);
    id = ++last_id_;
  }
  return Build(std::move(cut), id, /*catch_up=*/false);
}

void GenerationBuilder::Run() {
  for (;;) {
    ImageCut cut;
    uint64_t id;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](GenerationBuilder* b) {
            b->mutex_.AssertReaderHeld();
            return b->cut_ || b->stopping_;
          },
          this));
      if (stopping_) return;
      cut = *std::exchange(cut_, std::nullopt);
      building_ = true;
      id = ++last_id_;
    }
    Built built = Build(std::move(cut), id, /*catch_up=*/true);
    bool discarded;
    {
      absl::MutexLock lock(&mutex_);
      discarded = discarded_;
      building_ = discarded;
      if (!discarded) built_ = std::move(built);
    }
    if (discarded) {
      built.contents.Close();
      absl::MutexLock lock(&mutex_);
      building_ = discarded_ = false;
    }
    on_ready_();
  }
}

GenerationBuilder::Built GenerationBuilder::Build(ImageCut cut, uint64_t id, bool catch_up) {
  Built built;
  const uint64_t begin = SteadyMicros();
  const uint64_t cpu_begin = ThreadCpuMicros();
  observe::TaskScope task(source_.tasks, "build", {{"database", source_.database}},
                          {.cancellable = false});
  build_task_ = task->id();
  task->SetAttribute("generation", std::to_string(id));
  task->SetAttribute("cut", cut.position.ToString());
  task->SetStatus("trimming WALs");
  built.trimmed = TrimWals(&cut);
  task->SetStatus("opening");
  task->SetProgress(0, cut.wal_bytes, "bytes");
  built.status = OpenGeneration(source_, cut, id, &built.contents);
  built.wal_bytes = cut.wal_bytes;
  cut.files.clear();  // and the log files' memory with them
  if (catch_up && built.status.ok()) {
    task->SetStatus("catching up");
    task->SetProgress(cut.wal_bytes, cut.wal_bytes, "bytes");
    built.status = CatchUp(built.contents.db.get(), &task.task());
    if (!built.status.ok()) built.contents.Close();
  }
  built.micros = SteadyMicros() - begin;
  built.cpu_micros = ThreadCpuMicros() - cpu_begin;
  task->Finish(built.status);
  return built;
}

Status GenerationBuilder::CatchUp(rocksdb::DB* db, observe::Task* task) {
  // Each pass takes what arrived during the one before. If the passes do not get shorter, the
  // applier has to end it.
  uint64_t last_pass_bytes = UINT64_MAX;
  for (;;) {
    std::deque<std::string> batches;
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_ || backlog_bytes_ <= kSmallBacklogBytes || backlog_bytes_ >= last_pass_bytes) {
        return Status::OK();
      }
      last_pass_bytes = backlog_bytes_;
      batches = std::exchange(backlog_, {});
      backlog_bytes_ = 0;
    }
    uint64_t done = 0;
    for (std::string& batch : batches) {
      task->SetProgress(done += batch.size(), last_pass_bytes, "bytes");
      Status s = WriteToGeneration(db, std::move(batch));
      if (!s.ok()) return s;
    }
  }
}

}  // namespace slipstream
