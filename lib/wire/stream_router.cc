#include "lib/wire/stream_router.h"

#include <algorithm>
#include <utility>

#include "lib/core/quoted_text.h"
#include "lib/core/stream_checks.h"
#include "lib/host/steady_cond_var.h"

namespace slipstream {

using rocksdb::Status;

ServerRouter::ServerRouter(std::shared_ptr<StreamWaker> waker)
    : waker_(std::move(waker)), endpoints_(std::make_shared<Endpoints>()) {}

void ServerRouter::Expect(const std::string& database) {
  PlainLock lock(&mutex_);
  ++expected_[database];
}

void ServerRouter::Unexpect(const std::string& database) {
  PlainLock lock(&mutex_);
  if (--expected_[database] == 0) expected_.erase(database);
}

Status ServerRouter::Add(const std::string& database, std::shared_ptr<LeaderEndpoint> endpoint) {
  {
    PlainLock lock(&mutex_);
    auto endpoints = std::make_shared<Endpoints>(*endpoints_);
    if (!endpoints->emplace(database, std::move(endpoint)).second) {
      return Status::Busy("this server serves database \"" + database + "\" already");
    }
    endpoints_ = std::move(endpoints);
    began_ = true;
  }
  waker_->Wake();
  if (on_serving_) on_serving_(database, true);
  return Status::OK();
}

void ServerRouter::Remove(const std::string& database) {
  if (on_serving_) on_serving_(database, false);
  PlainLock lock(&mutex_);
  auto endpoints = std::make_shared<Endpoints>(*endpoints_);
  endpoints->erase(database);
  endpoints_ = std::move(endpoints);
  while (calling_) lock.Wait(&changed_);
}

Status ServerRouter::WhyNotLocked(const std::string& database) const {
  if (stopped_) return Status::Aborted("the server is stopping");
  // A server listens before its first leader is open.
  if (!began_) return Status::TryAgain("no database is served here yet");
  if (expected_.count(database) > 0) {
    return Status::TryAgain("database " + Quoted(database) + " is not served here yet");
  }
  return Status::NotFound("no database " + Quoted(database) + " is served here");
}

std::shared_ptr<LeaderSession> ServerRouter::Accept(const Hello& hello, const std::string& peer,
                                                    std::shared_ptr<LeaderStream> stream,
                                                    Status* status) {
  *status = CheckHelloSizes(hello);
  if (!status->ok()) return nullptr;
  std::shared_ptr<LeaderEndpoint> endpoint;
  {
    PlainLock lock(&mutex_);
    auto it = endpoints_->find(hello.database);
    if (stopped_ || it == endpoints_->end()) {
      *status = WhyNotLocked(hello.database);
      return nullptr;
    }
    endpoint = it->second;
    calling_ = true;
  }
  auto session = endpoint->Accept(hello, peer, std::move(stream), status);
  endpoint.reset();
  PlainLock lock(&mutex_);
  calling_ = false;
  changed_.notify_all();
  return session;
}

void ServerRouter::Opened(std::shared_ptr<LeaderStream> stream) {
  PlainLock lock(&mutex_);
  streams_.insert(std::move(stream));
}

void ServerRouter::Closed(const std::shared_ptr<LeaderStream>& stream) {
  PlainLock lock(&mutex_);
  streams_.erase(stream);
  if (streams_.empty()) changed_.notify_all();
}

StreamWait ServerRouter::Advance(uint64_t now_us) {
  std::shared_ptr<const Endpoints> endpoints;
  {
    PlainLock lock(&mutex_);
    endpoints = endpoints_;
    calling_ = true;
  }
  StreamWait wait;
  for (const auto& [database, endpoint] : *endpoints) wait.Join(endpoint->Advance(now_us));
  endpoints.reset();
  PlainLock lock(&mutex_);
  calling_ = false;
  changed_.notify_all();
  return wait;
}

void ServerRouter::Stop() {
  constexpr absl::Duration kPatience = absl::Seconds(1);
  constexpr absl::Duration kPatienceAfterCancel = absl::Seconds(4);
  std::set<std::shared_ptr<LeaderStream>> streams;
  {
    PlainLock lock(&mutex_);
    stopped_ = true;
    streams = streams_;
  }
  for (const auto& stream : streams) stream->Finish(Status::Aborted("the server is stopping"));
  if (WaitUntilClosed(kPatience)) return;
  for (const auto& stream : streams) stream->Cancel();
  WaitUntilClosed(kPatienceAfterCancel);
}

bool ServerRouter::WaitUntilClosed(absl::Duration patience) {
  const SteadyTime deadline = DeadlineIn(patience);
  PlainLock lock(&mutex_);
  for (bool late = false; !streams_.empty() && !late;) late = lock.WaitUntil(&changed_, deadline);
  return streams_.empty();
}

}  // namespace slipstream
