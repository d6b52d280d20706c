#include "tests/oracle/maintenance.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "lib/core/rocksdb_release.h"
#include "rocksdb/convenience.h"
#include "rocksdb/sst_file_writer.h"
#include "tests/oracle/checks.h"
#include "tests/oracle/families.h"
#include "tests/oracle/merge_operator.h"

namespace slipstream::oracle {

using rocksdb::ColumnFamilyHandle;
using rocksdb::Slice;
using rocksdb::Status;

Maintenance::Maintenance(const RunOptions& run, const SeedOptions& seed, Cluster* cluster,
                         Model* model, Journal* journal, Random* random, Verdict* verdict)
    : run_(run),
      seed_(seed),
      cluster_(cluster),
      model_(model),
      journal_(journal),
      random_(random),
      verdict_(verdict) {}

bool Maintenance::Report(const std::string& what, const Status& s) {
  verdict_->Trace(what + " -> " + s.ToString());
  if (!s.ok()) verdict_->Fail(what + ": " + s.ToString());
  ++verdict_->totals->maintenance;
  return s.ok();
}

std::string Maintenance::AnyFamily() {
  auto it = cluster_->handles().begin();
  std::advance(it, random_->Below(cluster_->handles().size()));
  return it->first;
}

std::string Maintenance::AnyOrdinaryFamily() {
  std::string family = AnyFamily();
  while (IsSpecial(family)) family = AnyFamily();
  return family;
}

void Maintenance::DoOne(const std::vector<std::string>& reserved) {
  // Atomic flush allows no two causes of a flush at once; see SeedOptions.
  const bool atomic = seed_.db.atomic_flush;
  switch (random_->Below(10)) {
    case 0:
    case 1:
    case 2:
      if (!atomic) FlushSome();
      return;
    case 3:
      if (!atomic) CompactSome();
      return;
    case 4:
      ChangeOptions();
      return;
    case 5:
      SyncWal();
      return;
    case 6:
      // Both wait for memtables to be flushed.
      if (!seed_.lost_tails) CreateFamily();
      return;
    case 7:
      if (!atomic && !seed_.lost_tails) DropFamily(reserved);
      return;
    case 8:
      if (!atomic && !seed_.lost_tails) Ingest();
      return;
    default:
      PauseFileDeletions();
  }
}

void Maintenance::DoOneAlone() {
  switch (random_->Below(6)) {
    case 0:
      FlushSome();
      return;
    case 1:
      CompactSome();
      return;
    case 2:
      DropFamily(model_->families());
      return;
    case 3:
      CreateFamily();
      return;
    case 4:
      Ingest();
      return;
    default:
      DeleteFiles();
  }
}

bool Maintenance::FlushSome() {
  if (!run_.Allows("flush")) return true;
  // A flush that is asked for takes the families that it names, also with atomic_flush.
  const bool together = seed_.wal == WalKeeping::kMemory && seed_.db.atomic_flush;
  if (random_->OneIn(3) || together) {
    return Report("flush all", cluster_->FlushAll());
  }
  const std::string family = AnyFamily();
  return Report("flush " + family,
                cluster_->db()->Flush(rocksdb::FlushOptions(), cluster_->handle(family)));
}

bool Maintenance::CompactSome() {
  if (!run_.Allows("compact")) return true;
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = random_->OneIn(2);
  if (random_->OneIn(2)) {
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  }
  const std::string family = AnyFamily();
  options.change_level = seed_.family.compaction_style == rocksdb::kCompactionStyleLevel &&
                         !IsSpecial(family) && random_->OneIn(4);
  const std::string begin = WriterPrefix('k', random_->Below(seed_.writers + 1));
  const Slice begin_key(begin);
  const Slice end_key("l");
  const bool whole = random_->OneIn(2);
  const Status s = cluster_->db()->CompactRange(
      options, cluster_->handle(family), whole ? nullptr : &begin_key, whole ? nullptr : &end_key);
  // Two that change levels may be in each other's way; RocksDB then says so.
  if (s.IsInvalidArgument() || s.IsIncomplete() || s.IsNotSupported()) {
    verdict_->Trace("compact " + family + " -> " + s.ToString());
    return true;
  }
  return Report("compact " + family, s);
}

bool Maintenance::ChangeOptions() {
  if (!run_.Allows("options")) return true;
  const std::string family = AnyFamily();
  std::unordered_map<std::string, std::string> changes;
  switch (random_->Below(4)) {
    case 0:
      changes["disable_auto_compactions"] = random_->OneIn(2) ? "true" : "false";
      break;
    case 1:
      // Memtables as large as those of atomic flush have large blocks, which stay as large when the
      // limit is lowered; RocksDB then fails an assertion in the next memtable's constructor.
      if (seed_.family.write_buffer_size > 1 << 20) return true;
      changes["write_buffer_size"] = std::to_string(random_->Skewed(64 << 10, 1 << 20));
      break;
    case 2:
      changes["level0_file_num_compaction_trigger"] = std::to_string(random_->Between(2, 6));
      break;
    default:
      changes["target_file_size_base"] = std::to_string(random_->Skewed(16 << 10, 1 << 20));
  }
  return Report("set " + changes.begin()->first + " of " + family,
                cluster_->db()->SetOptions(cluster_->handle(family), changes));
}

bool Maintenance::SyncWal() {
  if (random_->OneIn(2)) return Report("FlushWAL", cluster_->db()->FlushWAL(random_->OneIn(2)));
  const Status s = cluster_->db()->SyncWAL();
  return Report("SyncWAL", s);
}

bool Maintenance::PauseFileDeletions() {
  // Files then go all at once.
  rocksdb::DB* db = cluster_->db();
  const rocksdb::Snapshot* snapshot = db->GetSnapshot();
  Status s = db->DisableFileDeletions();
  if (s.ok() && !seed_.db.atomic_flush) FlushSome();
#if SLIPSTREAM_ROCKSDB_9
  if (s.ok()) s = db->EnableFileDeletions();
#else
  if (s.ok()) s = db->EnableFileDeletions(random_->OneIn(2));
#endif
  db->ReleaseSnapshot(snapshot);
  return Report("file deletions paused", s);
}

bool Maintenance::CreateFamily() {
  if (!run_.Allows("column-families")) return true;
  // Few names, so that one is used again.
  const std::string name = "extra" + std::to_string(random_->Below(4));
  if (cluster_->handle(name) != nullptr) return true;
  const Status s = cluster_->CreateFamily(name);
  if (s.ok()) {
    model_->AddFamily(name);
    journal_->FamilyCreated(name);
    ++verdict_->totals->families_created;
  }
  return Report("create " + name, s);
}

bool Maintenance::DropFamily(const std::vector<std::string>& reserved) {
  if (!run_.Allows("column-families")) return true;
  for (const std::string& name : reserved) {
    if (!name.starts_with("extra") || cluster_->handle(name) == nullptr) continue;
    const Status s = cluster_->DropFamily(name);
    if (s.ok()) {
      model_->DropFamily(name);
      journal_->FamilyDropped(name);
      ++verdict_->totals->families_dropped;
    }
    return Report("drop " + name, s);
  }
  return true;
}

Status Maintenance::WriteIngested(const std::string& path, const std::string& family,
                                  std::vector<Change>* changes) {
  rocksdb::Options options(rocksdb::DBOptions(), seed_.family);
  rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), options);
  Status s = writer.Open(path);
  if (s.ok() && random_->OneIn(2)) {
    const std::string key = NumberedKey('c', kWriter, random_->Below(4));
    const std::string count = EncodeCount(random_->Skewed(1, 1000));
    s = writer.Merge(key, count);
    changes->push_back({Change::Kind::kCount, family, key, count});
  }
  const uint64_t first = random_->Below(200);
  const uint64_t n = random_->Skewed(1, 100);
  for (uint64_t i = first; s.ok() && i < first + n; ++i) {
    const std::string key = NumberedKey('i', kWriter, i);
    if (random_->OneIn(6)) {
      s = writer.Delete(key);
      changes->push_back({Change::Kind::kDelete, family, key, ""});
    } else if (!random_->OneIn(4) || i == first) {
      const std::string value = random_->Bytes(random_->Below(300));
      s = writer.Put(key, value);
      changes->push_back({Change::Kind::kPut, family, key, EncodePlain(value)});
    }
  }
  if (s.ok() && seed_.HasRangeDeletes() && random_->OneIn(4)) {
    // Above all keys of the file, where the order of a tombstone and of puts cannot matter.
    const std::string begin = NumberedKey('i', kWriter, first + n);
    const std::string end = NumberedKey('i', kWriter, first + n + random_->Skewed(1, 50));
    s = writer.DeleteRange(begin, end);
    changes->push_back({Change::Kind::kDeleteRange, family, begin, end});
  }
  if (s.ok()) s = writer.Finish();
  return s;
}

bool Maintenance::Ingest() {
  if (!run_.Allows("ingest")) return true;
  // RocksDB 7.8 orders L0 files by sequence number; a file that is ingested while a universal
  // compaction runs ends up between the ones that it merges, which a consistency check then finds.
  if (seed_.family.compaction_style == rocksdb::kCompactionStyleUniversal) return true;
  std::vector<rocksdb::IngestExternalFileArg> args;
  std::vector<Change> changes;
  const size_t n = random_->OneIn(3) ? 2 : 1;
  std::vector<std::string> paths;
  std::string families;
  for (size_t i = 0; i < n; ++i) {
    const std::string family = AnyOrdinaryFamily();
    if (families.find(family + " ") != std::string::npos) continue;
    families += family + " ";
    paths.push_back(cluster_->directory() + "/ingest" + std::to_string(next_file_++) + ".sst");
    const Status s = WriteIngested(paths.back(), family, &changes);
    if (!s.ok()) return Report("writing a file to ingest", s);
    rocksdb::IngestExternalFileArg arg;
    arg.column_family = cluster_->handle(family);
    arg.external_files = {paths.back()};
    arg.options.move_files = random_->OneIn(3);
    arg.options.snapshot_consistency = random_->OneIn(2);
    // The handle of Leader::Open sees to it by itself.
    if (seed_.transactions) arg.options.write_global_seqno = false;
    // All of one call must agree.
    if (!args.empty()) {
      arg.options = args.front().options;
    }
    args.push_back(std::move(arg));
  }
  const Status s = cluster_->db()->IngestExternalFiles(args);
  if (s.ok()) {
    model_->Apply(changes);
    journal_->Safe(changes);
    ++verdict_->totals->ingests;
  }
  std::error_code ignored;
  for (const std::string& path : paths) std::filesystem::remove(path, ignored);
  return Report("ingest into " + families, s);
}

bool Maintenance::DeleteFiles() {
  if (!run_.Allows("delete-files")) return true;
  const std::string family = AnyOrdinaryFamily();
  ColumnFamilyHandle* handle = cluster_->handle(family);
  const std::string begin = "k";
  const std::string end = "l";
  const Slice begin_key(begin);
  const Slice end_key(end);
  // Which of the writes in question would be lost by a crash could not be told afterwards.
  Status s;
  if (seed_.wal == WalKeeping::kMemory) s = cluster_->FlushAll();
  if (s.ok()) s = cluster_->PublishWrites();
  if (!s.ok()) return Report("making all safe before a deletion of files", s);
  s = rocksdb::DeleteFilesInRange(cluster_->db(), handle, &begin_key, &end_key, false);
  // What is gone depends on which files there were.
  Model::Family content;
  if (s.ok()) s = ReadRange(cluster_->db(), handle, begin, end, &content);
  if (s.ok()) {
    model_->Replace(family, begin, end, std::move(content));
    if (journal_->running()) journal_->Start(model_->Copy());
    ++verdict_->totals->range_file_deletions;
  }
  return Report("delete files of " + family, s);
}

}  // namespace slipstream::oracle
