#include "lib/follower/applier.h"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "lib/core/file_name.h"
#include "tests/unit/applier_rig.h"
#include "tests/unit/leader_history.h"
#include "tests/unit/random_seed.h"
#include "tests/unit/tapped_leader.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;
using testing::ApplierRig;
using testing::BusyOptions;
using testing::DatabaseState;
using testing::Difference;
using testing::FramesOf;
using testing::ImageTransfer;
using testing::LeaderHistory;
using testing::LoggedFrame;
using testing::MemoryStorage;
using testing::ReadState;
using testing::RequireOk;
using testing::ScratchDirectory;
using testing::TappedLeader;
using testing::TransferOf;

struct Pair {
  explicit Pair(const RebuildBudget& budget = {UINT64_MAX, UINT64_MAX})
      : storage(std::make_shared<MemoryStorage>()),
        leader(directory.path(), storage),
        rig(storage, budget) {
    leader.Open(BusyOptions(), {"a", "b"});
  }
  // Sends what is new and compares.
  void CheckEqual(size_t frames_per_message = 3) {
    rig.SendNew(*leader.log(), frames_per_message);
    rig.WaitUntilShown(leader.log()->epoch());
    REQUIRE(Difference(rig.Show(), ReadState(leader.db(), leader.handles)) == "");
    rig.generations()->CloseUnused();
  }
  void Put(const std::string& key, const std::string& value) {
    RequireOk(leader.db()->Put({}, key, value));
  }

  ScratchDirectory directory;
  std::shared_ptr<MemoryStorage> storage;
  TappedLeader leader;
  ApplierRig rig;
};

void CheckFollows(const RebuildBudget& budget, int steps) {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  Pair p(budget);
  LeaderHistory history(&p.leader, seed);
  for (int i = 0; i < 5; ++i) history.Step();
  history.StepPut();
  p.rig.Connect(p.leader);
  p.CheckEqual();
  std::mt19937_64 random(seed);
  for (int i = 0; i < steps; ++i) {
    history.Step();
    if (random() % 3 == 0) p.CheckEqual(1 + random() % 7);
  }
  p.CheckEqual();
  REQUIRE(p.rig.errors() == 0);
  REQUIRE(p.rig.stats().sequence_gaps == 0);
  REQUIRE(p.rig.stats().resyncs == 0);
}

TEST_CASE("applier: reads equal the leader's, rebuilt at barriers alone", "[unit]") {
  CheckFollows({UINT64_MAX, UINT64_MAX}, 250);
}

TEST_CASE("applier: reads equal the leader's, rebuilt at every chance", "[unit]") {
  CheckFollows({1, 1}, 250);
}

TEST_CASE("applier: exposed positions never go back", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  Pair p({1, 1});
  LeaderHistory history(&p.leader, seed);
  history.StepPut();
  p.rig.Connect(p.leader);
  p.rig.WaitUntilShown(1);
  std::atomic<bool> done{false};
  std::atomic<uint64_t> backwards{0};
  std::thread reader([&] {
    uint64_t highest = 0;
    Position last;
    while (!done) {
      const Position applied = p.rig.progress()->applied();
      const GenerationRef generation = p.rig.generations()->Acquire();
      const uint64_t sequence = generation->db()->GetLatestSequenceNumber();
      if (sequence < highest || applied < last || sequence < applied.sequence) ++backwards;
      highest = std::max(highest, sequence);
      last = applied;
    }
  });
  for (int i = 0; i < 150; ++i) {
    history.Step();
    p.rig.SendNew(*p.leader.log(), 2);
    if (i % 20 == 0) p.rig.WaitUntilShown(1);
    p.rig.generations()->CloseUnused();
  }
  p.rig.WaitUntilShown(1);
  done = true;
  reader.join();
  REQUIRE(backwards == 0);
  p.CheckEqual();
}

TEST_CASE("applier: a new column family is shown with the position that covers it", "[unit]") {
  Pair p;
  p.rig.Connect(p.leader);
  p.CheckEqual();
  const uint64_t rebuilds = p.rig.stats().rebuilds_for_barriers;
  rocksdb::ColumnFamilyHandle* handle = nullptr;
  RequireOk(p.leader.db()->CreateColumnFamily(BusyOptions(), "new", &handle));
  p.leader.handles.push_back(handle);
  p.CheckEqual();
  REQUIRE(p.rig.stats().rebuilds_for_barriers > rebuilds);
  RequireOk(p.leader.db()->Put({}, handle, "key", "value"));
  p.CheckEqual();
  REQUIRE(p.rig.Show().families.at("new").size() == 1);
}

TEST_CASE("applier: column families that come and go are told before the position covers them",
          "[unit]") {
  Pair p;
  p.rig.Connect(p.leader);
  p.CheckEqual();
  REQUIRE(p.rig.family_changes().empty());
  rocksdb::ColumnFamilyHandle* handle = nullptr;
  RequireOk(p.leader.db()->CreateColumnFamily(BusyOptions(), "new", &handle));
  const uint32_t first = handle->GetID();
  p.rig.SendNew(*p.leader.log(), 1);
  p.rig.WaitUntilShown(1);
  REQUIRE(p.rig.family_changes() == "+new " + std::to_string(first) + " ");
  // One barrier each.
  RequireOk(p.leader.db()->DropColumnFamily(handle));
  RequireOk(p.leader.db()->DestroyColumnFamilyHandle(handle));
  RequireOk(p.leader.db()->CreateColumnFamily(BusyOptions(), "new", &handle));
  const uint32_t second = handle->GetID();
  p.leader.handles.push_back(handle);
  p.rig.SendNew(*p.leader.log(), 1);
  p.rig.WaitUntilShown(1);
  REQUIRE(p.rig.family_changes() ==
          "-new " + std::to_string(first) + " +new " + std::to_string(second) + " ");
  p.Put("key", "value");
  p.CheckEqual();
  REQUIRE(p.rig.family_changes().empty());
}

TEST_CASE("applier: options of a column family that do not fit are an error, and reads go on",
          "[unit]") {
  Pair p;
  p.Put("key", "value");
  p.rig.Connect(p.leader);
  p.CheckEqual();
  p.rig.RefuseColumnFamily("strange");
  rocksdb::ColumnFamilyHandle* handle = nullptr;
  RequireOk(p.leader.db()->CreateColumnFamily(BusyOptions(), "strange", &handle));
  p.leader.handles.push_back(handle);
  RequireOk(p.leader.db()->Put({}, handle, "key", "never shown"));
  p.rig.SendNew(*p.leader.log(), 1);
  const Status s = p.rig.WaitForError();
  REQUIRE(s.IsInvalidArgument());
  REQUIRE(s.ToString().find("strange") != std::string::npos);
  REQUIRE(p.rig.Show().families.at("default").at("key") == "=value;");
  const DatabaseState state = p.rig.Show();
  REQUIRE((state.families.count("strange") == 0 || state.families.at("strange").empty()));
}

TEST_CASE("applier: writes before a barrier do not bring its position forward", "[unit]") {
  Pair p;
  p.rig.Connect(p.leader);
  p.CheckEqual();
  for (int i = 0; i < 5; ++i) {
    p.Put("key", "value " + std::to_string(i));
    rocksdb::ColumnFamilyHandle* handle = nullptr;
    RequireOk(p.leader.db()->CreateColumnFamily(BusyOptions(), "new" + std::to_string(i), &handle));
    p.leader.handles.push_back(handle);
    p.CheckEqual(1000);  // all in one message
  }
}

TEST_CASE("applier: an ingested file is shown with the position that covers it", "[unit]") {
  Pair p;
  p.Put("key1", "old");
  p.rig.Connect(p.leader);
  p.CheckEqual();
  const std::string path = p.directory / "outside";
  rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), BusyOptions());
  RequireOk(writer.Open(path));
  RequireOk(writer.Put("key1", "new"));
  RequireOk(writer.Finish());
  rocksdb::IngestExternalFileOptions how;
  how.write_global_seqno = false;
  const uint64_t rebuilds = p.rig.stats().rebuilds_for_barriers;
  RequireOk(p.leader.db()->IngestExternalFile({path}, how));
  p.CheckEqual();
  REQUIRE(p.rig.stats().rebuilds_for_barriers > rebuilds);
  REQUIRE(p.rig.Show().families.at("default").at("key1") == "=new;");
}

TEST_CASE("applier: writes to a dropped column family do not stop it", "[unit]") {
  Pair p;
  p.rig.Connect(p.leader);
  p.CheckEqual();
  rocksdb::ColumnFamilyHandle* dropped = p.leader.handles.back();
  RequireOk(p.leader.db()->DropColumnFamily(dropped));
  rocksdb::WriteBatch batch;
  RequireOk(batch.Put(p.leader.handles[0], "key", "value"));
  RequireOk(batch.Put(p.leader.handles[1], "key", "value"));
  RequireOk(p.leader.db()->Write({}, &batch));
  RequireOk(p.leader.db()->DestroyColumnFamilyHandle(dropped));
  p.leader.handles.pop_back();
  p.CheckEqual();
}

TEST_CASE("applier: many records are gathered into few writes", "[unit]") {
  Pair p;
  p.rig.Connect(p.leader);
  p.CheckEqual();
  const FollowerStats before = p.rig.stats();
  for (int i = 0; i < 500; ++i) p.Put("key" + std::to_string(i), "value");
  p.CheckEqual(1000);
  const FollowerStats after = p.rig.stats();
  REQUIRE(after.records_applied - before.records_applied == 500);
  REQUIRE(after.keys_applied - before.keys_applied == 500);
  REQUIRE(after.writes - before.writes == 1);
}

TEST_CASE("applier: a broken stream goes on where it was", "[unit]") {
  Pair p;
  p.Put("a", "1");
  REQUIRE(p.rig.Connect(p.leader).held.epoch == 0);
  p.Put("b", "2");
  p.CheckEqual();
  const Hello hello = p.rig.StartStream();
  REQUIRE(hello.held == Position{1, p.leader.log()->end(), 0});
  REQUIRE(hello.held.sequence == p.leader.db()->GetLatestSequenceNumber());
  std::vector<LogFileSize> sizes;
  for (const TappedLogFile& file : p.leader.log()->Snapshot().files) {
    sizes.push_back({file.id, file.size});
  }
  REQUIRE(hello.files == sizes);
  REQUIRE(hello.pin.epoch == 1);
  REQUIRE(hello.pin <= hello.held);
  p.rig.SendWelcome(p.leader.MakeWelcome());
  p.rig.ContinueAt(hello.held.offset);
  p.Put("c", "3");
  p.CheckEqual();
  REQUIRE(p.rig.stats().resyncs == 0);
}

TEST_CASE("applier: what it holds is completed when the log has gone on", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  Pair p({1, 1});
  LeaderHistory history(&p.leader, seed);
  history.StepPut();
  p.rig.Connect(p.leader);
  p.CheckEqual();
  for (int round = 0; round < 8; ++round) {
    for (int i = 0; i < 8; ++i) history.Step();
    p.rig.SendNew(*p.leader.log(), 3);
    const Hello hello = p.rig.StartStream();
    for (int i = 0; i < 8; ++i) history.Step();
    history.StepPut();
    p.rig.SendWelcome(p.leader.MakeWelcome());
    const ImageTransfer rest = TransferOf(1, p.leader.log()->Snapshot(), hello.files);
    REQUIRE_FALSE(rest.begin.from_scratch);
    p.rig.SendImage(rest);
    p.CheckEqual();
    for (int i = 0; i < 3; ++i) history.StepWrite();
    p.CheckEqual();
  }
  REQUIRE(p.rig.stats().resyncs == 8);
  REQUIRE(p.rig.errors() == 0);
}

TEST_CASE("applier: an image that is completed in part only is asked for anew", "[unit]") {
  Pair p;
  p.Put("a", "1");
  p.rig.Connect(p.leader);
  p.CheckEqual();
  const Hello hello = p.rig.StartStream();
  p.Put("b", "2");
  ImageTransfer rest = TransferOf(1, p.leader.log()->Snapshot(), hello.files);
  REQUIRE_FALSE(rest.begin.from_scratch);
  p.rig.SendWelcome(p.leader.MakeWelcome());
  p.rig.SendImageBegin(rest.begin);
  p.rig.SendImageFrames(1, rest.frames.at(0));
  // The stream breaks. Reads go on meanwhile.
  const Hello again = p.rig.StartStream();
  REQUIRE(again.held.epoch == 0);
  REQUIRE(again.files.empty());
  REQUIRE(again.pin.epoch == 1);
  REQUIRE(p.rig.Show().families.at("default").size() == 1);
  p.rig.SendWelcome(p.leader.MakeWelcome());
  p.rig.SendImage(TransferOf(1, p.leader.log()->Snapshot()));
  p.CheckEqual();
}

// An error must have been reported, a fresh image must be asked for, and heal it.
void CheckHeals(Pair* p, const Status& error) {
  INFO(error.ToString());
  REQUIRE(error.IsCorruption());
  REQUIRE(p->rig.progress()->status().IsCorruption());
  REQUIRE(p->rig.stats().corruptions == 1);
  // What is left of the broken stream is dropped.
  const Position shown = p->rig.progress()->applied();
  p->rig.SendFrames(1, 12345, "nonsense");
  const Hello hello = p->rig.StartStream();
  REQUIRE(hello.held.epoch == 0);
  REQUIRE(hello.files.empty());
  REQUIRE(p->rig.errors() == 0);
  REQUIRE(p->rig.progress()->applied() == shown);
  p->rig.SendWelcome(p->leader.MakeWelcome());
  p->rig.SendImage(TransferOf(1, p->leader.log()->Snapshot()));
  p->CheckEqual();
  p->Put("healed", "yes");
  p->CheckEqual();
  REQUIRE(p->rig.stats().resyncs == 1);
  RequireOk(p->rig.progress()->status());
}

TEST_CASE("applier: frames that are not at its offset are an error", "[unit]") {
  for (const int64_t shift : {-1, 1, 1000}) {
    Pair p;
    p.Put("a", "1");
    p.rig.Connect(p.leader);
    p.CheckEqual();
    p.Put("b", "2");
    std::vector<SharedBytes> memory;
    const LoggedFrame next = FramesOf(*p.leader.log(), p.rig.sent(), &memory).at(0);
    std::string bytes;
    AppendFrame(next.frame, &bytes);
    p.rig.SendFrames(1, p.rig.sent() + static_cast<uint64_t>(shift), bytes);
    CheckHeals(&p, p.rig.WaitForError());
  }
}

TEST_CASE("applier: frames of another epoch are an error", "[unit]") {
  Pair p;
  p.Put("a", "1");
  p.rig.Connect(p.leader);
  p.CheckEqual();
  p.rig.SendFrames(2, p.rig.sent(), "");
  CheckHeals(&p, p.rig.WaitForError());
}

TEST_CASE("applier: a frame that was left out is an error", "[unit]") {
  Pair p;
  p.Put("a", "1");
  p.rig.Connect(p.leader);
  p.CheckEqual();
  for (int i = 0; i < 4; ++i) p.Put("b", std::to_string(i));
  std::vector<SharedBytes> memory;
  const std::vector<LoggedFrame> frames = FramesOf(*p.leader.log(), p.rig.sent(), &memory);
  std::string bytes;
  for (size_t i = 0; i < frames.size(); ++i) {
    if (i != 1) AppendFrame(frames[i].frame, &bytes);
  }
  p.rig.SendFrames(1, p.rig.sent(), bytes);
  CheckHeals(&p, p.rig.WaitForError());
}

TEST_CASE("applier: a damaged frame is an error", "[unit]") {
  for (const size_t position : {0, 5, 8, 12, 20, 30}) {
    Pair p;
    p.Put("a", "1");
    p.rig.Connect(p.leader);
    p.CheckEqual();
    p.Put("b", "2");
    std::vector<SharedBytes> memory;
    std::string bytes;
    AppendFrame(FramesOf(*p.leader.log(), p.rig.sent(), &memory).at(0).frame, &bytes);
    bytes.at(position) ^= 0x10;
    p.rig.SendFrames(1, p.rig.sent(), bytes);
    CheckHeals(&p, p.rig.WaitForError());
  }
}

TEST_CASE("applier: pieces of a stream in the wrong order are errors", "[unit]") {
  const std::vector<std::function<void(ApplierRig*)>> wrong = {
      [](ApplierRig* rig) { rig->SendImageEnd(); },
      [](ApplierRig* rig) { rig->SendImageFrames(1, ""); },
      [](ApplierRig* rig) { rig->SendFrames(1, 0, ""); },
      [](ApplierRig* rig) {
        rig->SendImageBegin({Position{1, 0, 0}, false, 5, {}, 0});
      }};
  for (const auto& send : wrong) {
    ApplierRig rig(std::make_shared<MemoryStorage>());
    rig.StartStream();
    rig.SendWelcome(Welcome());
    send(&rig);
    REQUIRE(rig.WaitForError().IsCorruption());
  }
}

TEST_CASE("applier: a write that went round the WAL is counted and does not stop it", "[unit]") {
  Pair p;
  p.Put("a", "1");
  p.rig.Connect(p.leader);
  p.CheckEqual();
  rocksdb::WriteOptions round;
  round.disableWAL = true;
  RequireOk(p.leader.db()->Put(round, "hidden", "1"));
  p.Put("b", "2");
  p.rig.SendNew(*p.leader.log(), 1);
  p.rig.WaitUntilShown(1);
  REQUIRE(p.rig.stats().sequence_gaps == 1);
  REQUIRE(p.rig.errors() == 0);
  DatabaseState state = p.rig.Show();
  REQUIRE(state.sequence == p.leader.db()->GetLatestSequenceNumber());
  REQUIRE(state.families.at("default").size() == 2);
  // The leader's flush makes it visible, to the next generation.
  RequireOk(p.leader.db()->Flush({}));
  rocksdb::ColumnFamilyHandle* handle = nullptr;
  RequireOk(p.leader.db()->CreateColumnFamily(BusyOptions(), "new", &handle));
  p.leader.handles.push_back(handle);
  p.CheckEqual();
  REQUIRE(p.rig.stats().sequence_gaps == 1);
}

TEST_CASE("applier: what a new epoch took back is reported", "[unit]") {
  ScratchDirectory directory;
  auto storage = std::make_shared<MemoryStorage>();
  ApplierRig rig(storage);
  Position kept, lost;
  std::string wal;
  size_t wal_size = 0;
  {
    TappedLeader leader(directory.path(), storage, 1);
    leader.Open(BusyOptions(), {"a", "b"});
    auto put = [&](const std::string& key) {
      RequireOk(leader.db()->Put({}, key, "1"));
      return Position{1, leader.log()->end(), leader.db()->GetLatestSequenceNumber()};
    };
    kept = put("kept");
    for (const TappedLogFile& file : leader.log()->Snapshot().files) {
      if (file.id.file != FrameFile::kWal) continue;
      wal = directory / WalName(file.id.number);
      wal_size = file.size;
    }
    lost = put("lost");
    rig.Connect(leader);
    RequireOk(rig.progress()->WaitFor(lost, testing::kForeverUs));
    REQUIRE(rig.Show().families.at("default").size() == 2);
  }
  std::filesystem::resize_file(wal, wal_size);
  TappedLeader leader(directory.path(), storage, 2);
  leader.Open(BusyOptions(), {"a", "b"});
  const Hello hello = rig.StartStream();
  REQUIRE(hello.held.epoch == 1);
  Welcome welcome = leader.MakeWelcome();
  welcome.epochs = {{1, 0}, {2, leader.db()->GetLatestSequenceNumber()}};
  rig.SendWelcome(welcome);
  rig.SendImage(TransferOf(2, leader.log()->Snapshot()));
  rig.WaitUntilShown(2);
  rig.StartStream();  // answered when the applier has dealt with all before, its callback too
  const std::vector<HistoryReset> resets = rig.resets();
  REQUIRE(resets.size() == 1);
  REQUIRE(resets[0].shown == lost);
  REQUIRE(resets[0].shown.sequence == lost.sequence);
  REQUIRE(resets[0].resumed.epoch == 2);
  REQUIRE(resets[0].resumed.sequence == kept.sequence);
  REQUIRE(rig.stats().history_resets == 1);
  RequireOk(rig.progress()->WaitFor(kept, 0));
  REQUIRE(rig.progress()->WaitFor(lost, 0).IsAborted());
  REQUIRE(Difference(rig.Show(), ReadState(leader.db(), leader.handles)) == "");
}

TEST_CASE("applier: an image that cannot be opened is an error, and reads go on", "[unit]") {
  Pair p;
  p.Put("a", "1");
  RequireOk(p.leader.db()->Flush({}));
  p.Put("b", "2");
  p.rig.Connect(p.leader);
  p.CheckEqual();
  p.rig.StartStream();
  p.rig.SendWelcome(p.leader.MakeWelcome());
  // Without the objects.
  ImageTransfer transfer = TransferOf(1, p.leader.log()->Snapshot());
  std::erase_if(transfer.frames, [](const std::string& bytes) {
    Slice input(bytes);
    Frame frame;
    RequireOk(DecodeFrame(&input, &frame));
    return frame.type == FrameType::kObjectAdded;
  });
  p.rig.SendImage(transfer);
  const Status error = p.rig.WaitForError();
  INFO(error.ToString());
  REQUIRE_FALSE(error.ok());
  REQUIRE(p.rig.Show().families.at("default").size() == 2);
  p.rig.Connect(p.leader);
  p.CheckEqual();
}

TEST_CASE("applier: stopping does not wait for what is queued", "[unit]") {
  const uint64_t seed = testing::RandomSeed();
  INFO("SLIPSTREAM_SEED=" << seed);
  for (int round = 0; round < 10; ++round) {
    Pair p({1, 1});
    LeaderHistory history(&p.leader, seed + round);
    history.StepPut();
    p.rig.Connect(p.leader);
    for (int i = 0; i < 10; ++i) history.Step();
    p.rig.SendNew(*p.leader.log(), 1);
    // The rig's destructor stops the applier, wherever it is now.
  }
}

}  // namespace
}  // namespace slipstream
