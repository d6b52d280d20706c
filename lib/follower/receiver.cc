#include "lib/follower/receiver.h"

#include <algorithm>
#include <utility>

#include "lib/host/steady_clock.h"
#include "lib/host/thread_name.h"

namespace slipstream {
namespace {

using rocksdb::Status;

constexpr absl::Duration kFirstBackoff = absl::Milliseconds(20);
constexpr absl::Duration kLastBackoff = absl::Seconds(1);

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

void Receiver::ReceiveLoop() {
  absl::Duration backoff = kFirstBackoff;
  for (;;) {
    Status s = Receive();
    bool worked;
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
      worked = std::exchange(welcomed_, false) && restart_reason_.ok();
      if (!restart_reason_.ok()) s = std::exchange(restart_reason_, Status::OK());
      last_error_ = s;
    }
    progress_->SetConnected(false);
    progress_->SetStreamStatus(s);
    // What this follower cannot apply is not asked for again and again at full speed.
    backoff = worked ? kFirstBackoff : std::min(backoff * 2, kLastBackoff);
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), backoff)) return;
    reconnects_.fetch_add(1, std::memory_order_relaxed);
  }
}

std::optional<Hello> Receiver::AskHello() {
  struct Reply {
    absl::Mutex mutex;
    std::optional<Hello> hello ABSL_GUARDED_BY(mutex);
  };
  auto reply = std::make_shared<Reply>();
  const bool asked = queue_->Push(StreamStart{[reply](Hello hello) {
    absl::MutexLock lock(&reply->mutex);
    reply->hello = std::move(hello);
  }});
  if (!asked) return std::nullopt;
  // The applier answers when it has dealt with what came before; it may be in the middle of opening
  // a generation.
  constexpr absl::Duration kLook = absl::Milliseconds(100);
  for (;;) {
    {
      absl::MutexLock lock(&reply->mutex);
      const auto answered = +[](std::optional<Hello>* hello) { return hello->has_value(); };
      if (reply->mutex.AwaitWithTimeout(absl::Condition(answered, &reply->hello), kLook)) {
        return std::move(reply->hello);
      }
    }
    if (stopping()) return std::nullopt;
  }
}

Status Receiver::Receive() {
  std::optional<Hello> hello = AskHello();
  if (!hello) return Status::ShutdownInProgress("the follower is closing");
  hello->database = options_.database;
  hello->follower_id = options_.follower_id;
  hello->name = options_.name;
  std::unique_ptr<FollowerStream> stream = transport_->Open(*hello);
  last_read_us_ = SteadyMicros();
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) stream->Cancel();
    stream_ = stream.get();
  }

  Status error;
  uint64_t epoch = 0;
  FollowerInput input;
  while (stream->Read(&input)) {
    const uint64_t now_us = SteadyMicros();
    last_read_us_ = now_us;
    if (input.type == FollowerInput::Type::kWelcome) {
      epoch = input.welcome.epoch;
      error = options_.check_welcome(input.welcome);
      if (!error.ok()) {
        stream->Cancel();
        break;
      }
      progress_->SetConnected(true);
      progress_->SetStreamStatus(Status::OK());
      absl::MutexLock lock(&mutex_);
      welcomed_ = true;
    }
    if (input.type == FollowerInput::Type::kFrames ||
        input.type == FollowerInput::Type::kHeartbeat) {
      // Of another epoch says nothing: a leader that is closing has no position.
      if (input.header.leader.epoch == epoch) progress_->LeaderAt(input.header.leader, now_us);
      if (input.type == FollowerInput::Type::kHeartbeat) continue;
    }
    const bool frames = input.type == FollowerInput::Type::kFrames && !input.header.image;
    const Position received{input.header.epoch, input.header.offset + input.payload.size(),
                            input.header.leader.sequence};
    if (!queue_->Push(std::move(input))) {
      stream->Cancel();  // the leader would go on sending
      break;
    }
    // A Push that waited for room is no silence of the stream.
    last_read_us_ = SteadyMicros();
    if (frames) progress_->Received(received);
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

void Receiver::KeepLoop() {
  const absl::Duration look = absl::Microseconds(
      std::max<uint64_t>(std::min<uint64_t>(options_.stream_timeout_us / 4, 250000), 1000));
  uint64_t seen = UINT64_MAX;
  absl::Time next_ack = absl::InfinitePast();
  for (;;) {
    progress_->WaitForChange(seen, absl::Now() + look);
    if (stopping()) return;
    Watch();
    const absl::Time now = absl::Now();
    if (progress_->version() == seen) continue;
    if (now < next_ack) {
      // Something was acknowledged a moment ago: what comes now goes together.
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), next_ack - now)) return;
    }
    FollowerStream* stream;
    {
      absl::MutexLock lock(&mutex_);
      stream = welcomed_ ? stream_ : nullptr;
      writing_ = stream != nullptr;
    }
    seen = progress_->version();
    if (stream == nullptr) continue;
    Ack ack;
    progress_->Fill(&ack);
    options_.fill_ack(&ack);
    stream->WriteAck(ack);
    next_ack = absl::Now() + absl::Microseconds(options_.ack_interval_us);
    absl::MutexLock lock(&mutex_);
    writing_ = false;
  }
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
