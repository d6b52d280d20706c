#include "lib/follower/generation_builder.h"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <latch>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "rocksdb/write_batch.h"
#include "tests/unit/leader_history.h"
#include "tests/unit/random_seed.h"
#include "tests/unit/tapped_leader.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;
using testing::BusyOptions;
using testing::ClosingGeneration;
using testing::DatabaseState;
using testing::Difference;
using testing::FollowerParts;
using testing::MemoryStorage;
using testing::ReadState;
using testing::RequireOk;
using testing::ScratchDirectory;
using testing::TappedLeader;
using testing::TransferOf;

// A storage that lets nobody read while its gate is closed.
class GatedStorage : public MemoryStorage {
 public:
  rocksdb::Status NewReader(const std::string& name, std::unique_ptr<ObjectReader>* out) override {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return open_; });
    }
    return MemoryStorage::NewReader(name, out);
  }
  void SetOpen(bool open) {
    std::lock_guard<std::mutex> lock(mutex_);
    open_ = open;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
};

struct Source {
  Source() : storage(std::make_shared<GatedStorage>()), leader(directory.path(), storage) {
    leader.Open(BusyOptions());
  }
  ImageCut Cut() {
    const testing::ImageTransfer transfer = TransferOf(1, leader.log()->Snapshot());
    image = std::make_unique<Image>(transfer.begin, leader.MakeWelcome());
    for (const std::string& bytes : transfer.frames) {
      Slice input(bytes);
      Frame frame;
      RequireOk(DecodeFrame(&input, &frame));
      Image::Effect effect;
      RequireOk(image->Apply(
          frame, [](Slice, uint64_t) { return Status::OK(); }, &effect));
    }
    RequireOk(image->Complete());
    return image->Cut();
  }

  ScratchDirectory directory;
  std::shared_ptr<GatedStorage> storage;
  TappedLeader leader;
  std::unique_ptr<Image> image;
};

// A merge tells how often it was applied.
std::string MergeBatch(const std::string& key, int i) {
  rocksdb::WriteBatch batch;
  RequireOk(batch.Merge(key, std::to_string(i)));
  // So that a few batches are more than what is left to the applier.
  RequireOk(batch.Put("padding", std::string(2000, static_cast<char>('a' + i % 26))));
  return batch.Data();
}

std::string Counted(int from, int to) {
  std::string text;
  for (int i = from; i < to; ++i) text += (i > from ? "," : "") + std::to_string(i);
  return text;
}

std::optional<GenerationBuilder::Built> TakeBuilt(GenerationBuilder* builder) {
  while (!builder->ready()) std::this_thread::yield();
  return builder->Take();
}

TEST_CASE("generation_builder: a generation shows its cut at its sequence number", "[unit]") {
  Source source;
  RequireOk(source.leader.db()->Put({}, "flushed", "1"));
  RequireOk(source.leader.db()->Flush({}));
  RequireOk(source.leader.db()->Put({}, "in the WAL", "2"));
  FollowerParts parts(source.storage);
  const ImageCut cut = source.Cut();
  ClosingGeneration generation;
  RequireOk(OpenGeneration(parts.source, cut, 9, &generation));
  REQUIRE(generation.id == 9);
  REQUIRE(generation.cut == cut.position);
  REQUIRE(Difference(ReadState(generation, &parts.slots),
                     ReadState(source.leader.db(), source.leader.handles)) == "");
}

TEST_CASE("generation_builder: what is open does not hold the log files in memory", "[unit]") {
  Source source;
  RequireOk(source.leader.db()->Put({}, "in the WAL", "1"));
  FollowerParts parts(source.storage);
  ImageCut cut = source.Cut();
  std::vector<std::weak_ptr<const ImageFile>> files;
  for (const ImageCut::File& file : cut.files) files.emplace_back(file.data);
  REQUIRE(files.size() >= 2);  // a WAL and the manifest
  source.image.reset();
  const auto all_gone = [&files] {
    return std::all_of(files.begin(), files.end(), [](const auto& f) { return f.expired(); });
  };
  std::string value;
  SECTION("opened") {
    ClosingGeneration generation;
    RequireOk(OpenGeneration(parts.source, cut, 1, &generation));
    cut = ImageCut();
    CHECK(all_gone());
    RequireOk(WriteToGeneration(generation.db.get(), MergeBatch("key", 1)));
    RequireOk(generation.db->Get({}, "in the WAL", &value));
    RequireOk(generation.db->Get({}, "key", &value));
  }
  SECTION("built") {
    GenerationBuilder builder(parts.source, [] {});
    builder.Start(std::exchange(cut, ImageCut()));
    auto built = TakeBuilt(&builder);
    REQUIRE(built);
    RequireOk(built->status);
    CHECK(all_gone());
    RequireOk(built->contents.db->Get({}, "in the WAL", &value));
    built->contents.Close();
  }
}

TEST_CASE("generation_builder: numbers that recovery does not see are filled in", "[unit]") {
  Source source;
  rocksdb::WriteBatch batch;
  RequireOk(batch.Put("key", "value"));
  for (int i = 0; i < 2500; ++i) RequireOk(batch.DeleteRange("key", "key"));
  RequireOk(source.leader.db()->Write({}, &batch));
  FollowerParts parts(source.storage);
  ClosingGeneration generation;
  RequireOk(OpenGeneration(parts.source, source.Cut(), 1, &generation));
  REQUIRE(generation.db->GetLatestSequenceNumber() == 2501);
  REQUIRE(Difference(ReadState(generation, &parts.slots),
                     ReadState(source.leader.db(), source.leader.handles)) == "");
}

TEST_CASE("generation_builder: more than the log files explain is an error", "[unit]") {
  Source source;
  for (int i = 0; i < 5; ++i) RequireOk(source.leader.db()->Put({}, "key", "value"));
  FollowerParts parts(source.storage);
  ImageCut cut = source.Cut();
  REQUIRE(cut.position.sequence == 5);
  cut.position.sequence = 4;
  ClosingGeneration generation;
  const Status s = OpenGeneration(parts.source, cut, 1, &generation);
  INFO(s.ToString());
  REQUIRE(s.IsCorruption());
  REQUIRE(generation.db == nullptr);
}

TEST_CASE("generation_builder: another comparator is refused by name", "[unit]") {
  Source source;
  rocksdb::Options options = BusyOptions();
  options.comparator = rocksdb::ReverseBytewiseComparator();
  FollowerParts parts(source.storage, options);
  ClosingGeneration generation;
  const Status s = OpenGeneration(parts.source, source.Cut(), 1, &generation);
  INFO(s.ToString());
  REQUIRE(s.IsInvalidArgument());
  REQUIRE(s.ToString().find("\"default\"") != std::string::npos);
  REQUIRE(s.ToString().find(rocksdb::ReverseBytewiseComparator()->Name()) != std::string::npos);
}

TEST_CASE("generation_builder: a table that is gone from the storage is an error", "[unit]") {
  Source source;
  RequireOk(source.leader.db()->Put({}, "key", "value"));
  RequireOk(source.leader.db()->Flush({}));
  for (const std::string& name : source.storage->Names()) RequireOk(source.storage->Delete(name));
  FollowerParts parts(source.storage);
  GenerationBuilder builder(parts.source, [] {});
  builder.Start(source.Cut());
  auto built = TakeBuilt(&builder);
  REQUIRE(built);
  INFO(built->status.ToString());
  // Either the open or the first read finds out.
  if (built->status.ok()) {
    std::string value;
    const Status s = built->contents.db->Get({}, "key", &value);
    INFO(s.ToString());
    REQUIRE_FALSE(s.ok());
    REQUIRE_FALSE(s.IsNotFound());
    built->contents.Close();
  }
}

TEST_CASE("generation_builder: it is busy from the start to the take", "[unit]") {
  Source source;
  FollowerParts parts(source.storage);
  std::latch ready(1);
  GenerationBuilder builder(parts.source, [&] { ready.count_down(); });
  REQUIRE_FALSE(builder.busy());
  REQUIRE_FALSE(builder.Take());  // nothing was asked for
  builder.Start(source.Cut());
  REQUIRE(builder.busy());
  ready.wait();
  REQUIRE(builder.ready());
  REQUIRE(builder.busy());
  auto built = builder.Take();
  REQUIRE(built);
  RequireOk(built->status);
  REQUIRE(built->contents.id == 1);
  REQUIRE(built->backlog.empty());
  REQUIRE_FALSE(builder.busy());
  built->contents.Close();
  // What belonged to the build before is not carried over.
  builder.Start(source.Cut());
  builder.Add(MergeBatch("key", 0));
  TakeBuilt(&builder)->contents.Close();
  builder.Start(source.Cut());
  built = TakeBuilt(&builder);
  REQUIRE(built->contents.id == 3);
  REQUIRE(built->backlog.empty());
  REQUIRE(built->contents.db->GetLatestSequenceNumber() == 0);
  built->contents.Close();
}

TEST_CASE("generation_builder: what arrives during a build is applied exactly once", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  std::mt19937_64 random(seed);
  Source source;
  // Enough to replay that a build takes a while.
  for (int i = 0; i < 3000; ++i) {
    RequireOk(source.leader.db()->Put({}, "key" + std::to_string(i), std::string(100, 'x')));
  }
  FollowerParts parts(source.storage);
  const ImageCut cut = source.Cut();
  GenerationBuilder builder(parts.source, [] {});
  for (int round = 0; round < 12; ++round) {
    builder.Start(cut);
    int added = 0;
    const int at_least = static_cast<int>(random() % 150);
    while (added < at_least || (round % 2 == 0 && !builder.ready())) {
      builder.Add(MergeBatch("count", added++));
      if (random() % 8 == 0) std::this_thread::yield();
    }
    auto built = TakeBuilt(&builder);
    REQUIRE(built);
    RequireOk(built->status);
    const uint64_t waiting = built->backlog.size();
    rocksdb::DB* db = built->contents.db.get();
    REQUIRE(db->GetLatestSequenceNumber() == cut.position.sequence + 2 * (added - waiting));
    for (std::string& batch : built->backlog) RequireOk(WriteToGeneration(db, std::move(batch)));
    REQUIRE(db->GetLatestSequenceNumber() == cut.position.sequence + 2 * added);
    std::string value;
    const Status s = db->Get({}, "count", &value);
    REQUIRE((added == 0 ? s.IsNotFound() : s.ok()));
    REQUIRE(value == Counted(0, added));
    built->contents.Close();
  }
}

TEST_CASE("generation_builder: it catches up by itself with what came while it opened", "[unit]") {
  Source source;
  RequireOk(source.leader.db()->Put({}, "key", "value"));
  RequireOk(source.leader.db()->Flush({}));
  FollowerParts parts(source.storage);
  std::latch ready(1);
  GenerationBuilder builder(parts.source, [&] { ready.count_down(); });
  source.storage->SetOpen(false);
  builder.Start(source.Cut());
  constexpr int kBefore = 200;  // of 2000 bytes each
  for (int i = 0; i < kBefore; ++i) builder.Add(MergeBatch("count", i));
  source.storage->SetOpen(true);
  ready.wait();
  // What comes after the build has ended is left to the applier.
  for (int i = kBefore; i < kBefore + 50; ++i) builder.Add(MergeBatch("count", i));
  auto built = builder.Take();
  REQUIRE(built);
  RequireOk(built->status);
  REQUIRE(built->backlog.size() == 50);
  std::string value;
  RequireOk(built->contents.db->Get({}, "count", &value));
  REQUIRE(value == Counted(0, kBefore));
  built->contents.Close();
}

TEST_CASE("generation_builder: a backlog at its limit makes the applier wait", "[unit]") {
  Source source;
  RequireOk(source.leader.db()->Put({}, "key", "value"));
  RequireOk(source.leader.db()->Flush({}));
  FollowerParts parts(source.storage);
  constexpr uint64_t kLimit = 100000;
  const uint64_t batch = MergeBatch("count", 0).size();
  GenerationBuilder builder(
      parts.source, [] {}, kLimit);
  source.storage->SetOpen(false);
  builder.Start(source.Cut());
  constexpr int kBatches = 300;
  std::thread applier([&] {
    for (int i = 0; i < kBatches; ++i) builder.Add(MergeBatch("count", i));
  });
  while (builder.backlog_bytes() < kLimit) std::this_thread::yield();
  REQUIRE(builder.backlog_bytes() < kLimit + batch + 10);
  REQUIRE(kBatches * batch > 2 * kLimit);
  source.storage->SetOpen(true);
  applier.join();
  auto built = TakeBuilt(&builder);
  REQUIRE(built);
  RequireOk(built->status);
  for (std::string& b : built->backlog) {
    RequireOk(WriteToGeneration(built->contents.db.get(), std::move(b)));
  }
  std::string value;
  RequireOk(built->contents.db->Get({}, "count", &value));
  REQUIRE(value == Counted(0, kBatches));
  built->contents.Close();
}

TEST_CASE("generation_builder: a sequence number that no WAL explains is refused at once",
          "[unit]") {
  Source source;
  RequireOk(source.leader.db()->Put({}, "key", "value"));
  FollowerParts parts(source.storage);
  ImageCut cut = source.Cut();
  cut.position.sequence = UINT64_C(1) << 55;
  GenerationContents contents;
  const Status s = OpenGeneration(parts.source, cut, 1, &contents);
  INFO(s.ToString());
  REQUIRE(s.IsCorruption());
  REQUIRE(s.ToString().find(std::to_string(cut.position.sequence)) != std::string::npos);
}

TEST_CASE("generation_builder: it is stopped in the middle of a build", "[unit]") {
  Source source;
  FollowerParts parts(source.storage);
  for (int i = 0; i < 10; ++i) {
    GenerationBuilder builder(parts.source, [] {});
    std::latch start(2);
    std::thread stopper([&] {
      start.arrive_and_wait();
      builder.Stop();
    });
    builder.Start(source.Cut());
    start.arrive_and_wait();
    stopper.join();
    if (auto built = builder.Take()) built->contents.Close();
  }
}

TEST_CASE("generation_builder: what is discarded is thrown away, and another is built", "[unit]") {
  Source source;
  RequireOk(source.leader.db()->Put({}, "key", "value"));
  RequireOk(source.leader.db()->Flush({}));
  FollowerParts parts(source.storage);
  GenerationBuilder builder(parts.source, [] {});
  source.storage->SetOpen(false);
  builder.Start(source.Cut());
  builder.Add(MergeBatch("count", 0));
  builder.Discard();
  builder.Add(MergeBatch("count", 1));
  REQUIRE(builder.backlog_bytes() == 0);
  source.storage->SetOpen(true);
  // Somebody who cannot wait builds in between.
  GenerationBuilder::Built now = builder.BuildNow(source.Cut());
  RequireOk(now.status);
  now.contents.Close();

  while (builder.busy()) std::this_thread::yield();
  REQUIRE_FALSE(builder.Take());
  builder.Start(source.Cut());
  auto built = TakeBuilt(&builder);
  REQUIRE(built);
  RequireOk(built->status);
  REQUIRE(built->backlog.empty());
  built->contents.Close();
  // One that had ended, too.
  builder.Start(source.Cut());
  while (!builder.ready()) std::this_thread::yield();
  builder.Discard();
  REQUIRE_FALSE(builder.busy());
}

}  // namespace
}  // namespace slipstream
