#include <catch2/catch.hpp>
#include <condition_variable>
#include <functional>
#include <latch>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "lib/core/frame.h"
#include "lib/leader/replication_log.h"

namespace slipstream {
namespace {

constexpr LogFileId kWal{FrameFile::kWal, 4};

// The byte at `offset` of a log file that tests write.
char ByteAt(uint64_t offset) { return static_cast<char>((offset * 2654435761u) >> 13); }

std::string BytesAt(uint64_t offset, size_t n) {
  std::string bytes(n, '\0');
  for (size_t i = 0; i < n; ++i) bytes[i] = ByteAt(offset + i);
  return bytes;
}

// Waits as the thread that sends does: until it is called, or the log has grown.
class SleepingReader : public StreamWaker {
 public:
  void Wake() override {
    std::lock_guard<std::mutex> lock(mutex_);
    ++calls_;
    called_.notify_all();
  }
  int calls() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return calls_;
  }
  void AwaitGrowth(ReplicationLog* log, uint64_t seen) {
    while (log->end() == seen) {
      const int before = calls();
      if (!log->AskForGrowth(seen)) return;
      std::unique_lock<std::mutex> lock(mutex_);
      called_.wait(lock, [&] { return calls_ != before; });
    }
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable called_;
  int calls_ = 0;
};

TEST_CASE("replication_log: who asks for growth is called when the log grows", "[unit]") {
  ReplicationLog log(1, 16 << 20);
  const auto reader = std::make_shared<SleepingReader>();
  log.SetWaker(reader);
  log.AddFile({kWal, 0, nullptr});
  // Growth that was there before it was asked for.
  log.Append(kWal, 0, "a");
  REQUIRE_FALSE(log.AskForGrowth(0));
  // Growth afterwards. Whichever thread comes first, the wait must end.
  for (uint64_t i = 1; i < 200; ++i) {
    const uint64_t seen = log.end();
    std::latch start(2);
    std::thread writer([&] {
      start.arrive_and_wait();
      log.Append(kWal, i, "b");
    });
    start.arrive_and_wait();
    reader->AwaitGrowth(&log, seen);
    writer.join();
  }
}

TEST_CASE("replication_log: growth calls only who asked for it, and once", "[unit]") {
  ReplicationLog log(1, 16 << 20);
  const auto reader = std::make_shared<SleepingReader>();
  log.SetWaker(reader);
  log.AddFile({kWal, 0, nullptr});
  log.Append(kWal, 0, "a");
  REQUIRE(reader->calls() == 0);
  REQUIRE(log.AskForGrowth(log.end()));
  log.Append(kWal, 1, "a");
  log.Append(kWal, 2, "a");
  REQUIRE(reader->calls() == 1);
  REQUIRE(log.AskForGrowth(log.end()));
  log.AskForNothing();
  log.Append(kWal, 3, "a");
  REQUIRE(reader->calls() == 1);
  log.Wake();
  REQUIRE(reader->calls() == 2);
  // Without a waker nobody is called, and nothing happens.
  log.SetWaker(nullptr);
  log.Wake();
  REQUIRE(log.AskForGrowth(log.end()));
  log.Append(kWal, 4, "a");
  REQUIRE(reader->calls() == 2);
}

TEST_CASE("replication_log: every other change is growth too", "[unit]") {
  ReplicationLog log(1, 16 << 20);
  const auto reader = std::make_shared<SleepingReader>();
  log.SetWaker(reader);
  log.AddFile({kWal, 0, nullptr});
  log.AddObject({FrameFile::kTable, 9, 1, 10});
  const std::vector<std::function<void()>> changes = {
      [&] { log.SetCurrent(3); },
      [&] {
        log.AddObject({FrameFile::kTable, 10, 1, 10});
      },
      [&] { log.RemoveObject(9); }, [&] { log.RemoveFile(kWal); }};
  int calls = 0;
  for (const auto& change : changes) {
    REQUIRE(log.AskForGrowth(log.end()));
    change();
    REQUIRE(reader->calls() == ++calls);
  }
}

TEST_CASE("replication_log: a reader sees every byte behind concurrent writers", "[unit]") {
  ReplicationLog log(1, 64 << 20);
  constexpr uint64_t kFiles = 3;
  constexpr uint64_t kBytesPerFile = 4 << 20;
  for (uint64_t n = 1; n <= kFiles; ++n) log.AddFile({{FrameFile::kWal, n}, 0, nullptr});
  std::vector<std::thread> writers;
  for (uint64_t n = 1; n <= kFiles; ++n) {
    writers.emplace_back([&log, n] {
      uint64_t offset = 0;
      for (uint64_t i = n; offset < kBytesPerFile; ++i) {
        // Mostly small, sometimes more than a frame.
        const size_t n_bytes = i % 97 == 0 ? 300000 : 1 + i * 37 % 3000;
        log.Append({FrameFile::kWal, n}, offset, BytesAt(offset, n_bytes));
        offset += n_bytes;
      }
      log.RemoveFile({FrameFile::kWal, n});
    });
  }
  std::vector<uint64_t> sizes(kFiles + 1, 0);
  const auto reader = std::make_shared<SleepingReader>();
  log.SetWaker(reader);
  uint64_t cursor = 0;
  bool good = true;
  for (uint64_t open = kFiles; open > 0 && good;) {
    SharedBytes bytes;
    good = log.Read(cursor, &bytes);
    if (good && bytes.bytes.empty()) {
      reader->AwaitGrowth(&log, cursor);
      continue;
    }
    cursor += bytes.bytes.size();
    while (good && !bytes.bytes.empty()) {
      Frame frame;
      good = DecodeFrame(&bytes.bytes, &frame).ok();
      if (!good) break;
      if (frame.type == FrameType::kLogRemoved) {
        --open;
        continue;
      }
      uint64_t& size = sizes[frame.number];
      good = frame.argument == size;
      for (size_t i = 0; i < frame.payload.size() && good; ++i) {
        good = frame.payload[i] == ByteAt(size + i);
      }
      size += frame.payload.size();
    }
  }
  for (std::thread& writer : writers) writer.join();
  REQUIRE(good);
  REQUIRE(cursor == log.end());
  for (uint64_t n = 1; n <= kFiles; ++n) REQUIRE(sizes[n] >= kBytesPerFile);
}

}  // namespace
}  // namespace slipstream
