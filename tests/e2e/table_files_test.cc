// What a leader does to its files: styles of compaction, ingestion, deletion, blobs, compression.
#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/compaction_filter.h"
#include "rocksdb/convenience.h"
#include "rocksdb/utilities/checkpoint.h"
#include "tests/e2e/mixed_load.h"
#include "tests/e2e/replicas.h"

namespace slipstream::testing {
namespace {

using rocksdb::ColumnFamilyOptions;
using rocksdb::ReadOptions;
using rocksdb::WriteOptions;

ColumnFamilyOptions SmallOptions() {
  ColumnFamilyOptions options;
  options.write_buffer_size = 64 << 10;
  options.target_file_size_base = 32 << 10;
  options.max_bytes_for_level_base = 128 << 10;
  options.level0_file_num_compaction_trigger = 2;
  options.compression = rocksdb::kNoCompression;
  return options;
}

ReplicasOptions WithOptions(const ColumnFamilyOptions& family) {
  ReplicasOptions options;
  options.families = {{rocksdb::kDefaultColumnFamilyName, family}};
  return options;
}

void Fill(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family, uint64_t from, uint64_t to,
          const std::string& value) {
  for (uint64_t i = from; i < to; ++i) {
    RequireOk(db->Put(WriteOptions(), family, NumberedKey(i), value));
  }
}

// Drops every key that ends with a 7.
class DropSevens : public rocksdb::CompactionFilter {
 public:
  bool Filter(int, const rocksdb::Slice& key, const rocksdb::Slice&, std::string*,
              bool*) const override {
    return !key.empty() && key[key.size() - 1] == '7';
  }
  const char* Name() const override { return "slipstream.testing.DropSevens"; }
};

size_t TablesIn(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family) {
  rocksdb::ColumnFamilyMetaData data;
  db->GetColumnFamilyMetaData(family, &data);
  return data.file_count;
}

}  // namespace

TEST_CASE("files: level and universal compaction under load", "[e2e]") {
  const auto style = GENERATE(rocksdb::kCompactionStyleLevel, rocksdb::kCompactionStyleUniversal);
  ColumnFamilyOptions family = SmallOptions();
  family.compaction_style = style;
  ReplicasOptions options;
  options.families = TestColumnFamilies();
  for (auto& d : options.families) {
    const ColumnFamilyOptions own = d.options;
    d.options = family;
    d.options.comparator = own.comparator;
    d.options.merge_operator = own.merge_operator;
  }
  options.rolling = GENERATE(false, true);
  INFO("style " << style << " rolling " << options.rolling);
  Replicas replicas(options);
  MixedLoad load(replicas.db(), replicas.leader.families, 200, 11);
  for (int round = 0; round < 3; ++round) {
    RequireOk(load.Write(2000));
    CatchUp(replicas.leader, replicas.early);
  }
  replicas.RequireSameThroughout();
}

TEST_CASE("files: FIFO compaction drops the oldest files by size", "[e2e]") {
  ColumnFamilyOptions family = SmallOptions();
  family.compaction_style = rocksdb::kCompactionStyleFIFO;
  family.compaction_options_fifo.max_table_files_size = 200 << 10;
  ReplicasOptions options = WithOptions(family);
  options.rolling = GENERATE(false, true);
  Replicas replicas(options);
  for (uint64_t round = 0; round < 8; ++round) {
    Fill(replicas.db(), replicas.family(0), round * 500, round * 500 + 500, std::string(100, 'f'));
    replicas.leader.Flush();
  }
  std::string value;
  REQUIRE(Eventually(
      [&] { return replicas.db()->Get(ReadOptions(), NumberedKey(0), &value).IsNotFound(); }));
  replicas.RequireSettled();
}

TEST_CASE("files: FIFO compaction drops files that are older than the TTL", "[e2e]") {
  ColumnFamilyOptions family = SmallOptions();
  family.compaction_style = rocksdb::kCompactionStyleFIFO;
  family.ttl = 1;
  ReplicasOptions options = WithOptions(family);
  options.leader_db.max_open_files = -1;
  Replicas replicas(options);
  Fill(replicas.db(), replicas.family(0), 0, 500, std::string(100, 'f'));
  replicas.leader.Flush();
  replicas.RequireSame();
  // RocksDB looks for expired files when there is something to compact.
  uint64_t n = 1000;
  std::string value;
  REQUIRE(Eventually([&] {
    RequireOk(replicas.db()->Put(WriteOptions(), NumberedKey(n++), "v"));
    replicas.leader.Flush();
    return replicas.db()->Get(ReadOptions(), NumberedKey(0), &value).IsNotFound();
  }));
  RequireOk(replicas.db()->SetOptions(replicas.family(0), {{"ttl", "1000000"}}));
  replicas.RequireSettled();
}

TEST_CASE("files: what a compaction filter dropped is gone with the next generation", "[e2e]") {
  DropSevens filter;
  ColumnFamilyOptions family = SmallOptions();
  family.disable_auto_compactions = true;
  family.compaction_filter = &filter;
  ReplicasOptions options = WithOptions(family);
  options.rolling = GENERATE(false, true);
  Replicas replicas(options);
  Fill(replicas.db(), replicas.family(0), 0, 1000, "v");
  replicas.RequireSame();
  replicas.leader.Flush();
  replicas.leader.Compact();
  std::string value;
  REQUIRE(replicas.db()->Get(ReadOptions(), NumberedKey(7), &value).IsNotFound());
  replicas.RequireSettled();
}

TEST_CASE("files: a compaction filter that drops everything leaves nothing", "[e2e]") {
  class DropAll : public DropSevens {
    bool Filter(int, const rocksdb::Slice&, const rocksdb::Slice&, std::string*,
                bool*) const override {
      return true;
    }
  } filter;
  ColumnFamilyOptions family = SmallOptions();
  family.disable_auto_compactions = true;
  family.compaction_filter = &filter;
  Replicas replicas(WithOptions(family));
  Fill(replicas.db(), replicas.family(0), 0, 100, "v");
  replicas.leader.Flush();
  replicas.leader.Compact();
  REQUIRE(TablesIn(replicas.db(), replicas.family(0)) == 0);
  replicas.RequireSettled();
}

TEST_CASE("files: SetOptions on the leader while followers run", "[e2e]") {
  ReplicasOptions options = WithOptions(SmallOptions());
  options.rolling = GENERATE(false, true);
  Replicas replicas(options);
  const std::vector<std::map<std::string, std::string>> changes = {
      {{"write_buffer_size", "131072"}, {"disable_auto_compactions", "true"}},
      {{"compression", "kZlibCompression"}},
      {{"prefix_extractor", "fixed:4"}},
      {{"disable_auto_compactions", "false"}, {"level0_file_num_compaction_trigger", "3"}},
      {{"enable_blob_files", "true"}, {"min_blob_size", "100"}},
      {{"block_based_table_factory", "{block_size=1024;}"}},
  };
  uint64_t n = 0;
  for (const auto& change : changes) {
    RequireOk(replicas.db()->SetOptions(replicas.family(0), {change.begin(), change.end()}));
    RequireOk(replicas.db()->SetDBOptions({{"max_background_jobs", n % 2 == 0 ? "3" : "2"}}));
    Fill(replicas.db(), replicas.family(0), n * 300, n * 300 + 600, std::string(200, 's'));
    ++n;
    replicas.leader.Flush();
    replicas.RequireSame();
  }
  replicas.RequireSameThroughout();
}

TEST_CASE("files: ingested files show with the position that covers them", "[e2e]") {
  ReplicasOptions options;
  options.families = TestColumnFamilies();
  options.rolling = GENERATE(false, true);
  Replicas replicas(options);
  const auto path = [&](const std::string& name) {
    return replicas.cluster.directory().path(name);
  };
  const ColumnFamilyOptions& plain = options.families[0].options;
  Fill(replicas.db(), replicas.family(0), 0, 100, "written");
  replicas.leader.Flush();

  // No overlap with anything, overlap with a file, overlap with the memtable.
  rocksdb::IngestExternalFileOptions ingest;
  ingest.move_files = GENERATE(false, true);
  ingest.snapshot_consistency = GENERATE(false, true);
  WriteTable(path("apart.sst"), plain, {{"apart1", "ingested"}, {"apart2", "ingested"}});
  RequireOk(replicas.db()->IngestExternalFile(replicas.family(0), {path("apart.sst")}, ingest));
  CatchUp(replicas.leader, replicas.early);
  CHECK(replicas.early.Get(0, "apart1") == "ingested");
  replicas.RequireSame();

  WriteTable(path("file.sst"), plain, {{NumberedKey(5), "ingested"}, {NumberedKey(50), "too"}});
  RequireOk(replicas.db()->IngestExternalFile(replicas.family(0), {path("file.sst")}, ingest));
  CatchUp(replicas.leader, replicas.early);
  CHECK(replicas.early.Get(0, NumberedKey(5)) == "ingested");
  replicas.RequireSame();

  RequireOk(replicas.db()->Put(WriteOptions(), NumberedKey(7), "in memory"));
  WriteTable(path("memory.sst"), plain, {{NumberedKey(7), "ingested"}});
  RequireOk(replicas.db()->IngestExternalFile(replicas.family(0), {path("memory.sst")}, ingest));
  CatchUp(replicas.leader, replicas.early);
  CHECK(replicas.early.Get(0, NumberedKey(7)) == "ingested");
  RequireOk(replicas.db()->Put(WriteOptions(), NumberedKey(8), "after"));
  replicas.RequireSameThroughout();
  CHECK(replicas.early.follower->stats().sequence_gaps == 0);
}

TEST_CASE("files: files of several column families are ingested together", "[e2e]") {
  ReplicasOptions options;
  options.families = TestColumnFamilies();
  options.families.resize(2);
  options.rolling = GENERATE(false, true);
  Replicas replicas(options);
  Fill(replicas.db(), replicas.family(0), 0, 10, "written");
  std::vector<rocksdb::IngestExternalFileArg> args(2);
  for (size_t i = 0; i < 2; ++i) {
    const std::string path = replicas.cluster.directory().path("of" + std::to_string(i) + ".sst");
    std::vector<std::pair<std::string, std::string>> entries = {{NumberedKey(3), "ingested"},
                                                                {NumberedKey(4), "ingested"}};
    if (i == 1) std::reverse(entries.begin(), entries.end());
    args[i].column_family = replicas.family(i);
    args[i].external_files = {WriteTable(path, options.families[i].options, entries)};
  }
  RequireOk(replicas.db()->IngestExternalFiles(args));
  CatchUp(replicas.leader, replicas.early);
  for (int i = 0; i < 2; ++i) CHECK(replicas.early.Get(i, NumberedKey(3)) == "ingested");
  replicas.RequireSameThroughout();
}

TEST_CASE("files: a file that is ingested behind shows below what is there", "[e2e]") {
  ReplicasOptions options = WithOptions(SmallOptions());
  options.leader_db.allow_ingest_behind = true;
  options.follower_db.allow_ingest_behind = GENERATE(false, true);
  options.rolling = GENERATE(false, true);
  Replicas replicas(options);
  Fill(replicas.db(), replicas.family(0), 0, 10, "written");
  replicas.leader.Flush();
  rocksdb::IngestExternalFileOptions ingest;
  ingest.ingest_behind = true;
  const std::string path =
      WriteTable(replicas.cluster.directory().path("behind.sst"), options.families[0].options,
                 {{NumberedKey(3), "behind"}, {NumberedKey(30), "behind"}});
  RequireOk(replicas.db()->IngestExternalFile(replicas.family(0), {path}, ingest));
  CatchUp(replicas.leader, replicas.early);
  CHECK(replicas.early.Get(0, NumberedKey(3)) == "written");
  CHECK(replicas.early.Get(0, NumberedKey(30)) == "behind");
  replicas.RequireSameThroughout();
}

TEST_CASE("files: an ingest that may not flush is refused by RocksDB and changes nothing",
          "[e2e]") {
  Replicas replicas(WithOptions(SmallOptions()));
  RequireOk(replicas.db()->Put(WriteOptions(), NumberedKey(7), "in memory"));
  rocksdb::IngestExternalFileOptions ingest;
  ingest.allow_blocking_flush = false;
  const std::string path = WriteTable(replicas.cluster.directory().path("x.sst"), SmallOptions(),
                                      {{NumberedKey(7), "ingested"}});
  CHECK(replicas.db()->IngestExternalFile(replicas.family(0), {path}, ingest).IsInvalidArgument());
  replicas.RequireSameThroughout();
}

TEST_CASE("files: DeleteFilesInRange and DeleteFile, by the handle and round it", "[e2e]") {
  ColumnFamilyOptions family = SmallOptions();
  family.disable_auto_compactions = true;
  ReplicasOptions options = WithOptions(family);
  options.rolling = GENERATE(false, true);
  Replicas replicas(options);
  for (uint64_t i = 0; i < 6; ++i) {
    Fill(replicas.db(), replicas.family(0), i * 1000, i * 1000 + 500, std::string(100, 'd'));
  }
  replicas.leader.Flush();
  rocksdb::CompactRangeOptions to_bottom;
  to_bottom.change_level = true;
  to_bottom.target_level = 2;
  RequireOk(replicas.db()->CompactRange(to_bottom, replicas.family(0), nullptr, nullptr));
  replicas.RequireSettled();
  const uint64_t sequence = replicas.db()->GetLatestSequenceNumber();

  const std::string begin = NumberedKey(500), end = NumberedKey(3600);
  const rocksdb::Slice from(begin), to(end);
  const size_t before = TablesIn(replicas.db(), replicas.family(0));
  RequireOk(rocksdb::DeleteFilesInRange(replicas.db(), replicas.family(0), &from, &to));
  REQUIRE(TablesIn(replicas.db(), replicas.family(0)) < before);
  // It consumed no sequence number, and yet the position covers it.
  REQUIRE(replicas.db()->GetLatestSequenceNumber() == sequence);
  replicas.RequireSame();

  const std::string last = NumberedKey(4000);
  const rocksdb::Slice from_last(last);
  RequireOk(rocksdb::DeleteFilesInRange(replicas.db()->GetRootDB(), replicas.family(0), &from_last,
                                        nullptr));
  replicas.RequireSame();

  std::vector<rocksdb::LiveFileMetaData> files;
  replicas.db()->GetLiveFilesMetaData(&files);
  REQUIRE_FALSE(files.empty());
  RequireOk(replicas.db()->DeleteFile(files[0].name));
  replicas.RequireSame();
  RequireOk(replicas.db()->Put(WriteOptions(), NumberedKey(0), "newest"));
  replicas.RequireSameThroughout();
}

TEST_CASE("files: blob files and their garbage collection", "[e2e]") {
  ColumnFamilyOptions family = SmallOptions();
  family.enable_blob_files = true;
  family.min_blob_size = 100;
  family.blob_file_size = 64 << 10;
  family.blob_compression_type = GENERATE(rocksdb::kNoCompression, rocksdb::kLZ4Compression);
  family.enable_blob_garbage_collection = true;
  family.blob_garbage_collection_age_cutoff = 1.0;
  family.blob_garbage_collection_force_threshold = 0.1;
  family.disable_auto_compactions = true;
  ReplicasOptions options = WithOptions(family);
  options.rolling = GENERATE(false, true);
  Replicas replicas(options);
  for (int round = 0; round < 4; ++round) {
    Fill(replicas.db(), replicas.family(0), 0, 200,
         std::string(1000, static_cast<char>('a' + round)));
    RequireOk(replicas.db()->Put(WriteOptions(), "small", std::to_string(round)));
    replicas.leader.Flush();
    replicas.RequireSame();
    if (round % 2 == 1) {
      replicas.leader.Compact();
      replicas.RequireSettled();
    }
  }
  // A snapshot that is held over the collection still reads the old blobs.
  const rocksdb::Snapshot* snapshot = replicas.early.db()->GetSnapshot();
  const std::string old = replicas.early.Get(0, NumberedKey(1), snapshot);
  Fill(replicas.db(), replicas.family(0), 0, 200, std::string(1000, 'z'));
  replicas.leader.Flush();
  replicas.leader.Compact();
  replicas.RequireSettled();
  CHECK((replicas.early.Get(0, NumberedKey(1), snapshot) == old));
  replicas.early.db()->ReleaseSnapshot(snapshot);
}

TEST_CASE("files: every compression that RocksDB was built with", "[e2e]") {
  ReplicasOptions options;
  options.families.clear();
  for (const rocksdb::CompressionType type : rocksdb::GetSupportedCompressions()) {
    ColumnFamilyOptions family = SmallOptions();
    family.compression = type;
    family.bottommost_compression = type;
    if (type == rocksdb::kZSTD) {
      family.compression_opts.max_dict_bytes = 4096;
      family.compression_opts.zstd_max_train_bytes = 16384;
      family.compression_opts.enabled = true;
    }
    options.families.emplace_back(options.families.empty()
                                      ? rocksdb::kDefaultColumnFamilyName
                                      : "compression" + std::to_string(static_cast<int>(type)),
                                  family);
  }
  REQUIRE(options.families.size() >= 6);
  Replicas replicas(options);
  for (rocksdb::ColumnFamilyHandle* family : replicas.leader.families) {
    Fill(replicas.db(), family, 0, 500, "compressible compressible compressible compressible");
  }
  replicas.RequireSameThroughout();
}

TEST_CASE("files: an SST that was deleted on the leader stays readable where it is held", "[e2e]") {
  ReplicasOptions options = WithOptions(SmallOptions());
  options.rolling = GENERATE(false, true);
  Replicas replicas(options);
  Fill(replicas.db(), replicas.family(0), 0, 500, std::string(100, 'o'));
  replicas.leader.Flush();
  replicas.RequireSettled();
  const std::unique_ptr<rocksdb::Iterator> held(replicas.early.db()->NewIterator(ReadOptions()));
  held->SeekToFirst();
  Fill(replicas.db(), replicas.family(0), 0, 500, std::string(100, 'n'));
  replicas.leader.Flush();
  replicas.leader.Compact();
  replicas.RequireSettled();
  uint64_t n = 0;
  for (; held->Valid(); held->Next()) n += held->value() == std::string(100, 'o') ? 1 : 0;
  RequireOk(held->status());
  CHECK(n == 500);
}

TEST_CASE("files: an imported column family shows with the position that covers it", "[e2e]") {
  ReplicasOptions options = WithOptions(SmallOptions());
  options.rolling = GENERATE(false, true);
  Replicas replicas(options);
  RequireOk(replicas.db()->Put(WriteOptions(), "a", "1"));
  // The other database has gone further in sequence numbers than this one.
  rocksdb::DB* opened = nullptr;
  rocksdb::Options other_options(LocalCluster::db_options(), SmallOptions());
  RequireOk(rocksdb::DB::Open(other_options, replicas.cluster.directory().path("other"), &opened));
  const std::unique_ptr<rocksdb::DB> other(opened);
  Fill(other.get(), other->DefaultColumnFamily(), 0, 1000, "imported");
  rocksdb::Checkpoint* checkpoint = nullptr;
  RequireOk(rocksdb::Checkpoint::Create(other.get(), &checkpoint));
  const std::unique_ptr<rocksdb::Checkpoint> owner(checkpoint);
  rocksdb::ExportImportFilesMetaData* exported = nullptr;
  RequireOk(checkpoint->ExportColumnFamily(other->DefaultColumnFamily(),
                                           replicas.cluster.directory().path("export"), &exported));
  const std::unique_ptr<rocksdb::ExportImportFilesMetaData> metadata(exported);
  rocksdb::ImportColumnFamilyOptions import_options;
  import_options.move_files = GENERATE(false, true);
  rocksdb::ColumnFamilyHandle* imported = nullptr;
  RequireOk(replicas.db()->CreateColumnFamilyWithImport(SmallOptions(), "imported", import_options,
                                                        *metadata, &imported));
  CatchUp(replicas.leader, replicas.early);
  rocksdb::ColumnFamilyHandle* seen = replicas.early.follower->GetColumnFamily("imported");
  REQUIRE(seen != nullptr);
  CHECK(Difference(replicas.db(), {imported}, replicas.early.db(), {seen}) == "");
  {
    LocalFollower late = replicas.StartFollower();
    CatchUp(replicas.leader, late);
    CHECK(Difference(replicas.db(), {imported}, late.db(),
                     {late.follower->GetColumnFamily("imported")}) == "");
  }
  RequireOk(replicas.db()->Put(WriteOptions(), imported, NumberedKey(0), "after"));
  CatchUp(replicas.leader, replicas.early);
  CHECK(Difference(replicas.db(), {imported}, replicas.early.db(), {seen}) == "");
  RequireOk(replicas.db()->DestroyColumnFamilyHandle(imported));
}

}  // namespace slipstream::testing
