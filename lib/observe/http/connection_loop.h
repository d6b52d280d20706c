// One thread that serves all connections of the HTTP server without waiting for any.
//
//          request complete              answered               all written
//   READING ---------------> ANSWERING -----------> WRITING ----------------> READING
//      ^ refused, or closed by the answer: WRITING ----> DRAINING ----> closed
//
// DRAINING reads on for a moment after the last answer: what is closed with bytes unread is reset,
// and the client might lose the answer.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "lib/host/plain_mutex.h"
#include "lib/observe/http/answer_pool.h"
#include "lib/observe/http/file_descriptor.h"
#include "lib/observe/http/request_frame.h"
#include "lib/observe/http/request_processor.h"
#include "rocksdb/status.h"

namespace slipstream::observe {

struct ConnectionLimits {
  size_t connections = 1024;
  uint64_t client_timeout_us = 10'000'000;
  uint64_t idle_timeout_us = 30'000'000;
  // Of all connections together.
  size_t answer_bytes = 64 << 20;
  FrameLimits frame;
};

// Since the start, but for `open`.
struct ConnectionStats {
  std::atomic<uint64_t> open{0};
  std::atomic<uint64_t> accepted{0};
  std::atomic<uint64_t> turned_away{0};  // beyond the limit, and refused or closed
  std::atomic<uint64_t> timed_out{0};
  std::array<std::atomic<uint64_t>, 6> answers{};  // by the first digit of their status
};

// Threads: one starts and stops it; stats are for all.
class ConnectionLoop {
 public:
  using Answer =
      std::function<RequestProcessor::Answered(std::string_view head, std::string_view body)>;

  // answer: called by the threads of `pool`, which outlives the loop.
  ConnectionLoop(const ConnectionLimits& limits, AnswerPool* pool, Answer answer);
  ~ConnectionLoop();

  [[nodiscard]] rocksdb::Status Start(FileDescriptor listening);
  // Closes all connections. Answers in the making are for nobody then.
  void Stop();

  const ConnectionStats& stats() const { return stats_; }

 private:
  enum class Phase { kReading, kAnswering, kWriting, kDraining };
  struct Connection {
    FileDescriptor fd;
    Phase phase = Phase::kReading;
    std::string in;
    std::string out;
    size_t written = 0;
    bool close_after = false;
    bool continued = false;  // "100 Continue" was sent for the request that comes in
    uint64_t deadline_us = 0;
    uint64_t idle_since_us = 0;  // of kReading with nothing read
  };
  struct Done {
    uint64_t id = 0;
    RequestProcessor::Answered answer;
  };
  using Connections = std::unordered_map<uint64_t, Connection>;

  void Run();
  void Step();
  void Accept();
  void AdmitConnection(FileDescriptor fd);
  bool CloseIdleOne();
  void Serve(uint64_t id, uint32_t events);
  void BeginAnswer(Connection* connection, std::string bytes, bool close);
  // These say whether the connection goes on.
  bool Read(uint64_t id, Connection* connection);
  bool TakeRequest(uint64_t id, Connection* connection);
  bool Write(uint64_t id, Connection* connection);
  bool Drain(Connection* connection);
  void TakeAnswers();
  void CloseLate();
  void Close(uint64_t id);
  void Watch(uint64_t id, const Connection& connection);
  void CountAnswer(int status);
  int WaitMillis() const;

  const ConnectionLimits limits_;
  AnswerPool* const pool_;
  const Answer answer_;
  ConnectionStats stats_;
  FileDescriptor listening_;
  FileDescriptor poll_;
  FileDescriptor wake_;
  std::thread thread_;
  std::atomic<bool> stopped_{false};

  // Of the thread alone.
  Connections connections_;
  uint64_t last_id_ = 0;
  size_t answer_bytes_ = 0;
  uint64_t accept_again_us_ = 0;  // 0 = the listening socket is watched
  uint64_t next_look_us_ = 0;     // at deadlines

  // Jobs in the pool refer to the loop; it is not destroyed before they are gone.
  PlainMutex mutex_;
  std::vector<Done> done_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace slipstream::observe
