// Invariant 1: every prefix of the appends to the WALs, the MANIFESTs and CURRENT, with the SSTs,
// is a directory that DB::Open recovers.

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/db.h"
#include "rocksdb/write_batch.h"
#include "tests/assumptions/open_database.h"
#include "tests/assumptions/recorded_options.h"
#include "tests/assumptions/scratch_dir.h"

namespace slipstream {
namespace {

using Kind = FileEvent::Kind;
using Contents = std::map<std::string, std::map<std::string, std::string>>;  // by family

bool IsLogFile(const std::string& name) {
  return name.ends_with(".log") || name.starts_with("MANIFEST-") || name == "CURRENT" ||
         name.ends_with(".dbtmp");
}

// The log files as they are after some prefix of the recorded events.
class LogFiles {
 public:
  void Apply(const FileEvent& event) {
    if (!IsLogFile(event.name)) return;
    if (event.kind == Kind::kCreate) files_[event.name].clear();
    if (event.kind == Kind::kAppend) files_[event.name] += event.bytes;
    if (event.kind == Kind::kDelete) files_.erase(event.name);
    if (event.kind == Kind::kRename && files_.contains(event.name)) {
      files_[event.target] = std::move(files_[event.name]);
      files_.erase(event.name);
    }
  }

  bool HasCurrent() const { return files_.contains("CURRENT"); }

  void WriteTo(const ScratchDir& directory) const {
    for (const auto& [name, bytes] : files_) {
      std::ofstream(directory.file(name), std::ios::binary) << bytes;
    }
  }

 private:
  std::map<std::string, std::string> files_;
};

// A leader that has made some history: for each write, what it left behind, and which events of the
// file system it caused.
class History {
 public:
  History() {
    Reopen();
    committed_.push_back({.begin = 0, .end = 0, .sequence = 0, .contents = {}});
    Put("default", "a", "1");
    other_ = leader_->CreateFamily(options_.Leader(), "other");
    Put("other", "a", "1");
    PutInBoth("b", "2");
    Flush(other_);
    Put("default", "c", "3");
    PutInBoth("a", "4");
    Flush(0);
    Put("other", "d", std::string(40'000, 'd'));  // longer than a block of the log
    Flush(other_);
    PutInBoth("e", "5");
    leader_->Close();
    Reopen();
    PutInBoth("b", "6");
    Flush(0);
    Compact();
    PutInBoth("f", "7");
    Put("other", "a", "8");
    leader_->Close();
    events_ = options_.files()->events();
  }

  const std::vector<FileEvent>& events() const { return events_; }

  // Links every SST that ever was into `directory`. An SST that the leader has deleted is among
  // them: a prefix that ends before the deletion needs it.
  void LinkSsts(const ScratchDir& directory) const {
    for (const std::string& name : kept_ssts_.FilesEndingWith(".sst")) {
      std::filesystem::create_hard_link(kept_ssts_.file(name), directory.file(name));
    }
  }

  // Checks that `contents` at `sequence` is what a leader that stopped after `event_count` events
  // had committed. A write of which some events are missing may be there or not.
  void CheckCommitted(size_t event_count, uint64_t sequence, const Contents& contents) const {
    size_t last = 0;
    while (last + 1 < committed_.size() && committed_[last + 1].end <= event_count) last++;
    const bool may_be_next =
        last + 1 < committed_.size() && committed_[last + 1].begin < event_count;
    if (may_be_next && sequence == committed_[last + 1].sequence) last++;
    CHECK(sequence == committed_[last].sequence);
    CHECK(contents == committed_[last].contents);
  }

 private:
  struct Write {
    size_t begin;  // events before the write
    size_t end;    // events up to its return
    uint64_t sequence;
    Contents contents;
  };

  void Reopen() {
    std::vector<std::string> families = {rocksdb::kDefaultColumnFamilyName};
    if (other_ != 0) families.push_back("other");
    rocksdb::Options options = options_.Leader();
    options.avoid_flush_during_shutdown = true;
    leader_ = std::make_unique<OpenDatabase>(options, directory_.path(), families);
    REQUIRE(leader_->status().ToString() == "OK");
    KeepSsts();
  }

  void Put(const std::string& family, const std::string& key, const std::string& value) {
    rocksdb::WriteBatch batch;
    AddTo(&batch, family, key, value);
    Commit(&batch);
  }

  void PutInBoth(const std::string& key, const std::string& value) {
    rocksdb::WriteBatch batch;
    AddTo(&batch, "default", key, value);
    AddTo(&batch, "other", key, value);
    Commit(&batch);
  }

  void AddTo(rocksdb::WriteBatch* batch, const std::string& family, const std::string& key,
             const std::string& value) {
    const size_t index = family == "default" ? 0 : other_;
    REQUIRE(batch->Put(leader_->family(index), key, value).ToString() == "OK");
    now_[family][key] = value;
  }

  void Commit(rocksdb::WriteBatch* batch) {
    const size_t begin = options_.files()->event_count();
    REQUIRE((*leader_)->Write(rocksdb::WriteOptions(), batch).ToString() == "OK");
    committed_.push_back({.begin = begin,
                          .end = options_.files()->event_count(),
                          .sequence = (*leader_)->GetLatestSequenceNumber(),
                          .contents = now_});
  }

  void Flush(size_t family) {
    REQUIRE((*leader_)->Flush(rocksdb::FlushOptions(), leader_->family(family)).ToString() == "OK");
    KeepSsts();
  }

  void Compact() {
    // RocksDB 9.10 compacts in two steps, and would delete what the first one made.
    REQUIRE((*leader_)->DisableFileDeletions().ToString() == "OK");
    rocksdb::CompactRangeOptions options;
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
    REQUIRE((*leader_)->CompactRange(options, leader_->family(0), nullptr, nullptr).ToString() ==
            "OK");
    KeepSsts();
    REQUIRE((*leader_)->EnableFileDeletions().ToString() == "OK");
  }

  // Shared storage keeps the SSTs that the leader deletes.
  void KeepSsts() {
    for (const std::string& name : directory_.FilesEndingWith(".sst")) {
      if (!std::filesystem::exists(kept_ssts_.file(name))) {
        std::filesystem::create_hard_link(directory_.file(name), kept_ssts_.file(name));
      }
    }
  }

  const RecordedOptions options_;
  const ScratchDir directory_;
  const ScratchDir kept_ssts_;
  std::unique_ptr<OpenDatabase> leader_;
  size_t other_ = 0;  // index of the second family, 0 before it exists
  Contents now_;
  std::vector<Write> committed_;
  std::vector<FileEvent> events_;
};

void CheckRecovery(const History& history, const LogFiles& logs, size_t event_count) {
  const ScratchDir image;
  logs.WriteTo(image);
  history.LinkSsts(image);
  const RecordedOptions recorded;
  std::vector<std::string> families;
  REQUIRE(
      rocksdb::DB::ListColumnFamilies(recorded.Generation(), image.path(), &families).ToString() ==
      "OK");
  const OpenDatabase recovered(recorded.Generation(), image.path(), families);
  REQUIRE(recovered.status().ToString() == "OK");

  Contents contents;
  for (size_t i = 0; i < families.size(); i++) {
    auto family = recovered.Contents(i);
    if (!family.empty()) contents[families[i]] = std::move(family);
  }
  history.CheckCommitted(event_count, recovered->GetLatestSequenceNumber(), contents);
}

TEST_CASE("prefix: every prefix of the log appends recovers what was committed by then",
          "[assumptions]") {
  const History history;
  LogFiles logs;
  size_t prefixes = 0;
  for (size_t i = 0; i < history.events().size(); i++) {
    const FileEvent& event = history.events()[i];
    INFO("event " << i << " of " << history.events().size() << " on " << event.name);
    logs.Apply(event);
    const bool changes_image = event.kind == Kind::kCreate || event.kind == Kind::kAppend ||
                               event.kind == Kind::kRename || event.kind == Kind::kDelete;
    if (!changes_image || !IsLogFile(event.name) || !logs.HasCurrent()) continue;
    CheckRecovery(history, logs, i + 1);
    prefixes++;
  }
  CHECK(prefixes > 50);
}

TEST_CASE("prefix: a cut inside an append recovers what was committed before it", "[assumptions]") {
  const History history;
  LogFiles logs;
  size_t cuts = 0;
  for (size_t i = 0; i < history.events().size(); i++) {
    const FileEvent& event = history.events()[i];
    const bool is_cut = event.kind == Kind::kAppend && logs.HasCurrent() &&
                        (event.name.ends_with(".log") || event.name.starts_with("MANIFEST-"));
    // One byte, half a header, a header alone, half of the append, all but one byte.
    const std::set<size_t> sizes = {1, 4, 7, event.bytes.size() / 2, event.bytes.size() - 1};
    for (const size_t size : is_cut ? sizes : std::set<size_t>()) {
      INFO("event " << i << " on " << event.name << " cut to " << size << " bytes");
      LogFiles cut = logs;
      cut.Apply({.kind = event.kind, .name = event.name, .bytes = event.bytes.substr(0, size)});
      CheckRecovery(history, cut, i);
      cuts++;
    }
    logs.Apply(event);
  }
  CHECK(cuts > 50);
}

}  // namespace
}  // namespace slipstream
