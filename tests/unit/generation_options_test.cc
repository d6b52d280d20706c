#include "lib/follower/generation_options.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "lib/core/rocksdb_release.h"
#include "rocksdb/compaction_filter.h"
#include "rocksdb/env.h"
#include "rocksdb/listener.h"
#include "rocksdb/memtablerep.h"
#include "rocksdb/rate_limiter.h"
#include "rocksdb/sst_file_manager.h"
#include "rocksdb/write_buffer_manager.h"
#include "tests/unit/leader_history.h"
#include "tests/unit/tapped_leader.h"

namespace slipstream {
namespace {

using testing::ClosingGeneration;
using testing::FollowerParts;
using testing::MemoryStorage;
using testing::RequireOk;
using testing::ScratchDirectory;
using testing::ScratchOptions;
using testing::TappedLeader;
using testing::TransferOf;

class Quiet : public rocksdb::EventListener {
 public:
  void OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo&) override { ++flushes; }
  void OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo&) override {
    ++compactions;
  }
  int flushes = 0;
  int compactions = 0;
};

class DropAll : public rocksdb::CompactionFilter {
 public:
  bool Filter(int, const rocksdb::Slice&, const rocksdb::Slice&, std::string*,
              bool*) const override {
    return true;
  }
  const char* Name() const override { return "DropAll"; }
};

TEST_CASE("generation_options: what would make a generation write by itself is off", "[unit]") {
  DropAll filter;
  rocksdb::Options host;
  host.create_if_missing = true;
  host.create_missing_column_families = true;
  host.error_if_exists = true;
  host.write_buffer_manager = std::make_shared<rocksdb::WriteBufferManager>(1 << 20);
  host.db_write_buffer_size = 1 << 20;
  host.max_total_wal_size = 1 << 20;
  host.atomic_flush = true;
  host.rate_limiter.reset(rocksdb::NewGenericRateLimiter(1 << 20));
  host.sst_file_manager.reset(rocksdb::NewSstFileManager(rocksdb::Env::Default()));
  host.listeners.push_back(std::make_shared<Quiet>());
  host.allow_2pc = true;
  host.best_efforts_recovery = true;
  host.track_and_verify_wals_in_manifest = true;
  host.persist_stats_to_disk = true;
  host.recycle_log_file_num = 3;
  host.WAL_ttl_seconds = 5;
  host.WAL_size_limit_MB = 5;
  host.wal_dir = "/somewhere";
  host.db_log_dir = "/somewhere";
  host.db_paths.emplace_back("/somewhere", 1);
  host.use_direct_reads = true;
  host.allow_mmap_reads = true;
  host.unordered_write = true;
  host.enable_pipelined_write = true;
  const rocksdb::DBOptions o = GenerationDBOptions(host, 3, rocksdb::Env::Default());
  CHECK_FALSE(o.create_if_missing);
  CHECK_FALSE(o.create_missing_column_families);
  CHECK_FALSE(o.error_if_exists);
  CHECK(o.avoid_flush_during_recovery);
  CHECK(o.avoid_flush_during_shutdown);
  CHECK_FALSE(o.allow_2pc);
  CHECK(o.write_buffer_manager == nullptr);
  CHECK(o.db_write_buffer_size == 0);
  CHECK(o.max_total_wal_size == UINT64_MAX);
  CHECK_FALSE(o.atomic_flush);
  CHECK(o.sst_file_manager == nullptr);
  CHECK(o.rate_limiter == nullptr);
  CHECK(o.listeners.empty());
  CHECK_FALSE(o.best_efforts_recovery);
  CHECK_FALSE(o.track_and_verify_wals_in_manifest);
  CHECK(o.stats_dump_period_sec == 0);
  CHECK(o.stats_persist_period_sec == 0);
  CHECK_FALSE(o.persist_stats_to_disk);
  CHECK_FALSE(o.skip_stats_update_on_db_open);
  CHECK(o.max_file_opening_threads == 1);
  CHECK(o.max_open_files > 0);
  CHECK_FALSE(o.allow_concurrent_memtable_write);
  CHECK_FALSE(o.enable_pipelined_write);
  CHECK_FALSE(o.unordered_write);
  CHECK(o.recycle_log_file_num == 0);
  CHECK(o.WAL_ttl_seconds == 0);
  CHECK(o.WAL_size_limit_MB == 0);
  CHECK(o.wal_dir.empty());
  CHECK(o.db_log_dir.empty());
  CHECK(o.db_paths.empty());
  CHECK_FALSE(o.use_direct_reads);
  CHECK_FALSE(o.allow_mmap_reads);
  CHECK(o.wal_recovery_mode == rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords);
  CHECK(o.env == rocksdb::Env::Default());

  host.write_buffer_size = 1 << 20;
  host.arena_block_size = 0;
  host.memtable_prefix_bloom_size_ratio = 0.25;
  host.max_write_buffer_number = 1;
  host.max_write_buffer_size_to_maintain = 1 << 30;
  host.experimental_mempurge_threshold = 1.0;
  host.inplace_update_support = true;
  host.max_successive_merges = 5;
  host.ttl = 100;
  host.periodic_compaction_seconds = 100;
  host.preserve_internal_time_seconds = 100;
  host.preclude_last_level_data_seconds = 100;
#if SLIPSTREAM_ROCKSDB_9
  host.memtable_max_range_deletions = 1;
#endif
  host.compaction_filter = &filter;
  host.enable_blob_garbage_collection = true;
  host.cf_paths.emplace_back("/somewhere", 1);
  const rocksdb::ColumnFamilyOptions cf = GenerationColumnFamilyOptions(host);
  CHECK(cf.write_buffer_size >= 1ull << 36);
  CHECK(cf.arena_block_size > 0);
  CHECK(cf.arena_block_size <= 16 << 20);
  CHECK(cf.memtable_prefix_bloom_size_ratio == 0);
  CHECK(cf.max_write_buffer_number >= 2);
  CHECK(cf.max_write_buffer_size_to_maintain == 0);
  CHECK(cf.experimental_mempurge_threshold == 0);
  CHECK_FALSE(cf.inplace_update_support);
  CHECK(cf.max_successive_merges == 0);
  CHECK(cf.disable_auto_compactions);
  CHECK(cf.ttl == 0);
  CHECK(cf.periodic_compaction_seconds == 0);
  CHECK(cf.preserve_internal_time_seconds == 0);
  CHECK(cf.preclude_last_level_data_seconds == 0);
#if SLIPSTREAM_ROCKSDB_9
  CHECK(cf.memtable_max_range_deletions == 0);
#endif
  CHECK(cf.compaction_filter == nullptr);
  CHECK_FALSE(cf.enable_blob_garbage_collection);
  CHECK(cf.cf_paths.empty());
}

TEST_CASE("generation_options: what readers see stays the host's", "[unit]") {
  rocksdb::Options host;
  host.comparator = rocksdb::ReverseBytewiseComparator();
  host.merge_operator = std::make_shared<testing::JoinOperator>();
  host.max_open_files = 77;
  host.num_levels = 5;
  const rocksdb::ColumnFamilyOptions cf = GenerationColumnFamilyOptions(host);
  CHECK(cf.comparator == host.comparator);
  CHECK(cf.merge_operator == host.merge_operator);
  CHECK(cf.table_factory == host.table_factory);
  CHECK(cf.num_levels >= 7);
  CHECK(GenerationDBOptions(host, 2, rocksdb::Env::Default()).max_open_files == 77);
}

TEST_CASE("generation_options: the memtable is ours unless the host chose one", "[unit]") {
  rocksdb::ColumnFamilyOptions host;
  CHECK(GenerationColumnFamilyOptions(host).memtable_factory->GetId() ==
        "ReplayMemTableFactory:bytewise");
  host.comparator = rocksdb::ReverseBytewiseComparator();
  CHECK(GenerationColumnFamilyOptions(host).memtable_factory->GetId() == "ReplayMemTableFactory");
  host.memtable_factory = nullptr;
  CHECK(GenerationColumnFamilyOptions(host).memtable_factory->GetId() == "ReplayMemTableFactory");
  host.memtable_factory = std::make_shared<rocksdb::SkipListFactory>(8);
  CHECK(GenerationColumnFamilyOptions(host).memtable_factory == host.memtable_factory);
  host.memtable_factory = std::make_shared<rocksdb::VectorRepFactory>();
  CHECK(GenerationColumnFamilyOptions(host).memtable_factory == host.memtable_factory);
}

TEST_CASE("generation_options: without a merge operator there is one that fails", "[unit]") {
  const rocksdb::ColumnFamilyOptions cf = GenerationColumnFamilyOptions({});
  REQUIRE(cf.merge_operator != nullptr);
  CHECK(cf.merge_operator->Name() == std::string(kNoMergeOperatorName));
}

// Opens a generation over a leader that has `tables` files in level 0.
void CheckNeverStalls(const rocksdb::Options& host, int tables) {
  ScratchDirectory directory;
  auto storage = std::make_shared<MemoryStorage>();
  TappedLeader leader(directory.path(), storage);
  leader.Open(ScratchOptions());
  for (int i = 0; i < tables; ++i) {
    RequireOk(leader.db()->Put({}, "key" + std::to_string(i), "value"));
    RequireOk(leader.db()->Flush({}));
  }
  const testing::ImageTransfer transfer = TransferOf(1, leader.log()->Snapshot());
  Image image(transfer.begin, leader.MakeWelcome());
  for (const std::string& bytes : transfer.frames) {
    rocksdb::Slice input(bytes);
    Frame frame;
    RequireOk(DecodeFrame(&input, &frame));
    Image::Effect effect;
    RequireOk(image.Apply(
        frame, [](rocksdb::Slice, uint64_t) { return rocksdb::Status::OK(); }, &effect));
  }
  FollowerParts parts(storage, host);
  ClosingGeneration generation;
  RequireOk(OpenGeneration(parts.source, image.Cut(), 1, &generation));
  rocksdb::DB* db = generation.db.get();
  auto property = [&](const std::string& name) {
    uint64_t value = 0;
    REQUIRE(db->GetIntProperty(name, &value));
    return value;
  };
  std::string files;
  REQUIRE(db->GetProperty(rocksdb::DB::Properties::kNumFilesAtLevelPrefix + "0", &files));
  REQUIRE(files == std::to_string(tables));
  rocksdb::WriteOptions write;
  write.disableWAL = true;
  write.no_slowdown = true;  // a write that would wait fails
  for (int i = 0; i < 2000; ++i) {
    RequireOk(db->Put(write, "new" + std::to_string(i), std::string(1000, 'x')));
  }
  REQUIRE(property(rocksdb::DB::Properties::kIsWriteStopped) == 0);
  REQUIRE(property(rocksdb::DB::Properties::kActualDelayedWriteRate) == 0);
  REQUIRE(property(rocksdb::DB::Properties::kNumImmutableMemTable) == 0);
  REQUIRE(property(rocksdb::DB::Properties::kNumRunningFlushes) == 0);
  REQUIRE(property(rocksdb::DB::Properties::kNumRunningCompactions) == 0);
  REQUIRE(db->GetProperty(rocksdb::DB::Properties::kNumFilesAtLevelPrefix + "0", &files));
  REQUIRE(files == std::to_string(tables));
}

TEST_CASE("generation_options: a generation over many tables neither stalls nor compacts",
          "[unit]") {
  rocksdb::Options host = ScratchOptions();
  host.disable_auto_compactions = false;
  host.level0_file_num_compaction_trigger = 1;
  host.level0_slowdown_writes_trigger = 2;
  host.level0_stop_writes_trigger = 3;
  host.soft_pending_compaction_bytes_limit = 1;
  host.hard_pending_compaction_bytes_limit = 2;
  host.write_buffer_size = 64 << 10;
  host.max_write_buffer_number = 1;
  host.write_buffer_manager =
      std::make_shared<rocksdb::WriteBufferManager>(64 << 10, nullptr, true);
  CheckNeverStalls(host, 40);
}

}  // namespace
}  // namespace slipstream
