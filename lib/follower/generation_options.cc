#include "lib/follower/generation_options.h"

#include <algorithm>
#include <memory>

#include "lib/core/rocksdb_release.h"
#include "rocksdb/env.h"
#include "rocksdb/merge_operator.h"
#include "slipstream/replay_memtable.h"

namespace slipstream {
namespace {

// A generation is opened every few seconds; RocksDB would print all its options each time.
class SilentLogger : public rocksdb::Logger {
 public:
  SilentLogger() : Logger(rocksdb::InfoLogLevel::HEADER_LEVEL) {}
  using Logger::Logv;
  void Logv(const char*, va_list) override {}
};

// In place of an operator that the host did not give. Without one, RocksDB 7.8 asserts that there
// is one when it reads an operand from a file (GetContext::SaveValue); with this one, which never
// succeeds, the reads of such keys fail, and no others.
class NoMergeOperator : public rocksdb::MergeOperator {
 public:
  bool FullMergeV2(const MergeOperationInput&, MergeOperationOutput*) const override {
    return false;
  }
  const char* Name() const override { return kNoMergeOperatorName; }
};

}  // namespace

rocksdb::DBOptions GenerationDBOptions(const rocksdb::DBOptions& host, uint32_t wal_recovery_mode,
                                       rocksdb::Env* env) {
  rocksdb::DBOptions o = host;
  o.env = env;
  o.info_log = std::make_shared<SilentLogger>();
  o.create_if_missing = false;
  o.create_missing_column_families = false;
  o.error_if_exists = false;
  o.wal_recovery_mode = static_cast<rocksdb::WALRecoveryMode>(wal_recovery_mode);

  // Nothing is flushed, compacted or written behind the applier's back.
  o.avoid_flush_during_recovery = true;
  o.avoid_flush_during_shutdown = true;
  o.allow_2pc = false;  // true would flush during recovery
  o.write_buffer_manager = nullptr;
  o.db_write_buffer_size = 0;
  o.max_total_wal_size = UINT64_MAX;
  o.atomic_flush = false;
  o.sst_file_manager = nullptr;
  o.rate_limiter = nullptr;
  o.listeners.clear();
  o.best_efforts_recovery = false;
  o.track_and_verify_wals_in_manifest = false;
  o.stats_dump_period_sec = 0;
  o.stats_persist_period_sec = 0;
  o.persist_stats_to_disk = false;
  // Estimates of numbers of keys are made from a few tables, which are opened anyway.
  o.skip_stats_update_on_db_open = false;
  // The sizes are compared with what the stream said, without touching the storage.
  o.skip_checking_sst_file_sizes_on_db_open = false;
  o.max_file_opening_threads = 1;
  // Bounded, so that opening does not open every file, but never reached in practice: descriptors
  // are shared between generations.
  if (o.max_open_files < 0) o.max_open_files = 1 << 20;

  // One writer, and no WAL of its own.
  o.allow_concurrent_memtable_write = false;
  o.enable_pipelined_write = false;
  o.unordered_write = false;
  o.two_write_queues = false;
  o.manual_wal_flush = false;
  o.recycle_log_file_num = 0;
  o.WAL_ttl_seconds = 0;
  o.WAL_size_limit_MB = 0;
  o.wal_filter = nullptr;
  o.use_direct_io_for_flush_and_compaction = false;
  o.use_direct_reads = false;
  o.allow_mmap_reads = false;
  o.allow_mmap_writes = false;

  // Everything lies in one directory that exists in memory.
  o.wal_dir.clear();
  o.db_log_dir.clear();
  o.db_paths.clear();
  return o;
}

rocksdb::ColumnFamilyOptions GenerationColumnFamilyOptions(
    const rocksdb::ColumnFamilyOptions& host) {
  rocksdb::ColumnFamilyOptions o = host;
  // A memtable that is never full; what RocksDB derives from its size is set apart.
  o.write_buffer_size = 64ull << 30;
  if (o.arena_block_size == 0) o.arena_block_size = 1 << 20;
  o.memtable_prefix_bloom_size_ratio = 0;
  // The applier is the only writer. A memtable that the host chose stays.
  UseReplayMemTable(&o).PermitUncheckedError();
  o.max_write_buffer_number = std::max(o.max_write_buffer_number, 2);
  o.max_write_buffer_number_to_maintain = 0;
  o.max_write_buffer_size_to_maintain = 0;
  o.experimental_mempurge_threshold = 0;
  o.inplace_update_support = false;
  o.max_successive_merges = 0;
  o.disable_auto_compactions = true;
  // Tables lie where the leader's options have put them.
  o.compaction_style = rocksdb::kCompactionStyleLevel;
  o.num_levels = std::max(o.num_levels, rocksdb::ColumnFamilyOptions().num_levels);
  o.ttl = 0;
  o.periodic_compaction_seconds = 0;
  // Nothing is flushed or compacted, so no task has to record when sequence numbers were used.
  o.preserve_internal_time_seconds = 0;
  o.preclude_last_level_data_seconds = 0;
#if SLIPSTREAM_ROCKSDB_9
  o.memtable_max_range_deletions = 0;  // else RocksDB flushes at that number
#endif
  if (o.merge_operator == nullptr) o.merge_operator = std::make_shared<NoMergeOperator>();
  o.compaction_filter = nullptr;
  o.compaction_filter_factory = nullptr;
  o.enable_blob_garbage_collection = false;
  o.cf_paths.clear();
  return o;
}

}  // namespace slipstream
