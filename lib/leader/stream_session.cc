#include "lib/leader/stream_session.h"

#include <algorithm>
#include <utility>

#include "lib/core/coding.h"
#include "lib/core/stream_checks.h"
#include "lib/host/steady_clock.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

// Of an image; messages of the log end with their chunk, which has the same size.
constexpr size_t kMessageBytes = 1 << 20;
// A peer that is stuck takes no message, so it does not hear that its stream was cancelled.
constexpr uint64_t kCancelPatienceUs = 500000;

std::vector<LogFileSize> SizesOf(const ImageSnapshot& image) {
  std::vector<LogFileSize> sizes;
  sizes.reserve(image.files.size());
  for (const TappedLogFile& file : image.files) sizes.push_back({file.id, file.size});
  return sizes;
}

}  // namespace

Status ReplicationStopped(const Status& why) {
  return Status::TryAgain("replication has stopped until the leader's disk has recovered: " +
                          why.ToString());
}

StreamSession::StreamSession(std::shared_ptr<const SessionContext> context,
                             std::shared_ptr<LeaderStream> stream, Hello hello, std::string peer,
                             Welcome welcome)
    : context_(std::move(context)),
      stream_(std::move(stream)),
      follower_id_(hello.follower_id),
      stream_number_(context_->followers->Connect(hello, peer, context_->position->Now())),
      welcome_(std::move(welcome)),
      pacer_(context_->max_batch_delay_us),
      heard_us_(SteadyMicros()),
      task_(context_->tasks, context_->database, hello.follower_id, hello.name, peer) {
  last_ack_.pin = hello.pin;
  if (context_->tasks == nullptr) return;
  context_->followers->SetTask(follower_id_, stream_number_, task_.id());
  task_.SetStatus("starting an image");
  task_.OnCancel([this](const Status& why) {
    cancelled_us_ = SteadyMicros();
    Finish(Status::Aborted("the leader's stream was cancelled: " + why.ToString()));
    context_->log->Wake();
  });
}

void StreamSession::Resume(const Hello& hello) {
  phase_ = Phase::kReplicate;
  cursor_ = hello.held.offset;
  held_ = hello.files;
  task_.SetStatus("replicating");
}

void StreamSession::Start() { stream_->SendWelcome(welcome_); }

StreamSession::Next StreamSession::Advance(uint64_t now_us) {
  Next next{context_->heartbeat_us};
  // gRPC's own pings find it too, unless the wall clock was set back, which stops gRPC's timers.
  if (now_us > heard_us_ && now_us - heard_us_ > context_->silence_us) stream_->Cancel();
  if (const uint64_t cancelled_us = cancelled_us_; cancelled_us != 0) {
    if (now_us > cancelled_us + kCancelPatienceUs) stream_->Cancel();
    next.after_us = std::min(next.after_us, kCancelPatienceUs);
  }
  if (busy_) {
    next.wait = Next::Wait::kSent;
  } else {
    busy_ = SendNext(now_us, &next);
    if (busy_ && next.wait == Next::Wait::kGrowth) next.wait = Next::Wait::kSent;
  }
  return next;
}

void StreamSession::OnSent() { busy_ = false; }

bool StreamSession::SendNext(uint64_t now_us, Next* next) {
  switch (phase_) {
    case Phase::kImageStart:
      return SendImageStart();
    case Phase::kImageFiles:
      return SendImageFiles();
    case Phase::kImageObjects:
      return SendImageObjects();
    case Phase::kReplicate:
      return SendFromLog(now_us, next);
  }
  return false;
}

bool StreamSession::SendImageStart() {
  // In this order: every write up to this one is in the image.
  const Position before = context_->position->Now();
  image_ = context_->log->Snapshot();
  if (!image_.status.ok()) {
    Finish(ReplicationStopped(image_.status));
    return true;
  }
  const std::vector<LogFileSize> wanted = SizesOf(image_);
  plan_ = PlanImage(held_, wanted);
  part_ = 0;
  part_done_ = 0;
  object_ = 0;
  image_done_ = 0;
  held_ = wanted;

  ImageBegin begin;
  begin.cut.epoch = context_->log->epoch();
  begin.cut.offset = image_.offset;
  begin.cut.sequence = context_->log_has_all_writes ? before.sequence : 0;
  begin.from_scratch = plan_.from_scratch;
  begin.current_manifest = image_.current_manifest;
  begin.files = wanted;
  begin.bytes = plan_.bytes;
  phase_ = Phase::kImageFiles;
  task_.SetStatus("sending the log files of an image");
  task_.SetProgress(0, plan_.bytes);
  context_->followers->ImageSent(follower_id_, stream_number_, plan_.bytes);
  stream_->SendImageBegin(begin);
  return true;
}

bool StreamSession::SendImageFiles() {
  std::string frames;
  std::string scratch(kMaxFramePayload, '\0');
  while (part_ < plan_.parts.size() &&
         frames.size() + kMaxFramePayload + kFrameHeaderSize <= kMessageBytes) {
    const ImagePlan::Part& part = plan_.parts[part_];
    auto file = std::find_if(image_.files.begin(), image_.files.end(),
                             [&](const TappedLogFile& f) { return f.id == part.id; });
    const uint64_t offset = part.from + part_done_;
    const size_t n = std::min<uint64_t>(kMaxFramePayload, part.to - offset);
    Slice piece;
    Status s = file->reader->Read(offset, n, rocksdb::IOOptions(), &piece, scratch.data(), nullptr);
    if (s.ok() && piece.size() != n) {
      s = Status::IOError("log file " + std::to_string(part.id.number) + ": read " +
                          std::to_string(piece.size()) + " bytes at " + std::to_string(offset) +
                          ", expected " + std::to_string(n));
    }
    if (!s.ok()) {
      Finish(s);
      return true;
    }
    AppendFrame({FrameType::kLogAppend, part.id.file, part.id.number, offset, piece}, &frames);
    part_done_ += n;
    image_done_ += n;
    if (offset + n == part.to) {
      ++part_;
      part_done_ = 0;
    }
  }
  if (frames.empty()) {
    phase_ = Phase::kImageObjects;
    task_.SetStatus("sending the objects of an image");
    return SendImageObjects();
  }
  task_.SetProgress(image_done_, plan_.bytes);
  SendImageFrames(std::move(frames));
  return true;
}

bool StreamSession::SendImageObjects() {
  std::string frames;
  for (const ColumnFamilyInfo& family : std::exchange(image_.column_families, {})) {
    const std::string payload = EncodeColumnFamilyInfo(family);
    AppendFrame({FrameType::kColumnFamily, FrameFile::kManifest, 0, 0, payload}, &frames);
  }
  while (object_ < image_.objects.size() && frames.size() + 64 <= kMessageBytes) {
    const ObjectInfo& o = image_.objects[object_++];
    char epoch[8];
    EncodeFixed64(epoch, o.epoch);
    AppendFrame({FrameType::kObjectAdded, o.file, o.number, o.size, Slice(epoch, sizeof(epoch))},
                &frames);
  }
  if (!frames.empty()) {
    SendImageFrames(std::move(frames));
    return true;
  }
  cursor_ = image_.offset;
  image_ = ImageSnapshot();
  phase_ = Phase::kReplicate;
  task_.SetStatus("replicating");
  task_.SetProgress(0, 0);
  stream_->SendImageEnd();
  return true;
}

void StreamSession::SendImageFrames(std::string frames) {
  FramesHeader header;
  header.epoch = context_->log->epoch();
  header.image = true;
  header.leader = context_->position->Now();
  auto owner = std::make_shared<const std::string>(std::move(frames));
  stream_->SendFrames(header, {SharedBytes{owner, Slice(*owner)}});
}

bool StreamSession::SendFromLog(uint64_t now_us, Next* next) {
  const bool has_grown = cursor_ != context_->log->end();
  pacer_.OnLook(now_us, has_grown);
  next->growth_is_near = pacer_.IsNextNear(now_us);
  const uint64_t wait_us = pacer_.Delay(now_us);
  if (wait_us > 0 && has_grown) {
    *next = {std::min(next->after_us, wait_us), Next::Wait::kDelay};
    return false;
  }
  SharedBytes bytes;
  if (!context_->log->Read(cursor_, &bytes)) {
    // It has left memory: what the follower misses is read from the files.
    return SendImageStart();
  }
  const Position leader = context_->position->Now();
  if (bytes.bytes.empty()) {
    // Somebody began to wait after the last message was sent.
    const bool ask = asked_ != cursor_ && context_->followers->IsAwaited(now_us);
    const uint64_t idle_us = now_us > last_send_us_ ? now_us - last_send_us_ : 0;
    if (idle_us < context_->heartbeat_us && !ask) {
      next->after_us = std::min(next->after_us, context_->heartbeat_us - idle_us);
      return false;
    }
    last_send_us_ = now_us;
    if (ask) asked_ = cursor_;
    stream_->SendHeartbeat(leader, cursor_, ask);
    return true;
  }
  FramesHeader header;
  header.epoch = context_->log->epoch();
  header.offset = cursor_;
  header.leader = leader;
  cursor_ += bytes.bytes.size();
  // What the follower holds of each file is not kept up to date from here on: should the cursor
  // leave memory, the image starts from scratch. It has the live log files only.
  held_.clear();
  last_send_us_ = now_us;
  pacer_.OnSend(now_us);
  // The end of a chunk is not the end of the log.
  const uint64_t pause_us = pacer_.Delay(now_us);
  if ((pause_us > 0 && pacer_.IsBusy()) || cursor_ != context_->log->end()) {
    *next = {std::min(next->after_us, pause_us), Next::Wait::kDelay};
  }
  header.confirm = context_->followers->Sent(
      follower_id_, stream_number_, Position{header.epoch, cursor_, 0}, bytes.bytes.size(), now_us);
  if (header.confirm) asked_ = cursor_;
  stream_->SendFrames(header, {bytes});
  return true;
}

void StreamSession::OnAck(const Ack& ack) {
  Status s = CheckAck(ack, last_ack_, Position{context_->log->epoch(), context_->log->end(), 0});
  if (!s.ok()) {
    // Nothing of it counts: a position that was never reached could confirm a write that is lost.
    Finish(s);
    return;
  }
  last_ack_ = ack;
  heard_us_ = SteadyMicros();
  context_->followers->Confirm(follower_id_, stream_number_, ack);
}

void StreamSession::Finish(const Status& status) {
  {
    PlainLock lock(&mutex_);
    if (finished_.ok()) finished_ = status;
  }
  stream_->Finish(status);
}

void StreamSession::OnClosed() {
  closed_ = true;
  Status finished;
  {
    PlainLock lock(&mutex_);
    finished = finished_;
  }
  task_.End(finished);
  context_->followers->Disconnect(follower_id_, stream_number_);
}

bool StreamSession::closed() const { return closed_; }

}  // namespace slipstream
