#include "lib/leader/replication_log.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <functional>
#include <latch>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "lib/core/coding.h"
#include "lib/core/log_record_writer.h"
#include "tests/unit/tapped_leader.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using testing::FramesOf;
using testing::LoggedFrame;
using testing::RequireOk;

constexpr LogFileId kWal{FrameFile::kWal, 4};
constexpr LogFileId kManifest{FrameFile::kManifest, 5};
constexpr uint64_t kChunkBytes = 1 << 20;

// The byte at `offset` of a log file that tests write.
char ByteAt(uint64_t offset) { return static_cast<char>((offset * 2654435761u) >> 13); }

std::string BytesAt(uint64_t offset, size_t n) {
  std::string bytes(n, '\0');
  for (size_t i = 0; i < n; ++i) bytes[i] = ByteAt(offset + i);
  return bytes;
}

TEST_CASE("replication_log: frames come back in the order of the calls", "[unit]") {
  ReplicationLog log(7, 16 << 20);
  log.AddFile({kManifest, 0, nullptr});
  log.Append(kManifest, 0, "edit");
  log.SetCurrent(5);
  const uint64_t manifest_end = log.end();
  log.AddFile({kWal, 0, nullptr});
  log.Append(kWal, 0, "abc");
  log.AddObject({FrameFile::kTable, 9, 6, 1234});
  log.AddObject({FrameFile::kBlob, 10, 7, 77});
  log.Append(kWal, 3, "de");
  const Position removed = log.RemoveObject(9);
  REQUIRE(removed == Position{7, manifest_end, 0});
  const uint64_t removal_end = log.end();
  log.RemoveFile(kWal);

  std::vector<SharedBytes> memory;
  const std::vector<LoggedFrame> frames = FramesOf(log, 0, &memory);
  REQUIRE(frames.size() == 8);
  auto check = [&](size_t i, FrameType type, FrameFile file, uint64_t number, uint64_t argument,
                   const std::string& payload) {
    INFO("frame " << i);
    REQUIRE(frames[i].frame.type == type);
    REQUIRE(frames[i].frame.file == file);
    REQUIRE(frames[i].frame.number == number);
    REQUIRE(frames[i].frame.argument == argument);
    REQUIRE(frames[i].frame.payload.ToString() == payload);
  };
  auto number = [](uint64_t n) {
    std::string bytes;
    PutFixed64(&bytes, n);
    return bytes;
  };
  check(0, FrameType::kLogAppend, FrameFile::kManifest, 5, 0, "edit");
  check(1, FrameType::kCurrentSet, FrameFile::kManifest, 5, 0, "");
  check(2, FrameType::kLogAppend, FrameFile::kWal, 4, 0, "abc");
  check(3, FrameType::kObjectAdded, FrameFile::kTable, 9, 1234, number(6));
  check(4, FrameType::kObjectAdded, FrameFile::kBlob, 10, 77, number(7));
  check(5, FrameType::kLogAppend, FrameFile::kWal, 4, 3, "de");
  check(6, FrameType::kObjectRemoved, FrameFile::kTable, 9, 0, "");
  check(7, FrameType::kLogRemoved, FrameFile::kWal, 4, 0, "");
  REQUIRE(frames[6].end == removal_end);
  REQUIRE(frames.back().end == log.end());
  REQUIRE(log.appends() == 4);
}

TEST_CASE("replication_log: what it does not know makes no frame", "[unit]") {
  ReplicationLog log(1, 16 << 20);
  log.Append(kWal, 0, "bytes of no file");
  log.RemoveFile(kWal);
  REQUIRE(log.RemoveObject(3) == Position{1, 0, 0});
  REQUIRE(log.end() == 0);
  RequireOk(log.status());
  SharedBytes bytes;
  REQUIRE(log.Read(0, &bytes));
  REQUIRE(bytes.bytes.empty());
  REQUIRE_FALSE(log.Read(1, &bytes));
}

TEST_CASE("replication_log: every frame boundary can be read from, over chunks", "[unit]") {
  ReplicationLog log(1, 16 << 20);
  log.AddFile({kWal, 0, nullptr});
  uint64_t offset = 0;
  // Sizes around a frame's limit, so that chunks end with gaps of many sizes.
  for (int i = 0; i < 60; ++i) {
    const size_t n = 1 + (static_cast<size_t>(i) * 77777) % (300 << 10);
    log.Append(kWal, offset, BytesAt(offset, n));
    offset += n;
  }
  REQUIRE(log.end() > 3 * kChunkBytes);
  std::vector<SharedBytes> memory;
  const std::vector<LoggedFrame> frames = FramesOf(log, 0, &memory);
  REQUIRE(memory.size() > 3);
  uint64_t expected = 0;
  for (const LoggedFrame& logged : frames) {
    REQUIRE(logged.frame.argument == expected);
    REQUIRE(logged.frame.payload == Slice(BytesAt(expected, logged.frame.payload.size())));
    expected += logged.frame.payload.size();

    SharedBytes bytes;
    REQUIRE(log.Read(logged.begin, &bytes));
    Slice rest = bytes.bytes;
    Frame frame;
    RequireOk(DecodeFrame(&rest, &frame));
    REQUIRE(frame.argument == logged.frame.argument);
    REQUIRE(frame.payload == logged.frame.payload);
  }
  REQUIRE(expected == offset);
  SharedBytes bytes;
  REQUIRE(log.Read(log.end(), &bytes));
  REQUIRE(bytes.bytes.empty());
  REQUIRE_FALSE(log.Read(log.end() + 1, &bytes));
}

TEST_CASE("replication_log: a large append is cut into frames of the allowed size", "[unit]") {
  ReplicationLog log(1, 16 << 20);
  log.AddFile({kWal, 0, nullptr});
  const std::string large = BytesAt(0, 3 * kMaxFramePayload + 5);
  log.Append(kWal, 0, large);
  std::vector<SharedBytes> memory;
  const std::vector<LoggedFrame> frames = FramesOf(log, 0, &memory);
  REQUIRE(frames.size() == 4);
  std::string joined;
  for (const LoggedFrame& logged : frames) {
    REQUIRE(logged.frame.argument == joined.size());
    joined += logged.frame.payload.ToString();
  }
  REQUIRE(frames[3].frame.payload.size() == 5);
  REQUIRE(joined == large);
  REQUIRE(log.appends() == 1);
  REQUIRE(log.Snapshot().files.at(0).size == large.size());
}

TEST_CASE("replication_log: memory stays below the limit and the oldest goes first", "[unit]") {
  constexpr uint64_t kLimit = 4 * kChunkBytes;
  ReplicationLog log(1, kLimit);
  log.AddFile({kWal, 0, nullptr});
  SharedBytes first;
  uint64_t offset = 0;
  uint64_t second_frame = 0;
  uint64_t last_begin = 0;
  for (int i = 0; i < 100; ++i) {
    const std::string piece = BytesAt(offset, 100 << 10);
    last_begin = log.end();
    log.Append(kWal, offset, piece);
    if (i == 0) {
      REQUIRE(log.Read(0, &first));
      second_frame = log.end();
    }
    offset += piece.size();
    REQUIRE(log.memory_bytes() <= kLimit);
  }
  SharedBytes bytes;
  REQUIRE_FALSE(log.Read(0, &bytes));
  REQUIRE(bytes.owner == nullptr);
  REQUIRE_FALSE(log.Read(second_frame, &bytes));
  REQUIRE(log.Read(last_begin, &bytes));
  // What a stream still sends stays in memory for it.
  Frame frame;
  RequireOk(DecodeFrame(&first.bytes, &frame));
  REQUIRE(frame.payload == Slice(BytesAt(0, 100 << 10)));
}

TEST_CASE("replication_log: a snapshot names what there is at its offset", "[unit]") {
  ReplicationLog log(3, 16 << 20);
  log.AddFile({kManifest, 100, nullptr});
  log.AddFile({kWal, 0, nullptr});
  log.AddFile({{FrameFile::kWal, 3}, 50, nullptr});
  log.Append(kWal, 0, "0123456789");
  log.Append(kManifest, 100, "edit");
  log.SetCurrent(5);
  log.AddObject({FrameFile::kTable, 9, 2, 1234});
  log.AddObject({FrameFile::kTable, 11, 3, 5});
  log.RemoveObject(9);
  log.RemoveFile({FrameFile::kWal, 3});
  const ImageSnapshot snapshot = log.Snapshot();
  log.Append(kWal, 10, "later");
  log.RemoveObject(11);

  REQUIRE(snapshot.offset < log.end());
  REQUIRE(snapshot.current_manifest == 5);
  REQUIRE(snapshot.files.size() == 2);
  REQUIRE(snapshot.files[0].id == kWal);
  REQUIRE(snapshot.files[0].size == 10);
  REQUIRE(snapshot.files[1].id == kManifest);
  REQUIRE(snapshot.files[1].size == 104);
  REQUIRE(snapshot.objects.size() == 1);
  REQUIRE(snapshot.objects[0].number == 11);
  REQUIRE(snapshot.objects[0].epoch == 3);
  REQUIRE(log.object_count() == 0);
}

TEST_CASE("replication_log: a file that is created again begins at 0", "[unit]") {
  ReplicationLog log(1, 16 << 20);
  log.AddFile({kWal, 70, nullptr});
  log.AddFile({kWal, 0, nullptr});
  log.Append(kWal, 0, "x");
  RequireOk(log.status());
  REQUIRE(log.Snapshot().files.at(0).size == 1);
}

TEST_CASE("replication_log: a file that recovery cuts goes on from there", "[unit]") {
  ReplicationLog log(1, 16 << 20);
  log.AddFile({kWal, 70, nullptr});
  log.Truncate(kWal, 60);
  log.Truncate(kWal, 65);  // a cut never lengthens
  REQUIRE(log.Snapshot().files.at(0).size == 60);
  log.Append(kWal, 60, "x");
  RequireOk(log.status());
}

TEST_CASE("replication_log: an append at another offset stops the log", "[unit]") {
  for (const uint64_t offset : {2, 4, 1000}) {
    ReplicationLog log(1, 16 << 20);
    log.AddFile({kWal, 0, nullptr});
    log.Append(kWal, 0, "abc");
    const uint64_t end = log.end();
    log.Append(kWal, offset, "d");
    REQUIRE(log.status().IsCorruption());
    REQUIRE(log.end() == end);
    log.Append(kWal, 3, "d");
    REQUIRE(log.end() == end);
  }
}

TEST_CASE("replication_log: nothing is recorded after a break", "[unit]") {
  ReplicationLog log(1, 16 << 20);
  log.AddFile({kWal, 0, nullptr});
  log.Append(kWal, 0, "abc");
  log.AddObject({FrameFile::kTable, 9, 1, 10});
  const uint64_t end = log.end();
  log.Break(kWal, rocksdb::Status::IOError("first"));
  log.Break(kWal, rocksdb::Status::IOError("second"));
  log.Append(kWal, 3, "def");
  log.SetCurrent(8);
  log.AddObject({FrameFile::kTable, 10, 1, 10});
  log.RemoveFile(kWal);
  log.RemoveObject(9);
  REQUIRE(log.end() == end);
  REQUIRE(log.status().ToString().find("first") != std::string::npos);
  REQUIRE_FALSE(log.Snapshot().status.ok());
  // What was recorded before can still be read.
  std::vector<SharedBytes> memory;
  REQUIRE(FramesOf(log, 0, &memory).size() == 2);
}

TEST_CASE("replication_log: a removal after a break lies beyond every cut", "[unit]") {
  ReplicationLog log(1, 16 << 20);
  log.AddObject({FrameFile::kTable, 9, 1, 10});
  log.Break(kWal, rocksdb::Status::IOError("disk"));
  // A follower that has all of the log never hears of the removal: it needs the object.
  REQUIRE(log.RemoveObject(9) > Position{1, log.end(), 0});
  // One that has an image of the next epoch does not.
  auto next = log.Succeed(2, 8);
  REQUIRE(next != nullptr);
  REQUIRE(Position({2, 0, 0}) > Position({1, UINT64_MAX, 0}));
}

TEST_CASE("replication_log: a broken file is no part of the log that succeeds", "[unit]") {
  ReplicationLog log(1, 16 << 20);
  log.AddFile({kManifest, 100, nullptr});
  log.AddFile({kWal, 0, nullptr});
  log.SetCurrent(kManifest.number);
  log.AddObject({FrameFile::kTable, 9, 1, 10});
  log.Append(kWal, 0, "abc");
  REQUIRE(log.Succeed(2, UINT64_MAX) == nullptr);  // not broken
  log.Break(kWal, rocksdb::Status::IOError("disk"));
  // What RocksDB does meanwhile is followed without frames.
  const LogFileId newer{FrameFile::kWal, kWal.number + 1};
  log.AddFile({newer, 0, nullptr});
  log.Append(newer, 0, "12345");
  log.AddObject({FrameFile::kTable, 11, 1, 20});
  REQUIRE(log.RemoveObject(9) == Position{1, UINT64_MAX, 0});
  log.Append(kManifest, 100, "edit");

  REQUIRE_FALSE(log.CanSucceed(kWal.number));
  REQUIRE(log.Succeed(2, kWal.number) == nullptr);
  REQUIRE(log.CanSucceed(newer.number));
  const auto next = log.Succeed(2, newer.number);
  REQUIRE(next != nullptr);
  REQUIRE(next->epoch() == 2);
  REQUIRE(next->end() == 0);
  const ImageSnapshot image = next->Snapshot();
  RequireOk(image.status);
  REQUIRE(image.current_manifest == kManifest.number);
  REQUIRE(image.files.size() == 2);
  for (const TappedLogFile& file : image.files) {
    REQUIRE(file.id != kWal);
    REQUIRE(file.size == (file.id == newer ? 5 : 104));
  }
  REQUIRE(image.objects.size() == 1);
  REQUIRE(image.objects[0].number == 11);
  // Only one log may succeed it.
  REQUIRE(log.Succeed(3, newer.number) == nullptr);
}

TEST_CASE("replication_log: column families are recorded when they are new or change", "[unit]") {
  ReplicationLog log(1, 16 << 20);
  const ColumnFamilyInfo plain{"default", "bytes", "", {}};
  ColumnFamilyInfo changed{"b", "other", "add", {}};
  const auto last_frames = [&](const ReplicationLog& of, uint64_t from) {
    std::vector<SharedBytes> memory;
    std::vector<ColumnFamilyInfo> infos;
    for (const LoggedFrame& logged : FramesOf(of, from, &memory)) {
      REQUIRE(logged.frame.type == FrameType::kColumnFamily);
      RequireOk(DecodeColumnFamilyInfo(logged.frame.payload, &infos.emplace_back()));
    }
    return infos;
  };
  log.SetColumnFamilies({plain, changed});
  REQUIRE(last_frames(log, 0) == std::vector<ColumnFamilyInfo>{plain, changed});
  uint64_t end = log.end();
  log.SetColumnFamilies({plain, changed});
  REQUIRE(log.end() == end);
  changed.merge_operator = "max";
  log.SetColumnFamilies({plain, changed});
  REQUIRE(last_frames(log, end) == std::vector<ColumnFamilyInfo>{changed});
  // What is known of a comparator holds for all families that have it, now and later.
  end = log.end();
  log.KnowComparator("other", 8);
  changed.timestamp_size = 8;
  REQUIRE(last_frames(log, end) == std::vector<ColumnFamilyInfo>{changed});
  // A drop makes no frame; the manifest tells of it.
  end = log.end();
  log.SetColumnFamilies({plain});
  REQUIRE(log.end() == end);
  REQUIRE(log.Snapshot().column_families == std::vector<ColumnFamilyInfo>{plain});
  log.SetColumnFamilies({plain, {"c", "other", "", {}}});
  REQUIRE(log.column_families().front() == ColumnFamilyInfo{"c", "other", "", 8});

  log.Break(kWal, rocksdb::Status::IOError("disk"));
  const auto next = log.Succeed(2, kWal.number + 1);
  REQUIRE(next != nullptr);
  REQUIRE(next->column_families() == log.column_families());
  log.SetColumnFamilies({plain, {"d", "other", "", {}}});
  REQUIRE(last_frames(*next, 0) == std::vector<ColumnFamilyInfo>{{"d", "other", "", 8}});
}

TEST_CASE("replication_log: a broken manifest is in the way as long as CURRENT names it",
          "[unit]") {
  ReplicationLog log(1, 16 << 20);
  log.AddFile({kManifest, 100, nullptr});
  log.SetCurrent(kManifest.number);
  log.BreakCurrentManifest(rocksdb::Status::IOError("disk"));
  REQUIRE_FALSE(log.CanSucceed(UINT64_MAX));
  const LogFileId newer{FrameFile::kManifest, kManifest.number + 10};
  log.AddFile({newer, 0, nullptr});
  log.Append(newer, 0, "all edits");
  log.SetCurrent(newer.number);
  const auto next = log.Succeed(2, 0);
  REQUIRE(next != nullptr);
  REQUIRE(next->Snapshot().files.size() == 1);
  REQUIRE(next->Snapshot().current_manifest == newer.number);
}

TEST_CASE("replication_log: what comes later goes to the newest log", "[unit]") {
  ReplicationLog log(1, 16 << 20);
  log.AddFile({kManifest, 0, nullptr});
  log.SetCurrent(kManifest.number);
  log.Break(kWal, rocksdb::Status::IOError("disk"));
  const auto second = log.Succeed(2, kWal.number + 1);
  REQUIRE(second != nullptr);
  second->Break(kWal, rocksdb::Status::IOError("disk"));
  const auto third = second->Succeed(3, kWal.number + 1);
  REQUIRE(third != nullptr);
  REQUIRE(log.successor() == third);

  const LogFileId wal{FrameFile::kWal, 90};
  log.AddFile({wal, 0, nullptr});
  log.Append(wal, 0, "abc");
  second->Append(wal, 3, "def");
  log.Append(kManifest, 0, "edit");
  log.SetCurrent(kManifest.number);
  const uint64_t manifest_end = third->end();
  log.AddObject({FrameFile::kTable, 9, 1, 10});
  const Position removed = log.RemoveObject(9);
  REQUIRE(removed == Position{3, manifest_end, 0});
  log.RemoveFile(wal);
  RequireOk(third->status());
  std::vector<SharedBytes> memory;
  REQUIRE(FramesOf(*third, 0, &memory).size() == 7);
  REQUIRE(third->Snapshot().files.size() == 1);
  REQUIRE(third->Snapshot().files[0].size == 4);
  log.Break(kManifest, rocksdb::Status::IOError("again"));
  REQUIRE_FALSE(third->status().ok());
}

TEST_CASE("replication_log: the first sequence number is that of the first write batch", "[unit]") {
  std::string batch(12, '\0');
  EncodeFixed64(batch.data(), 4711);
  std::string sizes, record;
  LogRecordWriter writer;
  writer.AddTimestampSizes("sizes of timestamps", &sizes);
  writer.AddRecord(batch, &record);
  const bool together = GENERATE(true, false);
  INFO("in one append: " << together);
  ReplicationLog log(7, 16 << 20);
  log.AddFile({kWal, 0, nullptr});
  log.Append(kWal, 0, together ? sizes + record : sizes);
  if (!together) {
    REQUIRE(log.first_sequence() == 0);
    log.Append(kWal, sizes.size(), record);
  }
  REQUIRE(log.first_sequence() == 4711);
  log.Append(kWal, sizes.size() + record.size(), record);
  REQUIRE(log.first_sequence() == 4711);
}

TEST_CASE("replication_log: an object is unneeded from the last change of the manifest on",
          "[unit]") {
  ReplicationLog log(7, 16 << 20);
  log.AddObject({FrameFile::kTable, 8, 7, 10});
  REQUIRE(log.RemoveObject(8) == Position{7, 0, 0});
  log.AddFile({kManifest, 0, nullptr});
  log.AddFile({kWal, 0, nullptr});
  uint64_t written = 0;
  const auto remove = [&](uint64_t number) {
    log.AddObject({FrameFile::kTable, number, 7, 10});
    log.Append(kWal, written, "write");
    written += 5;
    return log.RemoveObject(number);
  };
  log.Append(kManifest, 0, "edit");
  const Position edited{7, log.end(), 0};
  REQUIRE(remove(9) == edited);
  REQUIRE(remove(10) == edited);
  // A cut before this one still goes by the MANIFEST that CURRENT named until then.
  log.SetCurrent(kManifest.number);
  const Position moved{7, log.end(), 0};
  REQUIRE(moved > edited);
  REQUIRE(remove(11) == moved);
}

TEST_CASE("replication_log: the break handler is called once, also if it comes late", "[unit]") {
  int calls = 0;
  ReplicationLog log(1, 16 << 20);
  log.SetBreakHandler([&] { ++calls; });
  log.Break(kWal, rocksdb::Status::IOError("disk"));
  log.Break(kManifest, rocksdb::Status::IOError("disk"));
  REQUIRE(calls == 1);
  ReplicationLog late(1, 16 << 20);
  late.AddFile({kWal, 0, nullptr});
  late.Append(kWal, 5, "a hole before it");
  REQUIRE(late.status().IsCorruption());
  late.SetBreakHandler([&] { ++calls; });
  REQUIRE(calls == 2);
}

TEST_CASE("replication_log: the first sequence number is that of the first WAL record", "[unit]") {
  ReplicationLog log(1, 16 << 20);
  log.AddFile({kWal, 0, nullptr});
  log.AddFile({kManifest, 0, nullptr});
  std::string batch;
  PutFixed64(&batch, 4711);
  PutFixed32(&batch, 1);
  std::string record;
  LogRecordWriter().AddRecord(batch, &record);
  log.Append(kManifest, 0, record);
  REQUIRE(log.first_sequence() == 0);
  log.Append(kWal, 0, record);
  REQUIRE(log.first_sequence() == 4711);
}

}  // namespace
}  // namespace slipstream
