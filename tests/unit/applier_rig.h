// A follower without a network: an applier that is fed by hand with what a leader's log holds.
#pragma once

#include <catch2/catch.hpp>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/follower/applier.h"
#include "tests/unit/leader_history.h"
#include "tests/unit/tapped_leader.h"

namespace slipstream::testing {

// Far longer than anything here takes: a test that runs into it has failed.
inline constexpr uint64_t kForeverUs = 60000000;

class ApplierRig {
 public:
  explicit ApplierRig(std::shared_ptr<SharedStorage> storage,
                      const RebuildBudget& budget = {UINT64_MAX, UINT64_MAX},
                      const rocksdb::Options& options = BusyOptions())
      : parts_(std::move(storage), options) {
    ApplierOptions applier_options;
    applier_options.budget = budget;
    applier_options.on_history_reset = [this](const HistoryReset& r) {
      std::lock_guard<std::mutex> lock(mutex_);
      resets_.push_back(r);
    };
    applier_options.on_column_families_changed = [this](const auto& changes) {
      std::lock_guard<std::mutex> lock(mutex_);
      for (const ColumnFamilyChange& c : changes) {
        family_changes_ += (c.dropped ? "-" : "+") + c.name + " " + std::to_string(c.id) + " ";
      }
    };
    applier_options.check_column_family = [this](const ColumnFamilyInfo& info) {
      std::lock_guard<std::mutex> lock(mutex_);
      return info.name == refused_family_ ? rocksdb::Status::InvalidArgument(info.name)
                                          : rocksdb::Status::OK();
    };
    applier_ =
        std::make_unique<Applier>(std::move(applier_options), parts_.source, &queue_, &generations_,
                                  &progress_, [this](const rocksdb::Status& s) { OnError(s); });
  }
  ~ApplierRig() {
    queue_.Stop();
    applier_->Stop();
  }

  // ---- What a stream does.

  Hello StartStream() {
    auto answer = std::make_shared<std::promise<Hello>>();
    queue_.Push(StreamStart{[answer](Hello hello) { answer->set_value(std::move(hello)); }});
    return answer->get_future().get();
  }
  void SendWelcome(const Welcome& welcome) {
    FollowerInput input{};
    input.type = FollowerInput::Type::kWelcome;
    input.welcome = welcome;
    queue_.Push(std::move(input));
  }
  void SendImageBegin(const ImageBegin& begin) {
    FollowerInput input{};
    input.type = FollowerInput::Type::kImageBegin;
    input.image_begin = begin;
    queue_.Push(std::move(input));
  }
  void SendImageFrames(uint64_t epoch, const std::string& frames) {
    FollowerInput input{};
    input.type = FollowerInput::Type::kFrames;
    input.header.epoch = epoch;
    input.header.image = true;
    input.payload = frames;
    queue_.Push(std::move(input));
  }
  void SendImageEnd() {
    FollowerInput input{};
    input.type = FollowerInput::Type::kImageEnd;
    queue_.Push(std::move(input));
  }
  // The whole transfer; what follows is sent from its cut on.
  void SendImage(const ImageTransfer& transfer) {
    SendImageBegin(transfer.begin);
    for (const std::string& frames : transfer.frames) {
      SendImageFrames(transfer.begin.cut.epoch, frames);
    }
    SendImageEnd();
    sent_ = transfer.begin.cut.offset;
  }
  void SendFrames(uint64_t epoch, uint64_t offset, std::string frames) {
    FollowerInput input{};
    input.type = FollowerInput::Type::kFrames;
    input.header.epoch = epoch;
    input.header.offset = offset;
    input.payload = std::move(frames);
    queue_.Push(std::move(input));
  }
  // What the log has and was not sent yet, `frames_per_message` of its frames at a time.
  void SendNew(const ReplicationLog& log, size_t frames_per_message) {
    std::vector<SharedBytes> memory;
    std::string message;
    size_t count = 0;
    for (const LoggedFrame& logged : FramesOf(log, sent_, &memory)) {
      AppendFrame(logged.frame, &message);
      if (++count % frames_per_message != 0 && logged.end != log.end()) continue;
      const size_t size = message.size();
      SendFrames(log.epoch(), sent_, std::exchange(message, {}));
      sent_ += size;
    }
    if (!message.empty())
      SendFrames(log.epoch(), std::exchange(sent_, sent_ + message.size()), message);
  }
  // Greeting, image, and what there is now.
  Hello Connect(const TappedLeader& leader) {
    Hello hello = StartStream();
    SendWelcome(leader.MakeWelcome());
    SendImage(TransferOf(leader.log()->epoch(), leader.log()->Snapshot()));
    return hello;
  }
  void ContinueAt(uint64_t offset) { sent_ = offset; }
  uint64_t sent() const { return sent_; }

  // ---- What comes of it.

  // Blocks until reads show all that was sent.
  void WaitUntilShown(uint64_t epoch) {
    RequireOk(progress_.WaitFor(Position{epoch, sent_, 0}, kForeverUs));
  }
  DatabaseState Show() {
    const GenerationRef generation = generations_.Acquire();
    REQUIRE(generation);
    DatabaseState state = ReadState(generation->contents(), &parts_.slots);
    state.offset = progress_.applied().offset;
    return state;
  }
  rocksdb::Status WaitForError() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return !errors_.empty(); });
    const rocksdb::Status s = errors_.front();
    errors_.clear();
    return s;
  }
  size_t errors() {
    std::lock_guard<std::mutex> lock(mutex_);
    return errors_.size();
  }
  std::vector<HistoryReset> resets() {
    std::lock_guard<std::mutex> lock(mutex_);
    return resets_;
  }
  // "+name id -name id " since the last call.
  std::string family_changes() {
    std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(family_changes_, {});
  }
  void RefuseColumnFamily(const std::string& name) {
    std::lock_guard<std::mutex> lock(mutex_);
    refused_family_ = name;
  }
  FollowerStats stats() const {
    FollowerStats stats;
    progress_.Fill(&stats);
    applier_->Fill(&stats);
    return stats;
  }
  Progress* progress() { return &progress_; }
  GenerationSet* generations() { return &generations_; }
  Applier* applier() { return applier_.get(); }

 private:
  void OnError(const rocksdb::Status& s) {
    std::lock_guard<std::mutex> lock(mutex_);
    errors_.push_back(s);
    changed_.notify_all();
  }

  ReceiveQueue queue_{64 << 20};
  FollowerParts parts_;
  GenerationSet generations_;
  Progress progress_;
  uint64_t sent_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<rocksdb::Status> errors_;
  std::vector<HistoryReset> resets_;
  std::string family_changes_;
  std::string refused_family_;
  std::unique_ptr<Applier> applier_;
};

}  // namespace slipstream::testing
