// MarkerBoard: memory shared by all processes of a round, where each notes when it saw a marker.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "rocksdb/status.h"

namespace slipstream::bench {

// The writer puts a counter under one key, again and again: 1, 2, 3, ... Here is noted when each
// Put returned, and when each reader first saw that value or a newer one. All times are CLOCK_
// MONOTONIC, in nanoseconds. There is room for every marker of the round, so nothing is
// overwritten.
//
// Threads: each time has one writer; all may be read at any moment.
class MarkerBoard {
 public:
  MarkerBoard() = default;
  MarkerBoard(const MarkerBoard&) = delete;
  MarkerBoard& operator=(const MarkerBoard&) = delete;
  ~MarkerBoard();

  // Makes a new board in memory that has no name; fd() leads other processes to it.
  [[nodiscard]] rocksdb::Status Create(uint64_t markers, uint64_t readers);
  // Opens the board of another process by its descriptor, which stays the caller's.
  [[nodiscard]] rocksdb::Status Attach(int fd, uint64_t markers, uint64_t readers);

  int fd() const { return fd_; }
  uint64_t capacity() const { return markers_; }

  // Marker `counter`, from 1 on. REQUIRES: counter <= capacity().
  void Returned(uint64_t counter, uint64_t now_ns);
  // Markers first to last became visible to the reader together.
  void Seen(uint64_t reader, uint64_t first, uint64_t last, uint64_t now_ns);

  // The newest marker whose Put returned.
  uint64_t last_marker() const { return Header()->last_marker.load(std::memory_order_acquire); }

  // Keys written so far, for the progress line.
  void SetKeysWritten(uint64_t keys) {
    Header()->keys_written.store(keys, std::memory_order_relaxed);
  }
  uint64_t keys_written() const { return Header()->keys_written.load(std::memory_order_relaxed); }

  struct Lags {
    std::vector<uint64_t> ns;  // in the order of the markers; 0 = visible before Put returned
    uint64_t early = 0;        // how many were visible before Put returned
    uint64_t unseen = 0;       // Put returned, but the reader has not seen them
  };
  Lags LagsOf(uint64_t reader) const;

 private:
  struct BoardHeader {
    std::atomic<uint64_t> keys_written;
    std::atomic<uint64_t> last_marker;
  };
  using Time = std::atomic<uint64_t>;  // 0 = not yet
  static_assert(Time::is_always_lock_free);

  [[nodiscard]] rocksdb::Status Map(int fd, uint64_t markers, uint64_t readers);
  BoardHeader* Header() const { return static_cast<BoardHeader*>(memory_); }
  // Row 0 holds the returns, row r + 1 the sightings of reader r.
  Time* Row(uint64_t row) const {
    return reinterpret_cast<Time*>(Header() + 1) + row * (markers_ + 1);
  }

  int fd_ = -1;  // only of a board made here
  void* memory_ = nullptr;
  size_t bytes_ = 0;
  uint64_t markers_ = 0;
  uint64_t readers_ = 0;
};

}  // namespace slipstream::bench
