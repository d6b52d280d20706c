#include "lib/leader/session_set.h"

#include <algorithm>

#include "lib/core/stream_checks.h"

namespace slipstream {

using rocksdb::Status;

SessionSet::SessionSet(std::shared_ptr<const SessionContext> context, std::string database,
                       Welcome welcome, std::function<Position()> deleted_through)
    : context_(std::move(context)),
      database_(std::move(database)),
      welcome_(std::move(welcome)),
      deleted_through_(std::move(deleted_through)) {}

SessionSet::~SessionSet() { Stop(Status::Aborted("the leader is closing")); }

void SessionSet::Stop(const Status& why) {
  std::vector<std::shared_ptr<StreamSession>> sessions;
  {
    PlainLock lock(&mutex_);
    stopped_ = true;
    sessions.swap(sessions_);
  }
  for (const auto& session : sessions) {
    session->Finish(why);
    session->EndTask(why);
  }
}

Status SessionSet::Check(const Hello& hello) const {
  Status s = CheckHello(hello, Position{context_->log->epoch(), context_->log->end(), 0});
  if (!s.ok()) return s;
  if (!hello.db_identity.empty() && hello.db_identity != welcome_.db_identity) {
    return Status::InvalidArgument("the follower has shown database " + hello.db_identity +
                                   ", but \"" + database_ + "\" is now " + welcome_.db_identity);
  }
  return Status::OK();
}

bool SessionSet::CanResume(const Hello& hello) const {
  return hello.held.epoch == context_->log->epoch() && hello.held.offset <= context_->log->end() &&
         (hello.pin.epoch == 0 || hello.pin >= deleted_through_());
}

std::shared_ptr<LeaderSession> SessionSet::Accept(const Hello& hello, const std::string& peer,
                                                  std::shared_ptr<LeaderStream> stream,
                                                  Status* status) {
  *status = Check(hello);
  if (!status->ok()) return nullptr;
  Welcome welcome = welcome_;
  welcome.column_families = context_->log->column_families();
  auto session =
      std::make_shared<StreamSession>(context_, std::move(stream), hello, peer, std::move(welcome));
  // After the pin is registered: what is deleted from here on is not needed.
  if (CanResume(hello)) {
    session->Resume(hello);
  } else if (const Status broken = context_->log->status(); !broken.ok()) {
    // It was registered, so that its pin goes on counting.
    *status = ReplicationStopped(broken);
    session->OnClosed();
    return nullptr;
  }
  {
    PlainLock lock(&mutex_);
    if (stopped_) {
      *status = Status::Aborted("the stream of this epoch has ended");
    } else {
      std::erase_if(sessions_, [](const auto& s) { return s->closed(); });
      sessions_.push_back(session);
    }
  }
  if (!status->ok()) {
    session->OnClosed();
    return nullptr;
  }
  return session;
}

StreamWait SessionSet::Advance(uint64_t now_us) {
  const uint64_t seen = context_->log->end();
  using Wait = StreamSession::Next::Wait;
  StreamWait wait{.after_us = context_->heartbeat_us};
  bool for_growth = false;
  bool for_delay = false;
  {
    PlainLock lock(&mutex_);
    std::erase_if(sessions_, [](const auto& s) { return s->closed(); });
    advancing_ = sessions_;
  }
  for (const auto& session : advancing_) {
    const StreamSession::Next next = session->Advance(now_us);
    wait.after_us = std::min(wait.after_us, next.after_us);
    for_growth |= next.wait == Wait::kGrowth;
    for_delay |= next.wait == Wait::kDelay;
    wait.must_hear |= next.wait == Wait::kSent;
    wait.wake_is_near |= next.growth_is_near;
  }
  // Confirmations, which somebody waits for.
  wait.must_hear |= context_->followers->IsAwaited(now_us);
  advancing_.clear();
  // To be woken by growth costs the writing thread a system call for each write, so it is asked for
  // only when the next write could be sent at once.
  if (!for_growth || for_delay) {
    context_->log->AskForNothing();
  } else if (!context_->log->AskForGrowth(seen)) {
    return {.after_us = 0};
  }
  wait.after_us = std::max<uint64_t>(wait.after_us, 1);
  return wait;
}

}  // namespace slipstream
