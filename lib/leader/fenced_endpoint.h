// What stands before a leader's streams: a leader that was replaced accepts none.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "lib/core/transport.h"
#include "lib/leader/fence.h"
#include "lib/leader/incarnation_keeper.h"

namespace slipstream {

// Threads: as LeaderEndpoint.
class FencedEndpoint : public LeaderEndpoint {
 public:
  FencedEndpoint(std::shared_ptr<IncarnationKeeper> keeper, std::shared_ptr<Fence> fence)
      : keeper_(std::move(keeper)), fence_(std::move(fence)) {}

  std::shared_ptr<LeaderSession> Accept(const Hello& hello, const std::string& peer,
                                        std::shared_ptr<LeaderStream> stream,
                                        rocksdb::Status* status) override {
    *status = fence_->status();
    if (const uint64_t epoch = keeper_->epoch(); status->ok() && hello.held.epoch > epoch) {
      // The follower knows more than this leader does.
      fence_->LookNow();
      *status = rocksdb::Status::Aborted("this leader is of epoch " + std::to_string(epoch) +
                                         ", the follower has shown epoch " +
                                         std::to_string(hello.held.epoch));
    }
    if (!status->ok()) return nullptr;
    return keeper_->Accept(hello, peer, std::move(stream), status);
  }

  StreamWait Advance(uint64_t now_us) override { return keeper_->Advance(now_us); }

 private:
  const std::shared_ptr<IncarnationKeeper> keeper_;
  const std::shared_ptr<Fence> fence_;
};

}  // namespace slipstream
