// A leader that is kept busy with everything that a database can be asked to do, and what it showed
// after each operation. A follower has to show one of these states, whatever part of the
// replication log it has.
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "lib/follower/column_family_slots.h"
#include "lib/follower/generation_builder.h"
#include "rocksdb/convenience.h"
#include "rocksdb/merge_operator.h"
#include "rocksdb/sst_file_writer.h"
#include "tests/unit/tapped_leader.h"

namespace slipstream::testing {

class JoinOperator final : public rocksdb::AssociativeMergeOperator {
 public:
  bool Merge(const rocksdb::Slice&, const rocksdb::Slice* before, const rocksdb::Slice& operand,
             std::string* result, rocksdb::Logger*) const override {
    *result = (before != nullptr ? before->ToString() + "," : "") + operand.ToString();
    return true;
  }
  const char* Name() const override { return "Join"; }
};

// Options under which a few hundred writes cause flushes, compactions, blob files and new
// manifests.
inline rocksdb::Options BusyOptions() {
  rocksdb::Options options = ScratchOptions();
  options.create_missing_column_families = true;
  options.disable_auto_compactions = false;
  options.level0_file_num_compaction_trigger = 3;
  options.write_buffer_size = 64 << 10;
  options.max_manifest_file_size = 3000;
  options.merge_operator = std::make_shared<JoinOperator>();
  options.enable_blob_files = true;
  options.min_blob_size = 150;
  return options;
}

// Key -> all columns.
using Contents = std::map<std::string, std::string>;

inline Contents ReadContents(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family) {
  Contents contents;
  std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(rocksdb::ReadOptions(), family));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    std::string& columns = contents[it->key().ToString()];
    for (const rocksdb::WideColumn& column : it->columns()) {
      columns += column.name().ToString() + "=" + column.value().ToString() + ";";
    }
  }
  RequireOk(it->status());
  return contents;
}

struct DatabaseState {
  uint64_t offset = 0;    // of the replication log, when the operation had returned
  uint64_t sequence = 0;  // of the database, then
  std::map<std::string, Contents> families;
};

inline DatabaseState ReadState(rocksdb::DB* db,
                               const std::vector<rocksdb::ColumnFamilyHandle*>& handles) {
  DatabaseState state;
  state.sequence = db->GetLatestSequenceNumber();
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    state.families[handle->GetName()] = ReadContents(db, handle);
  }
  return state;
}

// Closed also by a test that fails.
struct ClosingGeneration : GenerationContents {
  ~ClosingGeneration() { Close(); }
};

inline DatabaseState ReadState(const GenerationContents& generation, ColumnFamilySlots* slots) {
  DatabaseState state;
  state.sequence = generation.db->GetLatestSequenceNumber();
  for (const auto& [name, id] : generation.column_families) {
    state.families[name] = ReadContents(generation.db.get(), generation.handles[slots->SlotOf(id)]);
  }
  return state;
}

// Empty if `found` shows what `expected` does; else the first difference.
inline std::string Difference(const DatabaseState& found, const DatabaseState& expected) {
  if (found.sequence != expected.sequence) {
    return "sequence " + std::to_string(found.sequence) + ", expected " +
           std::to_string(expected.sequence);
  }
  for (const auto& [name, contents] : expected.families) {
    auto it = found.families.find(name);
    if (it == found.families.end()) return "no column family " + name;
    for (const auto& [key, value] : contents) {
      auto other = it->second.find(key);
      if (other == it->second.end()) return name + ": no " + key + ", expected " + value;
      if (other->second != value) {
        return name + ": " + key + " is " + other->second + ", expected " + value;
      }
    }
    for (const auto& [key, value] : it->second) {
      if (contents.count(key) == 0) return name + ": " + key + " is there";
    }
  }
  for (const auto& [name, contents] : found.families) {
    if (expected.families.count(name) == 0) return "column family " + name + " is there";
  }
  return "";
}

class LeaderHistory {
 public:
  LeaderHistory(TappedLeader* leader, uint64_t seed) : leader_(leader), random_(seed) { Capture(); }

  // One random operation, after which states() has one more.
  void Step() {
    const uint64_t dice = Below(100);
    if (dice < 66) {
      Write();
    } else if (dice < 68) {
      RequireOk(db()->Put({}, AnyFamily(), Key(), std::string(300 << 10, 'L')));
    } else if (dice < 77) {
      Flush();
    } else if (dice < 83) {
      RequireOk(db()->CompactRange(rocksdb::CompactRangeOptions(), AnyFamily(), nullptr, nullptr));
    } else if (dice < 87) {
      CreateFamily();
    } else if (dice < 90) {
      DropFamily();
    } else if (dice < 96) {
      Ingest();
    } else {
      DeleteFiles();
    }
    Capture();
  }

  // A batch of writes alone.
  void StepWrite() {
    Write();
    Capture();
  }

  // A write of one key. The sequence numbers of empty range deletes are forgotten by the files
  // once they are flushed, if nothing was written after them; this key keeps them known.
  void StepPut() {
    RequireOk(db()->Put({}, AnyFamily(), Key(), Value()));
    Capture();
  }

  const std::vector<DatabaseState>& states() const { return states_; }

 private:
  rocksdb::DB* db() const { return leader_->db(); }
  uint64_t Below(uint64_t n) { return random_() % n; }
  std::string Key() { return "key" + std::to_string(100 + Below(60)); }
  std::string Value() { return std::string(1 + Below(300), static_cast<char>('a' + Below(26))); }
  rocksdb::ColumnFamilyHandle* AnyFamily() {
    return leader_->handles[Below(leader_->handles.size())];
  }

  void Write() {
    rocksdb::WriteBatch batch;
    for (uint64_t n = 1 + Below(8); n > 0; --n) {
      rocksdb::ColumnFamilyHandle* family = AnyFamily();
      const std::string key = Key();
      switch (Below(8)) {
        case 0:
          RequireOk(batch.Delete(family, key));
          break;
        case 1:
          RequireOk(batch.DeleteRange(family, key, key + "~"));
          break;
        case 2:
          // Consumes a sequence number that a recovery does not see.
          RequireOk(batch.DeleteRange(family, key, key));
          break;
        case 3:
          RequireOk(batch.Merge(family, key, Value()));
          break;
        case 4:
          // Merges of wide columns are refused by RocksDB: these have keys of their own.
          RequireOk(batch.PutEntity(family, "wide" + key, {{"", Value()}, {"column", Value()}}));
          break;
        case 5:
          RequireOk(batch.PutLogData("not data"));
          [[fallthrough]];
        default:
          RequireOk(batch.Put(family, key, Value()));
      }
    }
    RequireOk(db()->Write({}, &batch));
  }

  void Flush() {
    if (Below(2) == 0) {
      RequireOk(db()->Flush(rocksdb::FlushOptions(), leader_->handles));
    } else {
      RequireOk(db()->Flush(rocksdb::FlushOptions(), AnyFamily()));
    }
  }

  void CreateFamily() {
    if (leader_->handles.size() > 4) return Write();
    rocksdb::ColumnFamilyHandle* handle = nullptr;
    RequireOk(
        db()->CreateColumnFamily(BusyOptions(), "family" + std::to_string(++created_), &handle));
    leader_->handles.push_back(handle);
  }

  void DropFamily() {
    if (leader_->handles.size() < 3) return Write();
    auto it = leader_->handles.begin() + 1 + Below(leader_->handles.size() - 1);
    RequireOk(db()->DropColumnFamily(*it));
    RequireOk(db()->DestroyColumnFamilyHandle(*it));
    leader_->handles.erase(it);
  }

  std::string NewTable(const std::string& path) {
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), BusyOptions());
    RequireOk(writer.Open(path));
    const uint64_t first = 100 + Below(60);
    for (uint64_t n = 0; n < 5; ++n) {
      RequireOk(writer.Put("key" + std::to_string(first + n), "ingested " + Value()));
    }
    RequireOk(writer.Finish());
    return path;
  }

  // Into one column family, or into all in one step.
  void Ingest() {
    ScratchDirectory outside;
    std::vector<rocksdb::ColumnFamilyHandle*> into = leader_->handles;
    if (Below(2) == 0) into = {AnyFamily()};
    std::vector<rocksdb::IngestExternalFileArg> args(into.size());
    for (size_t i = 0; i < into.size(); ++i) {
      args[i].column_family = into[i];
      args[i].external_files = {NewTable(outside / std::to_string(i))};
      args[i].options.write_global_seqno = false;
    }
    RequireOk(db()->IngestExternalFiles(args));
  }

  void DeleteFiles() {
    const std::string begin = Key();
    const std::string end = begin + "5";
    const rocksdb::Slice from(begin), to(end);
    RequireOk(rocksdb::DeleteFilesInRange(db(), AnyFamily(), &from, Below(2) == 0 ? &to : nullptr));
  }

  void Capture() {
    states_.push_back(ReadState(db(), leader_->handles));
    states_.back().offset = leader_->log()->end();
  }

  TappedLeader* const leader_;
  std::mt19937_64 random_;
  std::vector<DatabaseState> states_;
  int created_ = 0;
};

// What a generation needs beside a cut.
struct FollowerParts {
  explicit FollowerParts(std::shared_ptr<SharedStorage> storage,
                         const rocksdb::Options& options = BusyOptions()) {
    source.database = kTestDatabase;
    source.db_options = options;
    source.column_families = {{{rocksdb::kDefaultColumnFamilyName, options}}, options};
    source.pool = std::make_shared<ObjectPool>(std::move(storage), kTestDatabase);
    source.slots = &slots;
  }
  FollowerParts(const FollowerParts&) = delete;

  ColumnFamilySlots slots;
  GenerationSource source;
};

}  // namespace slipstream::testing
