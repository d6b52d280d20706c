// absl::Mutex for the thread sanitizer: the same calls over the standard library's locks.
//
// Debian's Abseil is built without the sanitizer, which therefore sees neither its locks nor what
// they order: everything behind an absl::Mutex would look like a race. The build under the
// sanitizer finds this header first, and links no Abseil that has a Mutex of its own. Nothing is
// suppressed for it.
#pragma once

#include <condition_variable>
#include <functional>
#include <shared_mutex>

#include "absl/base/thread_annotations.h"

namespace absl {

class Condition {
 public:
  explicit Condition(const bool* value) : eval_([value] { return *value; }) {}
  template <typename T>
  Condition(bool (*function)(T*), T* argument)
      : eval_([function, argument] { return function(argument); }) {}
  bool Eval() const { return eval_(); }

 private:
  std::function<bool()> eval_;
};

class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() {
    // What is awaited may have come true.
    if (waiting_ > 0) condition_.notify_all();
    mutex_.unlock();
  }
  void ReaderLock() ABSL_SHARED_LOCK_FUNCTION() { mutex_.lock_shared(); }
  void ReaderUnlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock_shared(); }
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() {}
  void AssertReaderHeld() const ABSL_ASSERT_SHARED_LOCK() {}

  void Await(const Condition& condition) {
    ++waiting_;
    condition_.wait(mutex_, [&] { return condition.Eval(); });
    --waiting_;
  }

 private:
  std::shared_mutex mutex_;
  std::condition_variable_any condition_;
  int waiting_ = 0;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

class ABSL_SCOPED_LOCKABLE ReaderMutexLock {
 public:
  explicit ReaderMutexLock(Mutex* mutex) ABSL_SHARED_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_->ReaderLock();
  }
  ~ReaderMutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->ReaderUnlock(); }
  ReaderMutexLock(const ReaderMutexLock&) = delete;
  ReaderMutexLock& operator=(const ReaderMutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

class CondVar {
 public:
  void Wait(Mutex* mutex) {
    struct Lockable {
      Mutex* mutex;
      void lock() { mutex->Lock(); }
      void unlock() { mutex->Unlock(); }
    } lockable{mutex};
    condition_.wait(lockable);
  }
  void Signal() { condition_.notify_one(); }
  void SignalAll() { condition_.notify_all(); }

 private:
  std::condition_variable_any condition_;
};

}  // namespace absl
