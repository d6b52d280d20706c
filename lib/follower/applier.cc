#include "lib/follower/applier.h"

#include <algorithm>
#include <utility>

#include "lib/core/batch_entry.h"
#include "lib/core/frame.h"
#include "lib/core/rocksdb_release.h"
#include "lib/host/steady_clock.h"
#include "lib/host/thread_name.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

// Records are gathered into one write up to this size; a write costs about as much as ten keys.
constexpr size_t kGatherBytes = 64 << 10;
// What the receiver applies by itself. More comes in one message only when the follower is behind:
// then one thread reads while the other one applies.
constexpr size_t kDirectBytes = 64 << 10;
// After a generation could not be built in the background.
constexpr uint64_t kRetryBuildUs = 1000000;
// The task says that the applier is idle once nothing came for so long: a change of its status for
// each message would cost more than it tells.
constexpr absl::Duration kIdleAfter = absl::Milliseconds(100);

using ColumnFamilies = std::vector<std::pair<std::string, uint32_t>>;

// Without a look at the checksums. Whatever else there is may change more than the memtables.
bool HoldsOnlyWalAppends(Slice frames) {
  while (frames.size() >= kFrameHeaderSize) {
    const FrameHead head = PeekFrame(frames);
    if (head.type != FrameType::kLogAppend || head.file != FrameFile::kWal) return false;
    frames.remove_prefix(std::min(frames.size(), head.encoded_size));
  }
  return true;
}

std::vector<ColumnFamilyChange> ChangesBetween(const ColumnFamilies& before,
                                               const ColumnFamilies& after) {
  const auto add_missing = [](const ColumnFamilies& from, const ColumnFamilies& in, bool dropped,
                              std::vector<ColumnFamilyChange>* out) {
    for (const auto& family : from) {
      if (std::find(in.begin(), in.end(), family) != in.end()) continue;
      out->push_back({family.first, family.second, dropped});
    }
  };
  std::vector<ColumnFamilyChange> changes;
  if (before == after) return changes;
  add_missing(before, after, true, &changes);
  add_missing(after, before, false, &changes);
  return changes;
}

}  // namespace

Applier::Applier(ApplierOptions options, GenerationSource source, ReceiveQueue* queue,
                 GenerationSet* generations, Progress* progress,
                 std::function<void(const Status&)> on_error)
    : options_(std::move(options)),
      tasks_(source.tasks),
      table_metadata_(source.table_metadata),
      database_(source.database),
      queue_(queue),
      generations_(generations),
      progress_(progress),
      on_error_(std::move(on_error)),
      builder_(std::move(source), [queue] { queue->Wake(); }) {
  queue_->SetDirect([this](ReceiveQueue::Item* item) { return HandleDirectly(item); });
  thread_ = std::thread([this] {
    NameThisThread("ss-applier");
    Run();
  });
}

Applier::~Applier() { Stop(); }

void Applier::Stop() {
  stopping_ = true;
  builder_.Stop();
  if (thread_.joinable()) thread_.join();
}

bool Applier::TakeItems(std::deque<ReceiveQueue::Item>* items) {
  if (task_ == nullptr) return queue_->Take(items, IdleTimeout());
  const uint64_t direct = direct_;
  if (!queue_->Take(items, idle_ ? IdleTimeout() : std::min(IdleTimeout(), kIdleAfter))) {
    return false;
  }
  const bool idle = items->empty() && direct == direct_;
  if (!failed_ && idle_ != idle) {
    idle_ = idle;
    task_->SetStatus(idle_ ? "idle" : "applying");
  }
  return true;
}

void Applier::Run() {
  observe::TaskScope task(tasks_, "applier", {{"database", database_}}, {.cancellable = false});
  if (task->id() != 0) {
    task_ = &task.task();
    task_->SetStatus("idle");
    progress_->SetApplierTask(task->id());
  }
  std::deque<ReceiveQueue::Item> items;
  while (TakeItems(&items)) {
    for (ReceiveQueue::Item& item : items) {
      if (stopping_) return;
      Handle(&item);
    }
    if (failed_ || image_ == nullptr) continue;
    Status s = Commit(image_->offset());
    if (s.ok()) s = MaybePublish();
    if (s.ok()) {
      MaybeStartBuild();
    } else {
      Fail(s);
    }
  }
}

absl::Duration Applier::IdleTimeout() const {
  // An idle follower still has to build once its generation is old enough.
  if (manifest_moved_us_ == 0) return absl::InfiniteDuration();
  return absl::Microseconds(std::max<uint64_t>(options_.budget.interval_us / 4, 1000));
}

void Applier::Fail(const Status& status) {
  if (stopping_) return;
  failed_ = true;
  if (status.IsCorruption()) ++counters_.corruptions;
  if (task_ != nullptr) {
    idle_ = true;
    task_->SetStatus("waiting for another stream after " + status.ToString());
  }
  progress_->SetApplyStatus(status);
  on_error_(status);
}

void Applier::Handle(ReceiveQueue::Item* item) {
  if (const StreamStart* start = std::get_if<StreamStart>(item)) {
    HandleStreamStart(*start);
    return;
  }
  if (failed_) return;  // what is left of a stream that is being given up
  Status s = HandleInput(&std::get<FollowerInput>(*item));
  if (!s.ok()) Fail(s);
}

bool Applier::HandleDirectly(ReceiveQueue::Item* item) {
  // The first message after a pause is the applier's, whose task says what it does.
  if (stopping_ || failed_ || image_ == nullptr || (task_ != nullptr && idle_)) return false;
  const FollowerInput* input = std::get_if<FollowerInput>(item);
  if (input == nullptr || input->type != FollowerInput::Type::kFrames || input->header.image ||
      input->payload.size() > kDirectBytes || !HoldsOnlyWalAppends(input->payload)) {
    return false;
  }
  ++direct_;
  Status s = ApplyFrames(*input);
  if (s.ok()) s = Commit(image_->offset());
  if (!s.ok()) {
    Fail(s);
  } else if (IsBuildDue()) {
    queue_->Wake();
  }
  return true;
}

void Applier::HandleStreamStart(const StreamStart& start) {
  // What a broken stream left behind.
  staging_.reset();
  if (failed_ || fresh_needed_) {
    // The image may have been left in the middle of something: only a fresh one will do. What is
    // gathered was never shown.
    image_.reset();
    gatherer_.Take();
    builder_.Discard();
  }
  failed_ = false;
  fresh_needed_ = false;
  Hello hello;
  hello.db_identity = welcome_.db_identity;
  if (image_ != nullptr) {
    hello.held = {image_->epoch(), image_->offset(), image_->last_sequence()};
    hello.files = image_->Sizes();
  }
  hello.pin = OldestCut();
  start.answer(std::move(hello));
}

Status Applier::HandleInput(FollowerInput* input) {
  switch (input->type) {
    case FollowerInput::Type::kWelcome:
      welcome_ = std::move(input->welcome);
      progress_->SetEpochs(EpochTable(welcome_.epochs));
      return Status::OK();
    case FollowerInput::Type::kImageBegin:
      return BeginImage(input->image_begin);
    case FollowerInput::Type::kImageEnd:
      return EndImage();
    case FollowerInput::Type::kFrames:
      return input->header.image ? ApplyImageFrames(input->payload) : ApplyFrames(*input);
    case FollowerInput::Type::kHeartbeat:
      return Status::OK();
  }
  return Status::OK();
}

Status Applier::BeginImage(const ImageBegin& begin) {
  if (begin.cut.epoch != welcome_.epoch) {
    return Status::Corruption("an image of epoch " + std::to_string(begin.cut.epoch) +
                              " on a stream of epoch " + std::to_string(welcome_.epoch));
  }
  Status s = image_ != nullptr ? Commit(image_->offset()) : Status::OK();
  if (!s.ok()) return s;
  if (begin.from_scratch) {
    staging_ = std::make_unique<Image>(begin, welcome_);
    return s;
  }
  // The image is completed in place; if the stream breaks before its end, it is of no use.
  fresh_needed_ = true;
  staging_ = Image::Completing(std::move(image_), begin);
  if (staging_ == nullptr) {
    return Status::Corruption("the leader completes an image that this follower does not hold");
  }
  return s;
}

Status Applier::ApplyImageFrames(const std::string& payload) {
  if (staging_ == nullptr) return Status::Corruption("frames of an image outside of one");
  Slice input(payload);
  while (!input.empty()) {
    Frame frame;
    Status s = DecodeFrame(&input, &frame);
    Image::Effect ignored;
    if (s.ok()) s = CheckColumnFamilyFrame(frame);
    if (s.ok()) s = staging_->CheckAnnounced(frame);
    if (s.ok()) {
      s = staging_->Apply(
          frame, [](Slice, uint64_t) { return Status::OK(); }, &ignored);
    }
    if (!s.ok()) return s;
  }
  return Status::OK();
}

Status Applier::EndImage() {
  if (staging_ == nullptr) return Status::Corruption("the end of an image outside of one");
  Status s = staging_->Complete();
  if (!s.ok()) return s;
  image_ = std::move(staging_);
  fresh_needed_ = false;
  gatherer_.Take();  // of the image before; the new one contains it
  ++counters_.images;
  {
    absl::MutexLock lock(&cut_mutex_);
    if (fallback_cut_.epoch == 0) {
      fallback_cut_ = Position{image_->epoch(), image_->offset(), image_->last_sequence()};
    }
  }
  return RebuildNow(image_->offset());
}

Status Applier::ApplyFrames(const FollowerInput& input) {
  if (image_ == nullptr || input.header.epoch != image_->epoch() ||
      input.header.offset != image_->offset()) {
    return Status::Corruption(
        "frames at " + Position{input.header.epoch, input.header.offset, 0}.ToString() +
        ", expected them at " +
        (image_ == nullptr ? "none before an image"
                           : Position{image_->epoch(), image_->offset(), 0}.ToString()));
  }
  Slice rest(input.payload);
  while (!rest.empty()) {
    Frame frame;
    Status s = DecodeFrame(&rest, &frame);
    if (s.ok()) s = ApplyFrame(frame, input.header.offset + (input.payload.size() - rest.size()));
    if (s.ok() && gatherer_.bytes() >= kGatherBytes) s = Commit(image_->offset());
    if (!s.ok()) return s;
  }
  return Status::OK();
}

Status Applier::ApplyFrame(const Frame& frame, uint64_t end_offset) {
  // A removal is dated by its end: cuts from there on do not need what it removed.
  image_->set_offset(end_offset);
  Status s = CheckColumnFamilyFrame(frame);
  if (!s.ok()) return s;
  Image::Effect effect;
  s = image_->Apply(
      frame, [this](Slice record, uint64_t) { return AddRecord(record); }, &effect);
  if (!s.ok()) return s;
  if (frame.type == FrameType::kLogAppend && frame.file == FrameFile::kWal) {
    wal_bytes_since_publish_ += frame.payload.size();
    wal_bytes_since_cut_ += frame.payload.size();
  }
  if (effect.manifest_moved) {
    const uint64_t now_us = SteadyMicros();
    if (manifest_moved_us_ == 0) manifest_moved_us_ = now_us;
    if (manifest_moved_since_cut_us_ == 0) manifest_moved_since_cut_us_ = now_us;
  }
  if (effect.barrier || rebuild_needed_) {
    rebuild_needed_ = false;
    ++counters_.rebuilds_for_barriers;
    // The position must not cover this frame before what it changed is shown.
    return RebuildNow(end_offset - frame.encoded_size());
  }
  return s;
}

// The leader says what a column family is like after it was created, and before anything can be
// written to it.
Status Applier::CheckColumnFamilyFrame(const Frame& frame) const {
  if (frame.type != FrameType::kColumnFamily || !options_.check_column_family) return Status::OK();
  ColumnFamilyInfo info;
  Status s = DecodeColumnFamilyInfo(frame.payload, &info);
  return s.ok() ? options_.check_column_family(info) : s;
}

Status Applier::AddRecord(Slice record) {
  Status s;
  if (SLIPSTREAM_ROCKSDB_9 && welcome_.two_phase_commit) {
    // Its Write looks for range deletes, and aborts if it finds a no-operation on its way.
    s = LeaveOutNoOperations(&record, &record_buffer_);
    if (!s.ok()) return s;
  }
  BatchHeader header;
  s = DecodeBatchHeader(record, &header);
  if (!s.ok()) return s;
  switch (gatherer_.Add(header, record)) {
    case BatchGatherer::Result::kAdded:
    case BatchGatherer::Result::kNothing:
      return s;
    case BatchGatherer::Result::kGap:
      // Sequence numbers were consumed without a WAL record: a write that went round the leader.
      // What it wrote is shown once the leader has flushed it; a new generation takes the numbers
      // from the image.
      if (!rebuild_needed_) ++counters_.sequence_gaps;
      rebuild_needed_ = true;
      return s;
    case BatchGatherer::Result::kRepeat:
      if (rebuild_needed_) return s;
      return Status::Corruption("WAL record with sequence number " +
                                std::to_string(header.sequence) + ", expected " +
                                std::to_string(gatherer_.expected()));
  }
  return s;
}

Status Applier::Commit(uint64_t offset) {
  Generation* generation = generations_->current();
  if (generation == nullptr || generation->cut().epoch != image_->epoch()) return Status::OK();
  if (!gatherer_.empty()) {
    const uint64_t records = gatherer_.records();
    const uint64_t keys = gatherer_.count();
    std::string batch = gatherer_.Take();
    counters_.records += records;
    counters_.keys += keys;
    counters_.writes += 1;
    counters_.bytes += batch.size();
    if (task_ != nullptr) task_->SetProgress(counters_.keys, 0, "keys");
    builder_.Add(batch, task_);
    const uint64_t begin_us = SteadyMicros();
    Status s = WriteToGeneration(generation->db(), std::move(batch));
    if (!s.ok()) return s;
    if (options_.timings != nullptr) {
      options_.timings->apply.Observe(static_cast<double>(SteadyMicros() - begin_us) / 1e6);
    }
    const uint64_t sequence = generation->db()->GetLatestSequenceNumber();
    if (sequence + 1 != gatherer_.expected()) {
      return Status::Corruption("sequence number after an apply is " + std::to_string(sequence) +
                                ", expected " + std::to_string(gatherer_.expected() - 1));
    }
  }
  CountImage();
  const Position applied{image_->epoch(), offset, gatherer_.expected() - 1};
  if (progress_->applied() != applied) progress_->Applied(applied);
  return Status::OK();
}

// Before the position that goes with them: who waited for it reads these figures.
void Applier::CountImage() {
  counters_.image_bytes = image_->bytes();
  counters_.prepared_transactions = image_->prepared().all().size();
}

bool Applier::IsBuildDue() const {
  // Until the manifest has moved a new generation would be no smaller.
  if (manifest_moved_us_ == 0 || builder_.busy()) return false;
  const uint64_t now_us = SteadyMicros();
  if (now_us < retry_build_at_us_) return false;
  RebuildInputs in;
  in.generation_wal_bytes = generation_wal_bytes_ + wal_bytes_since_publish_;
  in.live_wal_bytes = image_->NeededWalBytes();
  in.manifest_moved_us_ago = now_us - manifest_moved_us_;
  in.applied_wal_bytes = wal_bytes_since_cut_;
  in.last_build_us_ago = now_us - cut_us_;
  in.build_cpu_us = build_cpu_us_;
  in.build_wal_bytes = generation_wal_bytes_;
  return ShouldRebuild(options_.budget, in);
}

void Applier::MaybeStartBuild() {
  if (!IsBuildDue()) return;
  ImageCut cut = image_->Cut();
  if (cut.position.sequence + 1 != gatherer_.expected()) {
    // The manifest knows of sequence numbers that no WAL record consumed.
    ++counters_.sequence_gaps;
    Status s = RebuildNow(image_->offset());
    if (!s.ok()) Fail(s);
    return;
  }
  wal_bytes_since_cut_ = 0;
  manifest_moved_since_cut_us_ = 0;
  cut_us_ = SteadyMicros();
  builder_.Start(std::move(cut));
}

Status Applier::MaybePublish() {
  auto built = builder_.Take();
  if (!built) return Status::OK();
  for (TrimmedWal& wal : built->trimmed) image_->Adopt(std::move(wal));
  if (!built->status.ok()) {
    // The current generation is as good as before; the next one is cut later.
    if (built->status.IsCorruption()) ++counters_.corruptions;
    progress_->SetApplyStatus(built->status);
    retry_build_at_us_ = SteadyMicros() + kRetryBuildUs;
    return Status::OK();
  }
  return Publish(std::move(*built));
}

Status Applier::Publish(GenerationBuilder::Built built) {
  Status s;
  for (std::string& batch : built.backlog) {
    if (s.ok()) s = WriteToGeneration(built.contents.db.get(), std::move(batch));
  }
  const uint64_t sequence = built.contents.db->GetLatestSequenceNumber();
  if (s.ok() && sequence + 1 != gatherer_.expected()) {
    s = Status::Corruption("generation at sequence number " + std::to_string(sequence) +
                           ", expected " + std::to_string(gatherer_.expected() - 1));
  }
  if (!s.ok()) {
    built.contents.Close();
    return s;
  }
  const bool first = generations_->current() == nullptr;
  const std::vector<ColumnFamilyChange> changes =
      first ? std::vector<ColumnFamilyChange>()
            : ChangesBetween(generations_->current()->contents().column_families,
                             built.contents.column_families);
  const bool new_epoch = first || generations_->current()->cut().epoch != image_->epoch();
  if (table_metadata_ != nullptr) table_metadata_->OnNewGeneration();
  generations_->Publish(std::move(built.contents));
  generation_wal_bytes_ = built.wal_bytes;
  wal_bytes_since_publish_ = wal_bytes_since_cut_;
  manifest_moved_us_ = manifest_moved_since_cut_us_;
  build_cpu_us_ = built.cpu_micros;
  counters_.last_rebuild_us = built.micros;
  counters_.rebuild_us += built.micros;
  if (options_.timings != nullptr) {
    options_.timings->build.Observe(static_cast<double>(built.micros) / 1e6);
  }
  if (!first) ++counters_.rebuilds;
  image_->objects()->Prune(generations_->OldestCut({}));
  progress_->SetApplyStatus(Status::OK());
  CountImage();
  // Before the position covers it: who waits for the position finds that the host was told.
  if (!changes.empty() && options_.on_column_families_changed) {
    options_.on_column_families_changed(changes);
  }
  const Position applied{image_->epoch(), image_->offset(), sequence};
  if (!new_epoch) {
    progress_->Applied(applied);
    return s;
  }
  // The host is told before anybody who waits for the new epoch goes on.
  if (const auto reset = progress_->TakenBackBy(applied)) {
    ++counters_.history_resets;
    if (options_.on_history_reset) options_.on_history_reset(*reset);
  }
  progress_->AppliedNewEpoch(applied);
  return s;
}

Status Applier::RebuildNow(uint64_t before) {
  // What came before is shown first; it needs no new generation.
  if (generations_->current() != nullptr &&
      generations_->current()->cut().epoch == image_->epoch() && !gatherer_.empty()) {
    Status s = Commit(before);
    if (!s.ok()) return s;
  }
  builder_.Discard();  // of an older cut
  wal_bytes_since_cut_ = 0;
  manifest_moved_since_cut_us_ = 0;
  ImageCut cut = image_->Cut();
  const uint64_t sequence = cut.position.sequence;
  cut_us_ = SteadyMicros();
  if (task_ != nullptr) task_->SetStatus("opening a generation");
  GenerationBuilder::Built built = builder_.BuildNow(std::move(cut));
  if (task_ != nullptr) task_->SetStatus("applying");
  for (TrimmedWal& wal : built.trimmed) image_->Adopt(std::move(wal));
  if (!built.status.ok()) return built.status;
  gatherer_.Expect(sequence + 1);
  return Publish(std::move(built));
}

void Applier::Fill(FollowerStats* stats) const {
  stats->rebuilds = counters_.rebuilds;
  stats->rebuilds_for_barriers = counters_.rebuilds_for_barriers;
  stats->rebuild_us = counters_.rebuild_us;
  stats->last_rebuild_us = counters_.last_rebuild_us;
  const uint64_t images = counters_.images;
  stats->resyncs = images > 0 ? images - 1 : 0;
  stats->history_resets = counters_.history_resets;
  stats->sequence_gaps = counters_.sequence_gaps;
  stats->corruptions = counters_.corruptions;
  stats->records_applied = counters_.records;
  stats->keys_applied = counters_.keys;
  stats->writes = counters_.writes;
  stats->bytes_applied = counters_.bytes;
  stats->image_bytes = counters_.image_bytes;
  stats->prepared_transactions = counters_.prepared_transactions;
}

Position Applier::OldestCut() const {
  absl::MutexLock lock(&cut_mutex_);
  return generations_->OldestCut(fallback_cut_);
}

}  // namespace slipstream
