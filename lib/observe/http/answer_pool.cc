#include "lib/observe/http/answer_pool.h"

#include <system_error>
#include <utility>

#include "lib/host/thread_name.h"

namespace slipstream::observe {

rocksdb::Status AnswerPool::Start(size_t threads) {
  try {
    for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
  } catch (const std::system_error& error) {
    Stop();
    return rocksdb::Status::IOError("no thread for the HTTP server", error.what());
  }
  return rocksdb::Status::OK();
}

bool AnswerPool::TryAdd(std::function<void()> job) {
  {
    PlainLock lock(&mutex_);
    if (stopped_ || waiting_.size() >= max_waiting_) return false;
    waiting_.push_back(std::move(job));
  }
  changed_.notify_one();
  return true;
}

void AnswerPool::Stop() {
  std::deque<std::function<void()>> dropped;
  {
    PlainLock lock(&mutex_);
    stopped_ = true;
    dropped.swap(waiting_);
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void AnswerPool::Run() {
  NameThisThread("ss-http-answer");
  for (;;) {
    std::function<void()> job;
    {
      PlainLock lock(&mutex_);
      while (waiting_.empty() && !stopped_) lock.Wait(&changed_);
      if (stopped_) return;
      job = std::move(waiting_.front());
      waiting_.pop_front();
    }
    job();
  }
}

}  // namespace slipstream::observe
