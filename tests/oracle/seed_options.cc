#include "tests/oracle/seed_options.h"

#include <algorithm>

#include "rocksdb/convenience.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/table.h"
#include "tests/oracle/merge_operator.h"
#include "tests/oracle/workload.h"

namespace slipstream::oracle {
namespace {

std::vector<rocksdb::CompressionType> Compressions() {
  std::vector<rocksdb::CompressionType> usable = {rocksdb::kNoCompression};
  for (rocksdb::CompressionType type : rocksdb::GetSupportedCompressions()) {
    if (type == rocksdb::kLZ4Compression || type == rocksdb::kZSTD) usable.push_back(type);
  }
  return usable;
}

rocksdb::ColumnFamilyOptions ChooseFamilyOptions(Random* random, bool atomic_flush) {
  rocksdb::ColumnFamilyOptions o;
  o.merge_operator = NewOracleMergeOperator();
  // With atomic flush, one that happens by itself beside one that is asked for aborts a RocksDB
  // that is built with assertions: there, memtables never fill up.
  o.write_buffer_size = atomic_flush ? 256 << 20 : random->Skewed(32 << 10, 1 << 20);
  o.max_write_buffer_number = static_cast<int>(random->Between(2, 6));
  // With 2, a Flush that finds another one queued waits for ever in RocksDB 7.8.
  o.min_write_buffer_number_to_merge = 1;
  o.compaction_style =
      random->OneIn(3) ? rocksdb::kCompactionStyleUniversal : rocksdb::kCompactionStyleLevel;
  o.num_levels = static_cast<int>(random->Between(3, 7));
  o.level0_file_num_compaction_trigger = static_cast<int>(random->Between(2, 6));
  o.level0_slowdown_writes_trigger = 30;
  o.level0_stop_writes_trigger = 50;
  o.target_file_size_base = random->Skewed(16 << 10, 1 << 20);
  o.max_bytes_for_level_base = random->Skewed(64 << 10, 2 << 20);
  o.disable_auto_compactions = random->OneIn(8);
  o.compression = random->OneOf(Compressions());
  o.paranoid_file_checks = random->OneIn(8);
  if (random->OneIn(4)) {
    o.enable_blob_files = true;
    o.min_blob_size = random->Below(500);
    o.blob_file_size = random->Skewed(64 << 10, 4 << 20);
    o.enable_blob_garbage_collection = random->OneIn(2);
    o.blob_garbage_collection_age_cutoff = 0.5;
    o.blob_garbage_collection_force_threshold = 0.5;
  }
  rocksdb::BlockBasedTableOptions table;
  table.block_size = random->Skewed(256, 32 << 10);
  table.block_cache = rocksdb::NewLRUCache(random->Skewed(64 << 10, 8 << 20));
  table.cache_index_and_filter_blocks = random->OneIn(2);
  table.format_version = random->OneIn(4) ? 4 : 5;
  if (random->OneIn(2)) table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  if (random->OneIn(4)) table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return o;
}

rocksdb::DBOptions ChooseDBOptions(Random* random) {
  rocksdb::DBOptions o;
  o.create_if_missing = true;
  o.create_missing_column_families = true;
  o.max_background_jobs = static_cast<int>(random->Between(2, 4));
  o.atomic_flush = random->OneIn(6);
  if (random->OneIn(3)) {
    o.unordered_write = true;
  } else if (!o.atomic_flush && random->OneIn(2)) {
    o.enable_pipelined_write = true;
  } else if (random->OneIn(4)) {
    o.allow_concurrent_memtable_write = false;
  }
  if (random->OneIn(2)) o.max_manifest_file_size = random->Skewed(1 << 10, 64 << 10);
  if (!o.atomic_flush && random->OneIn(3)) o.max_total_wal_size = random->Skewed(64 << 10, 4 << 20);
  if (random->OneIn(8)) o.WAL_ttl_seconds = 3600;
  if (random->OneIn(8)) o.max_open_files = 20;
  if (random->OneIn(8)) o.wal_bytes_per_sync = 4096;
  o.wal_recovery_mode = random->OneOf<rocksdb::WALRecoveryMode>(
      {rocksdb::WALRecoveryMode::kPointInTimeRecovery,
       rocksdb::WALRecoveryMode::kPointInTimeRecovery,
       rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords,
       rocksdb::WALRecoveryMode::kAbsoluteConsistency});
  o.stats_dump_period_sec = 0;
  o.stats_persist_period_sec = 0;
  return o;
}

// What came later is chosen by numbers of its own, so that the seeds go on choosing the rest as
// they did.
void ChooseWalKeeping(Random* random, const RunOptions& run, SeedOptions* o) {
  o->kills = random->OneIn(2) && run.Allows("kills");
  o->flush_wal_percent = random->Skewed(1, 64);
  const uint64_t way = random->Below(3);
  const bool rather = random->OneIn(2);
  if (o->transactions && !rather) return;
  if (way == 0 && run.Allows("memory-wal")) {
    o->wal = WalKeeping::kMemory;
    o->db.WAL_ttl_seconds = 0;
    o->db.avoid_flush_during_recovery = false;
  } else if (way == 1 && run.Allows("manual-wal")) {
    o->wal = WalKeeping::kManual;
    o->db.manual_wal_flush = true;
    o->db.unordered_write = false;   // a leader refuses both together
    o->kills = run.Allows("kills");  // nothing else loses what is in the buffer
  } else {
    return;
  }
  // What is held as prepared is in no journal from which it could be restored.
  o->transactions = false;
  o->lost_tails = false;
  // They tell what a crash has left.
  o->markers = true;
  if (!o->TornByCrash()) return;
  o->weights[static_cast<size_t>(OperationKind::kPair)] = 0;
  o->weights[static_cast<size_t>(OperationKind::kTransfer)] = 0;
}

void ChooseSpecialFamilies(Random* random, const RunOptions& run, SeedOptions* o) {
  o->timed = random->OneIn(3) && run.Allows("timed");
  o->fifo = random->OneIn(3) && run.Allows("fifo");
  o->filtered = random->OneIn(3) && run.Allows("filtered");
  auto weigh = [&](OperationKind kind, bool has) {
    const uint64_t weight = random->Skewed(8, 64);
    o->weights[static_cast<size_t>(kind)] = has ? weight : 0;
  };
  weigh(OperationKind::kTimed, o->timed);
  weigh(OperationKind::kFifo, o->fifo);
  weigh(OperationKind::kFiltered, o->filtered);
  // RocksDB wants it for FIFO with a time to live.
  if (o->fifo) o->db.max_open_files = -1;
}

// A database that is closed while RocksDB 7.8 recovers from a retryable error by itself waits for
// ever: ErrorHandler::RecoverFromRetryableBGIOError returns at its end with recovery_in_prog_ set,
// which CloseHelper waits for. What fails while a leader is killed is such an error.
void AvoidWaitAtKill(SeedOptions* o) {
  if (o->kills) o->db.max_bgerror_resume_count = 0;
}

void ChooseFollowers(Random* random, const RunOptions& run, SeedOptions* o) {
  const size_t chosen = random->OneIn(3) ? 3 : 2;
  o->followers = run.followers != 0 ? run.followers : chosen;
  o->variants.resize(o->followers);
  const bool skip_list = random->OneIn(2) && run.Allows("skip-list");
  const bool small = random->OneIn(2) && run.Allows("small-limits");
  if (skip_list) o->variants.front().skip_list = true;
  if (small) o->variants.back().small_limits = true;
}

}  // namespace

const std::vector<std::string>& KindsThatCanBeLeftOut() {
  static const std::vector<std::string> kinds = {"flush",
                                                 "compact",
                                                 "column-families",
                                                 "ingest",
                                                 "delete-files",
                                                 "leader-restart",
                                                 "follower-restart",
                                                 "lost-tail",
                                                 "options",
                                                 "range-deletes",
                                                 "empty-ranges",
                                                 "big-values",
                                                 "blobs",
                                                 "atomic-flush",
                                                 "readers",
                                                 "network",
                                                 "transactions",
                                                 "memory-wal",
                                                 "manual-wal",
                                                 "kills",
                                                 "skip-list",
                                                 "timed",
                                                 "fifo",
                                                 "filtered",
                                                 "small-limits"};
  return kinds;
}

const std::vector<std::string>& KindsThatAreOff() {
  static const std::vector<std::string> kinds = {};
  return kinds;
}

std::string BaseFamily(size_t i) { return i == 0 ? "default" : "cf" + std::to_string(i); }

SeedOptions ChooseOptions(uint64_t seed, const RunOptions& run) {
  Random random(seed);
  SeedOptions o;
  o.seed = seed;
  o.families = random.Between(1, 5);
  o.writers = random.Between(1, 3);
  o.readers_per_follower = random.Between(1, 2);
  o.keys = random.Skewed(8, 2000);
  o.weights.resize(static_cast<size_t>(OperationKind::kCount_));
  for (size_t i = 0; i < static_cast<size_t>(OperationKind::kTimed); ++i) {
    o.weights[i] = random.OneIn(4) ? 0 : random.Skewed(1, 64);
  }
  o.weights[static_cast<size_t>(OperationKind::kPut)] += 8;
  o.lost_tails = random.OneIn(3) && run.Allows("lost-tail");
  o.markers = o.lost_tails || random.OneIn(2);
  o.big_value_percent = random.OneIn(2) ? random.Below(3) : 0;
  if (!run.Allows("big-values")) o.big_value_percent = 0;
  auto without = [&](OperationKind kind) { o.weights[static_cast<size_t>(kind)] = 0; };
  if (!run.Allows("range-deletes")) without(OperationKind::kDeleteRange);
  o.exact_sequences = !random.OneIn(3) || !run.Allows("empty-ranges");
  if (o.exact_sequences) without(OperationKind::kEmptyRange);

  o.db = ChooseDBOptions(&random);
  if (!run.Allows("atomic-flush")) o.db.atomic_flush = false;
  o.family = ChooseFamilyOptions(&random, o.db.atomic_flush);
  if (!run.Allows("blobs")) o.family.enable_blob_files = false;
  o.separate_wal_directory = random.OneIn(4);
  o.follower_max_open_files = random.OneOf<int>({-1, -1, 20, 100});

  o.shared_server = random.OneIn(2);
  o.replication_log_bytes = random.OneIn(2) ? 4 << 20 : 64 << 20;
  o.max_batch_delay_us = random.OneIn(3) ? 0 : random.Skewed(50, 20000);
  o.heartbeat_ms = random.Skewed(10, 500);
  o.follower_lease_ms = random.Skewed(100, 2000);
  o.rebuild_flushed_bytes = random.Skewed(64 << 10, 2 << 20);
  o.rebuild_interval_ms = random.Skewed(1, 500);
  o.ack_interval_us = random.OneIn(3) ? 0 : random.Skewed(100, 50000);
  o.receive_queue_bytes = random.OneIn(2) ? 1 << 20 : 64 << 20;
  o.faulty_network = random.OneIn(3) && run.Allows("network");
  // Several heartbeats have to be late before a follower gives its stream up.
  o.stream_timeout_ms = 4 * o.heartbeat_ms + random.Skewed(200, 4000);
  o.transactions = random.OneIn(4) && run.Allows("transactions");
  if (o.transactions) {
    o.db.unordered_write = false;  // which TransactionDB refuses
    // Where a prepare is written to the WAL by another writer's thread, RocksDB 7.8 does not note
    // in which WAL it is, and fails an assertion at the transaction's end.
    o.db.enable_pipelined_write = false;
    // With atomic flush RocksDB 7.8 can lose what was committed after a recovery in the next one.
    o.db.atomic_flush = false;
    // The switch of the WAL that it asks for takes a section in a WAL that was recovered for a
    // broken invariant, and aborts.
    o.db.max_total_wal_size = uint64_t{1} << 40;
    // What is held as prepared is in no journal from which it could be restored.
    o.lost_tails = false;
  }
  o.replay_memtable = random.OneIn(2) && !o.db.unordered_write;
  Random later(seed ^ 0x1a7e4);
  ChooseWalKeeping(&later, run, &o);
  AvoidWaitAtKill(&o);
  ChooseFollowers(&later, run, &o);
  ChooseSpecialFamilies(&later, run, &o);
  return o;
}

bool SeedOptions::HasRangeDeletes() const {
  return weights[static_cast<size_t>(OperationKind::kDeleteRange)] > 0;
}

std::string SeedOptions::Describe() const {
  std::string text;
  auto add = [&](const char* name, uint64_t value) {
    text += (text.empty() ? "" : " ") + std::string(name) + "=" + std::to_string(value);
  };
  add("families", families);
  add("writers", writers);
  add("followers", followers);
  add("wal", static_cast<uint64_t>(wal));
  add("flush_wal_percent", flush_wal_percent);
  add("kills", kills);
  add("timed", timed);
  add("fifo", fifo);
  add("filtered", filtered);
  add("readers_per_follower", readers_per_follower);
  add("keys", keys);
  add("markers", markers);
  add("exact_sequences", exact_sequences);
  add("lost_tails", lost_tails);
  add("big_value_percent", big_value_percent);
  add("transactions", transactions);
  add("atomic_flush", db.atomic_flush);
  add("unordered_write", db.unordered_write);
  add("enable_pipelined_write", db.enable_pipelined_write);
  add("allow_concurrent_memtable_write", db.allow_concurrent_memtable_write);
  add("max_manifest_file_size", db.max_manifest_file_size);
  add("max_total_wal_size", db.max_total_wal_size);
  add("WAL_ttl_seconds", db.WAL_ttl_seconds);
  add("wal_recovery_mode", static_cast<uint64_t>(db.wal_recovery_mode));
  add("separate_wal_directory", separate_wal_directory);
  add("write_buffer_size", family.write_buffer_size);
  add("compaction_style", family.compaction_style);
  add("num_levels", family.num_levels);
  add("disable_auto_compactions", family.disable_auto_compactions);
  add("compression", family.compression);
  add("enable_blob_files", family.enable_blob_files);
  add("shared_server", shared_server);
  add("replay_memtable", replay_memtable);
  add("replication_log_bytes", replication_log_bytes);
  add("max_batch_delay_us", max_batch_delay_us);
  add("heartbeat_ms", heartbeat_ms);
  add("follower_lease_ms", follower_lease_ms);
  add("faulty_network", faulty_network);
  add("stream_timeout_ms", stream_timeout_ms);
  add("rebuild_flushed_bytes", rebuild_flushed_bytes);
  add("rebuild_interval_ms", rebuild_interval_ms);
  add("ack_interval_us", ack_interval_us);
  add("receive_queue_bytes", receive_queue_bytes);
  text += " weights=";
  for (size_t i = 0; i < weights.size(); ++i) {
    text += (i == 0 ? "" : ",") + std::to_string(weights[i]);
  }
  return text;
}

}  // namespace slipstream::oracle
