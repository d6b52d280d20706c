#include "lib/follower/receiver.h"

#include <algorithm>
#include <utility>

#include "lib/core/stream_checks.h"
#include "lib/host/steady_clock.h"
#include "lib/host/thread_name.h"

namespace slipstream {
namespace {

using rocksdb::Status;

constexpr absl::Duration kFirstBackoff = absl::Milliseconds(20);
constexpr absl::Duration kLastBackoff = absl::Seconds(1);
// An acknowledgement costs both sides about as much as a message of frames. While nobody waits for
// them they only move pins and the leader's figures.
constexpr uint64_t kUnaskedAckIntervalUs = 20000;

}  // namespace

Receiver::Receiver(ReceiverOptions options, std::unique_ptr<FollowerTransport> transport,
                   ReceiveQueue* queue, Progress* progress)
    : options_(std::move(options)),
      transport_(std::move(transport)),
      queue_(queue),
      progress_(progress) {}

Receiver::~Receiver() { Stop(); }

void Receiver::Start() {
  receiver_ = std::thread([this] {
    NameThisThread("ss-receiver");
    ReceiveLoop();
  });
  keeper_ = std::thread([this] {
    NameThisThread("ss-keeper");
    KeepLoop();
  });
}

void Receiver::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    stopped_.SignalAll();
    if (stream_ != nullptr) stream_->Cancel();
  }
  progress_->BumpVersion();
  if (receiver_.joinable()) receiver_.join();
  if (keeper_.joinable()) keeper_.join();
}

void Receiver::Restart(const Status& why) {
  absl::MutexLock lock(&mutex_);
  restart_reason_ = why;
  if (stream_ != nullptr) stream_->Cancel();
}

Status Receiver::last_error() const {
  absl::MutexLock lock(&mutex_);
  return last_error_;
}

bool Receiver::stopping() const {
  absl::MutexLock lock(&mutex_);
  return stopping_;
}

bool Receiver::WaitForStop(absl::Duration timeout) {
  const SteadyTime deadline = DeadlineIn(timeout);
  absl::MutexLock lock(&mutex_);
  for (bool late = false; !stopping_ && !late;) late = stopped_.WaitUntil(&mutex_, deadline);
  return stopping_;
}

void Receiver::BeginTask() {
  if (options_.tasks == nullptr || task_) return;
  task_.emplace(options_.tasks, "stream",
                std::initializer_list<observe::TaskAttribute>{{"database", options_.database},
                                                              {"leader", options_.leader_address}});
  progress_->SetStreamTask((*task_)->id());
  const observe::CancellationToken token = (*task_)->token();
  cancel_.emplace(token, [this, token] {
    Restart(Status::Aborted("the stream was cancelled: " + token.Check().ToString()));
  });
}

void Receiver::EndTask(const Status& status, bool worked) {
  if (!task_) return;
  if (image_) image_->Finish(status.ok() ? Status::Aborted("the stream ended") : status);
  image_.reset();
  if (!worked && !(*task_)->token().cancelled()) {
    SetTaskStatus("trying again after " + status.ToString());
    return;
  }
  cancel_.reset();
  (*task_)->Finish(status);
  task_.reset();
}

void Receiver::SetTaskStatus(const std::string& status, const observe::Blocker& blocker) {
  if (!task_) return;
  (*task_)->SetStatus(status);
  const bool unknown = blocker.kind == observe::Blocker::Kind::kTask && blocker.task == 0;
  (*task_)->SetBlocker(unknown ? observe::Blocker() : blocker);
}

void Receiver::NoteImage(const FollowerInput& input) {
  if (!task_) return;
  if (input.type == FollowerInput::Type::kImageBegin) {
    SetTaskStatus("receiving an image");
    image_done_ = 0;
    image_bytes_ = input.image_begin.bytes;
    image_.emplace(options_.tasks, "image",
                   std::initializer_list<observe::TaskAttribute>{{"database", options_.database}},
                   observe::TaskOptions{.parent = (*task_)->id(), .cancellable = false});
    image_->SetAttribute("cut", input.image_begin.cut.ToString());
    image_->SetProgress(0, image_bytes_, "bytes");
  } else if (input.type == FollowerInput::Type::kImageEnd) {
    image_.reset();
    SetTaskStatus("replicating");
  } else if (image_ && input.header.image) {
    // Frames have headers, and objects come behind the log files.
    image_done_ = std::min(image_bytes_, image_done_ + input.payload.size());
    image_->SetProgress(image_done_, image_bytes_, "bytes");
  }
}

bool Receiver::Push(FollowerInput input) {
  if (!task_ || !queue_->full()) return queue_->Push(std::move(input));
  SetTaskStatus("waiting for the applier", observe::Blocker::Task(progress_->applier_task()));
  const bool pushed = queue_->Push(std::move(input));
  SetTaskStatus(image_ ? "receiving an image" : "replicating");
  return pushed;
}

void Receiver::ReceiveLoop() {
  absl::Duration backoff = kFirstBackoff;
  for (;;) {
    BeginTask();
    Status s = Receive();
    bool worked;
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) break;
      worked = std::exchange(welcomed_, false) && restart_reason_.ok();
      if (!restart_reason_.ok()) s = std::exchange(restart_reason_, Status::OK());
      last_error_ = s;
    }
    progress_->SetConnected(false);
    progress_->SetStreamStatus(s);
    EndTask(s, worked);
    // What this follower cannot apply is not asked for again and again at full speed.
    backoff = worked ? kFirstBackoff : std::min(backoff * 2, kLastBackoff);
    if (WaitForStop(backoff)) break;
    reconnects_.fetch_add(1, std::memory_order_relaxed);
  }
  // In the thread that they were made by.
  image_.reset();
  cancel_.reset();
  task_.reset();
}

std::optional<Hello> Receiver::AskHello() {
  struct Reply {
    absl::Mutex mutex;
    SteadyCondVar answered;
    std::optional<Hello> hello ABSL_GUARDED_BY(mutex);
  };
  auto reply = std::make_shared<Reply>();
  const bool asked = queue_->Push(StreamStart{[reply](Hello hello) {
    absl::MutexLock lock(&reply->mutex);
    reply->hello = std::move(hello);
    reply->answered.Signal();
  }});
  if (!asked) return std::nullopt;
  // The applier answers when it has dealt with what came before; it may be in the middle of opening
  // a generation.
  constexpr absl::Duration kLook = absl::Milliseconds(100);
  for (;;) {
    {
      absl::MutexLock lock(&reply->mutex);
      if (!reply->hello) reply->answered.WaitUntil(&reply->mutex, DeadlineIn(kLook));
      if (reply->hello) return std::move(reply->hello);
    }
    if (stopping()) return std::nullopt;
  }
}

Status Receiver::Receive() {
  SetTaskStatus("asking the applier what it has",
                observe::Blocker::Task(progress_->applier_task()));
  std::optional<Hello> hello = AskHello();
  if (!hello) return Status::ShutdownInProgress("the follower is closing");
  hello->database = options_.database;
  hello->follower_id = options_.follower_id;
  hello->name = options_.name;
  hello->observe_endpoint = options_.observe_endpoint;
  SetTaskStatus("connecting", observe::Blocker::Peer(options_.leader_address));
  std::unique_ptr<FollowerStream> stream = transport_->Open(*hello);
  last_read_us_ = SteadyMicros();
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) stream->Cancel();
    stream_ = stream.get();
    // What came after the end of the stream before was about that one.
    restart_reason_ = Status::OK();
  }
  if (task_ && (*task_)->token().cancelled()) stream->Cancel();

  Status error;
  InputOrder order(progress_->applied(), hello->held);
  uint64_t epoch = 0;
  FollowerInput input;
  while (stream->Read(&input)) {
    const uint64_t now_us = SteadyMicros();
    last_read_us_ = now_us;
    error = order.Check(input);
    if (error.ok() && input.type == FollowerInput::Type::kWelcome) {
      epoch = input.welcome.epoch;
      error = options_.check_welcome(input.welcome);
      if (error.ok()) Welcomed(input.welcome);
    }
    if (!error.ok()) {
      stream->Cancel();
      break;
    }
    if (input.type == FollowerInput::Type::kFrames ||
        input.type == FollowerInput::Type::kHeartbeat) {
      // Of another epoch says nothing: a leader that is closing has no position.
      if (input.header.leader.epoch == epoch) progress_->LeaderAt(input.header.leader, now_us);
      if (input.type == FollowerInput::Type::kHeartbeat) {
        if (input.header.confirm) progress_->ConfirmUpTo({epoch, input.header.offset, 0});
        continue;
      }
    }
    const bool frames = input.type == FollowerInput::Type::kFrames && !input.header.image;
    const Position received{input.header.epoch, input.header.offset + input.payload.size(),
                            input.header.leader.sequence};
    const bool confirm = input.header.confirm;
    NoteImage(input);
    // Before it can have been applied: the leader hears of it in this order.
    if (frames && confirm) progress_->ConfirmUpTo(received);
    if (frames) progress_->Received(received);
    if (!Push(std::move(input))) {
      stream->Cancel();  // the leader would go on sending
      break;
    }
    // A Push that waited for room is no silence of the stream.
    last_read_us_ = SteadyMicros();
    input = FollowerInput();
  }
  {
    absl::MutexLock lock(&mutex_);
    stream_ = nullptr;
    mutex_.Await(absl::Condition(
        +[](bool* writing) { return !*writing; }, &writing_));
  }
  // Read has to return false before Finish may be called.
  while (stream->Read(&input)) {
  }
  Status ended = stream->Finish();
  return error.ok() ? ended : error;
}

void Receiver::Welcomed(const Welcome& welcome) {
  SetTaskStatus("replicating");
  progress_->SetConnected(true);
  progress_->SetStreamStatus(Status::OK());
  heartbeat_us_ = std::clamp<uint64_t>(welcome.heartbeat_ms, 10, 10000) * 1000;
  {
    absl::MutexLock lock(&mutex_);
    welcomed_ = true;
  }
  // The leader may know nothing of this follower, whose next change may be far away.
  progress_->BumpVersion();
}

void Receiver::KeepLoop() {
  uint64_t seen = UINT64_MAX;
  uint64_t acked_us = 0;
  for (;;) {
    const uint64_t heartbeat_us = heartbeat_us_;
    const uint64_t look_us =
        std::min({options_.stream_timeout_us / 4, heartbeat_us, UINT64_C(250000)});
    progress_->WaitForChange(seen, absl::Microseconds(std::max<uint64_t>(look_us, 1000)));
    if (stopping()) return;
    Watch();
    uint64_t since_us = SteadyMicros() - acked_us;
    if (progress_->version() == seen && since_us < heartbeat_us) continue;
    // What comes shortly after an acknowledgement goes together, unless the leader waits for it.
    const uint64_t unasked_us =
        std::min(heartbeat_us, std::max(kUnaskedAckIntervalUs, options_.ack_interval_us));
    if (since_us < unasked_us) {
      progress_->WaitForUrgency(seen, absl::Microseconds(unasked_us - since_us));
      if (stopping()) return;
      since_us = SteadyMicros() - acked_us;
    }
    if (since_us < options_.ack_interval_us &&
        WaitForStop(absl::Microseconds(options_.ack_interval_us - since_us))) {
      return;
    }
    seen = progress_->version();
    Acknowledge();
    acked_us = SteadyMicros();
  }
}

void Receiver::Acknowledge() {
  FollowerStream* stream;
  {
    absl::MutexLock lock(&mutex_);
    stream = welcomed_ ? stream_ : nullptr;
    writing_ = stream != nullptr;
  }
  if (stream == nullptr) return;
  Ack ack;
  progress_->Fill(&ack);
  options_.fill_ack(&ack);
  stream->WriteAck(ack);
  absl::MutexLock lock(&mutex_);
  writing_ = false;
}

void Receiver::Watch() {
  if (queue_->full()) return;
  const uint64_t last = last_read_us_;
  const uint64_t now_us = SteadyMicros();
  if (now_us < last || now_us - last < options_.stream_timeout_us) return;
  absl::MutexLock lock(&mutex_);
  if (stream_ != nullptr) stream_->Cancel();
}

}  // namespace slipstream
