// The options of RocksDB with which a leader replicates, and those that are refused by name. The
// table in README.md says the same.
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/cache.h"
#include "rocksdb/convenience.h"
#include "rocksdb/env_encryption.h"
#include "rocksdb/file_checksum.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/memtablerep.h"
#include "rocksdb/rate_limiter.h"
#include "rocksdb/slice_transform.h"
#include "rocksdb/sst_file_manager.h"
#include "rocksdb/sst_partitioner.h"
#include "rocksdb/statistics.h"
#include "rocksdb/table.h"
#include "rocksdb/wal_filter.h"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"

namespace slipstream::testing {
namespace {

using rocksdb::ColumnFamilyDescriptor;
using rocksdb::ColumnFamilyOptions;
using rocksdb::DBOptions;
using rocksdb::Status;

struct Variant {
  std::string name;
  std::function<void(DBOptions*)> set = [](DBOptions*) {};
  std::function<void(ColumnFamilyOptions*)> set_family = [](ColumnFamilyOptions*) {};
};

using DB = DBOptions;
using CF = ColumnFamilyOptions;

Variant OfDB(std::string name, std::function<void(DB*)> set) {
  Variant v;
  v.name = std::move(name);
  v.set = std::move(set);
  return v;
}

Variant OfCF(std::string name, std::function<void(CF*)> set) {
  Variant v;
  v.name = std::move(name);
  v.set_family = std::move(set);
  return v;
}

std::vector<ColumnFamilyDescriptor> FamiliesOf(const Variant& v) {
  std::vector<ColumnFamilyDescriptor> families = TestColumnFamilies();
  for (ColumnFamilyDescriptor& family : families) v.set_family(&family.options);
  return families;
}

void RequireSame(const LocalLeader& leader, const LocalFollower& follower) {
  // What RocksDB keeps in a buffer of its own is nobody's to see.
  RequireOk(leader.db()->FlushWAL(false));
  RequireEqual(leader, follower);
}

// Writes, flushes, compacts and reopens with the options, and compares at each step a follower that
// is there all the time, and one that comes late.
void RequireReplicates(const Variant& v) {
  INFO("option: " << v.name);
  LocalCluster cluster;
  LeaderOptions options = cluster.leader_options();
  // It outlives the leader, so that the follower finds the next one.
  RequireOk(ReplicationServer::Start(ReplicationServerOptions(), &options.server));
  DBOptions db_options = LocalCluster::db_options();
  v.set(&db_options);
  std::unique_ptr<LocalFollower> follower;
  ContentDigest last;
  for (int opening = 0; opening < 2; ++opening) {
    LocalLeader leader;
    RequireOk(Leader::Open(options, db_options, cluster.leader_path(), FamiliesOf(v),
                           &leader.families, &leader.leader));
    if (opening > 0) {
      const ContentDigest found = leader.Digest();
      CHECK(found.entries == last.entries);
      CHECK(found.hash == last.hash);
    }
    if (opening == 0) {
      follower = std::make_unique<LocalFollower>(
          cluster.StartFollower(cluster.follower_options(options.server->port())));
    }
    MixedLoad load(leader.db(), leader.families, 60, 1 + static_cast<uint64_t>(opening));
    RequireOk(load.Write(300));
    RequireSame(leader, *follower);
    leader.Flush();
    RequireOk(load.Write(300));
    leader.Flush();
    RequireOk(load.Write(100));
    leader.Compact();
    RequireOk(load.Write(50));
    RequireSame(leader, *follower);
    LocalFollower late = cluster.StartFollower(cluster.follower_options(options.server->port()));
    RequireSame(leader, late);
    last = leader.Digest();
  }
  CHECK(follower->follower->stats().sequence_gaps == 0);
}

Status OpenWith(const LocalCluster& cluster, const Variant& v) {
  DBOptions db_options = LocalCluster::db_options();
  v.set(&db_options);
  LocalLeader leader;
  Status s = Leader::Open(cluster.leader_options(), db_options, cluster.leader_path(),
                          FamiliesOf(v), &leader.families, &leader.leader);
  CHECK(s.ok() == (leader.leader != nullptr));
  return s;
}

class KeepingFilter : public rocksdb::WalFilter {
 public:
  const char* Name() const override { return "slipstream.testing.Keeping"; }
};

}  // namespace

TEST_CASE("options: what concerns the WAL and the write path replicates", "[e2e]") {
  RequireReplicates(GENERATE(values<Variant>({
      OfDB("enable_pipelined_write", [](DB* o) { o->enable_pipelined_write = true; }),
      OfDB("unordered_write", [](DB* o) { o->unordered_write = true; }),
      OfDB("allow_concurrent_memtable_write",
           [](DB* o) { o->allow_concurrent_memtable_write = false; }),
      OfDB("WAL_ttl_seconds, WAL_size_limit_MB",
           [](DB* o) {
             o->WAL_ttl_seconds = 3600;
             o->WAL_size_limit_MB = 1;
           }),
      OfDB("track_and_verify_wals_in_manifest",
           [](DB* o) { o->track_and_verify_wals_in_manifest = true; }),
      OfDB("avoid_flush_during_recovery, _shutdown",
           [](DB* o) {
             o->avoid_flush_during_recovery = true;
             o->avoid_flush_during_shutdown = true;
           }),
      OfDB("use_fsync, wal_bytes_per_sync, strict_bytes_per_sync",
           [](DB* o) {
             o->use_fsync = true;
             o->bytes_per_sync = 4096;
             o->wal_bytes_per_sync = 4096;
             o->strict_bytes_per_sync = true;
           }),
      OfDB("manual_wal_flush", [](DB* o) { o->manual_wal_flush = true; }),
      OfDB("wal_recovery_mode",
           [](DB* o) {
             o->wal_recovery_mode = rocksdb::WALRecoveryMode::kAbsoluteConsistency;
             o->max_total_wal_size = 20000;
           }),
      OfDB("allow_2pc", [](DB* o) { o->allow_2pc = true; }),
  })));
}

TEST_CASE("options: what concerns files and the manifest replicates", "[e2e]") {
  RequireReplicates(GENERATE(values<Variant>({
      OfDB("use_direct_reads, use_direct_io_for_flush_and_compaction",
           [](DB* o) {
             o->use_direct_reads = true;
             o->use_direct_io_for_flush_and_compaction = true;
           }),
      OfDB("write_dbid_to_manifest, max_manifest_file_size",
           [](DB* o) {
             o->write_dbid_to_manifest = true;
             o->max_manifest_file_size = 2000;
           }),
      OfDB(
          "file_checksum_gen_factory",
          [](DB* o) { o->file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory(); }),
      OfDB("checksum_handoff_file_types",
           [](DB* o) {
             o->checksum_handoff_file_types.Add(rocksdb::FileType::kWalFile);
             o->checksum_handoff_file_types.Add(rocksdb::FileType::kDescriptorFile);
             o->checksum_handoff_file_types.Add(rocksdb::FileType::kTableFile);
           }),
      OfDB("atomic_flush", [](DB* o) { o->atomic_flush = true; }),
      OfDB("persist_stats_to_disk",
           [](DB* o) {
             o->statistics = rocksdb::CreateDBStatistics();
             o->persist_stats_to_disk = true;
             o->stats_persist_period_sec = 1;
           }),
      OfDB("max_open_files, rate_limiter, write_buffer_manager",
           [](DB* o) {
             o->max_open_files = 10;
             o->rate_limiter.reset(rocksdb::NewGenericRateLimiter(100 << 20));
             o->db_write_buffer_size = 1 << 20;
             o->enable_thread_tracking = true;
             o->delete_obsolete_files_period_micros = 0;
           }),
      OfDB("allow_ingest_behind", [](DB* o) { o->allow_ingest_behind = true; }),
  })));
}

TEST_CASE("options: what concerns memtables, tables and compaction replicates", "[e2e]") {
  RequireReplicates(GENERATE(values<Variant>({
      OfCF("experimental_mempurge_threshold",
           [](CF* o) {
             o->experimental_mempurge_threshold = 1.0;
             o->write_buffer_size = 64 << 10;
           }),
      OfCF("max_successive_merges", [](CF* o) { o->max_successive_merges = 2; }),
      OfCF("prefix_extractor, memtable of hash lists",
           [](CF* o) {
             o->prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(6));
             o->memtable_prefix_bloom_size_ratio = 0.1;
             o->memtable_whole_key_filtering = true;
           }),
      OfCF("universal compaction",
           [](CF* o) { o->compaction_style = rocksdb::kCompactionStyleUniversal; }),
      OfCF("blob files",
           [](CF* o) {
             o->enable_blob_files = true;
             o->min_blob_size = 40;
             o->enable_blob_garbage_collection = true;
             o->blob_garbage_collection_age_cutoff = 1.0;
           }),
      OfCF("checks of every kind",
           [](CF* o) {
             o->paranoid_file_checks = true;
             o->memtable_protection_bytes_per_key = 8;
             o->sst_partitioner_factory = rocksdb::NewSstPartitionerFixedPrefixFactory(5);
             o->preserve_internal_time_seconds = 3600;
           }),
      OfCF("secondary cache",
           [](CF* o) {
             rocksdb::LRUCacheOptions cache;
             cache.capacity = 64 << 10;
             cache.secondary_cache = rocksdb::NewCompressedSecondaryCache(1 << 20);
             rocksdb::BlockBasedTableOptions table;
             table.block_cache = rocksdb::NewLRUCache(cache);
             table.cache_index_and_filter_blocks = true;
             table.filter_policy.reset(rocksdb::NewRibbonFilterPolicy(10));
             o->table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
           }),
  })));
}

TEST_CASE("options: inplace_update_support replicates", "[e2e]") {
  LocalCluster cluster;
  rocksdb::Options options(LocalCluster::db_options(), CF());
  options.inplace_update_support = true;
  options.allow_concurrent_memtable_write = false;
  LocalLeader leader;
  RequireOk(Leader::Open(cluster.leader_options(), options, cluster.leader_path(), &leader.leader));
  std::unique_ptr<Follower> follower;
  RequireOk(Follower::Open(cluster.follower_options(leader.leader->port()), options, &follower));
  // A leader with this option gives no snapshots, so that the contents are read without.
  const auto contents = [](rocksdb::DB* db) {
    std::string all;
    const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(rocksdb::ReadOptions()));
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      all += it->key().ToString() + "=" + it->value().ToString() + "\n";
    }
    RequireOk(it->status());
    return all;
  };
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 300; ++i) {
      const std::string value(static_cast<size_t>(10 + (i * 7 + round) % 50), 'a' + round);
      RequireOk(leader.db()->Put(rocksdb::WriteOptions(), std::to_string(i % 40), value));
      if (i % 9 == 0) {
        RequireOk(leader.db()->Delete(rocksdb::WriteOptions(), std::to_string(i % 40)));
      }
    }
    RequireOk(follower->WaitFor(leader.leader->position(), kPatienceUs));
    REQUIRE(contents(follower->db()) == contents(leader.db()));
    if (round % 2 == 0) RequireOk(leader.db()->Flush(rocksdb::FlushOptions()));
  }
  CHECK(follower->stats().sequence_gaps == 0);
}

TEST_CASE("options: WALs in another directory, logs in a third", "[e2e]") {
  const TemporaryDirectory elsewhere;
  RequireReplicates(OfDB("wal_dir, db_log_dir", [&](DB* o) {
    o->wal_dir = elsewhere.path("wal") + "/";
    o->db_log_dir = elsewhere.path("log");
  }));
}

TEST_CASE("options: an encrypted Env below the leader's sends plain bytes", "[e2e]") {
  const auto provider = [] {
    std::shared_ptr<rocksdb::EncryptionProvider> created;
    RequireOk(rocksdb::EncryptionProvider::CreateFromString(rocksdb::ConfigOptions(), "CTR://test",
                                                            &created));
    return created;
  }();
  const std::unique_ptr<rocksdb::Env> env(
      rocksdb::NewEncryptedEnv(rocksdb::Env::Default(), provider));
  RequireReplicates(OfDB("env", [&](DB* o) { o->env = env.get(); }));
}

TEST_CASE("options: what cannot be replicated is refused with the option and the reason", "[e2e]") {
  class Elsewhere : public rocksdb::CompactionService {
   public:
    const char* Name() const override { return "slipstream.testing.Elsewhere"; }
  };
  static KeepingFilter filter;
  struct Refusal {
    Variant variant;
    std::vector<std::string> names;
  };
  const Refusal refusal = GENERATE(values<Refusal>({
      {OfDB("recycle_log_file_num", [](DB* o) { o->recycle_log_file_num = 3; }), {"= 3"}},
      {OfDB("wal_compression", [](DB* o) { o->wal_compression = rocksdb::kZSTD; }), {}},
      {OfDB("two_write_queues", [](DB* o) { o->two_write_queues = true; }), {"sequence"}},
      {OfDB("unordered_write", [](DB* o) { o->unordered_write = o->manual_wal_flush = true; }),
       {"manual_wal_flush"}},
      {OfDB("allow_mmap_writes", [](DB* o) { o->allow_mmap_writes = true; }), {}},
      {OfDB("allow_mmap_reads", [](DB* o) { o->allow_mmap_reads = true; }), {"mapped"}},
      {OfDB("wal_filter", [](DB* o) { o->wal_filter = &filter; }), {filter.Name()}},
      {OfDB("wal_recovery_mode",
            [](DB* o) {
              o->wal_recovery_mode = rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;
              o->allow_2pc = true;
            }),
       {"allow_2pc", "behind damage"}},
      {OfDB("best_efforts_recovery", [](DB* o) { o->best_efforts_recovery = true; }), {}},
      {OfDB("sst_file_manager",
            [](DB* o) {
              o->sst_file_manager.reset(rocksdb::NewSstFileManager(rocksdb::Env::Default()));
            }),
       {"shared storage"}},
      {OfDB("compaction_service",
            [](DB* o) { o->compaction_service = std::make_shared<Elsewhere>(); }),
       {"slipstream.testing.Elsewhere"}},
      {OfDB("db_paths", [](DB* o) { o->db_paths.emplace_back("/slow", 1000); }), {"/slow"}},
      {OfCF("cf_paths", [](CF* o) { o->cf_paths.emplace_back("/slow", 1000); }),
       {"/slow", "default"}},
      {OfCF("inplace_callback",
            [](CF* o) {
              o->inplace_callback = [](char*, uint32_t*, rocksdb::Slice, std::string*) {
                return rocksdb::UpdateStatus::UPDATE_FAILED;
              };
            }),
       {"default"}},
      {OfCF("table_factory",
            [](CF* o) { o->table_factory.reset(rocksdb::NewCuckooTableFactory()); }),
       {"Cuckoo"}},
  }));
  const LocalCluster cluster;
  const Status s = OpenWith(cluster, refusal.variant);
  INFO(s.ToString());
  CHECK(s.IsInvalidArgument());
  CHECK(s.ToString().find(refusal.variant.name) != std::string::npos);
  for (const std::string& name : refusal.names) {
    CHECK(s.ToString().find(name) != std::string::npos);
  }
  // Nothing was begun.
  std::vector<std::string> names;
  RequireOk(cluster.storage()->List("test/", &names));
  CHECK(names.empty());
}

TEST_CASE("options: a column family that is created later is checked as well", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  ColumnFamilyOptions refused;
  refused.cf_paths.emplace_back("/slow", 1000);
  rocksdb::ColumnFamilyHandle* handle = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  for (const Status& s : {leader.db()->CreateColumnFamily(refused, "late", &handle),
                          leader.db()->CreateColumnFamilies(refused, {"late"}, &handles),
                          leader.db()->CreateColumnFamilies(
                              {{"early", ColumnFamilyOptions()}, {"late", refused}}, &handles)}) {
    INFO(s.ToString());
    CHECK(s.IsInvalidArgument());
    CHECK(s.ToString().find("cf_paths of \"late\" = /slow") != std::string::npos);
    CHECK(handle == nullptr);
    CHECK(handles.empty());
  }
  RequireOk(leader.db()->CreateColumnFamily(ColumnFamilyOptions(), "late", &handle));
  RequireOk(leader.db()->Put(rocksdb::WriteOptions(), handle, "a", "1"));
  CatchUp(leader, follower);
  std::string value;
  RequireOk(follower.db()->Get(rocksdb::ReadOptions(), follower.follower->GetColumnFamily("late"),
                               "a", &value));
  CHECK(value == "1");
  RequireOk(leader.db()->DestroyColumnFamilyHandle(handle));
}

TEST_CASE("options: what is changed while the database is open replicates", "[e2e]") {
  LocalCluster cluster;
  LocalLeader leader = cluster.StartLeader();
  LocalFollower follower = cluster.StartFollower(leader);
  MixedLoad load(leader.db(), leader.families, 60, 1);
  const std::vector<std::pair<std::string, std::string>> db_changes = {
      {"max_background_jobs", "4"},
      {"avoid_flush_during_shutdown", "true"},
      {"writable_file_max_buffer_size", "4096"},
      {"delayed_write_rate", "1000000"},
      {"max_total_wal_size", "20000"},
      {"delete_obsolete_files_period_micros", "1000"},
      {"stats_dump_period_sec", "1"},
      {"max_open_files", "100"},
      {"bytes_per_sync", "4096"},
      {"wal_bytes_per_sync", "4096"},
      {"strict_bytes_per_sync", "true"},
      {"compaction_readahead_size", "4096"}};
  for (const auto& [name, value] : db_changes) {
    INFO(name);
    RequireOk(leader.db()->SetDBOptions({{name, value}}));
    RequireOk(load.Write(50));
  }
  RequireEqual(leader, follower);
  const std::vector<std::pair<std::string, std::string>> family_changes = {
      {"write_buffer_size", "33554432"},
      {"max_successive_merges", "2"},
      {"experimental_mempurge_threshold", "1.0"},
      {"enable_blob_files", "true"},
      {"min_blob_size", "40"},
      {"ttl", "3600"},
      {"prefix_extractor", "fixed:6"},
      {"memtable_prefix_bloom_size_ratio", "0.1"},
      {"compression", "kZSTD"},
      {"paranoid_file_checks", "true"},
      {"disable_auto_compactions", "true"}};
  for (const auto& [name, value] : family_changes) {
    INFO(name);
    for (rocksdb::ColumnFamilyHandle* family : leader.families) {
      RequireOk(leader.db()->SetOptions(family, {{name, value}}));
    }
    RequireOk(load.Write(50));
  }
  leader.Flush();
  leader.Compact();
  RequireOk(load.Write(50));
  RequireEqual(leader, follower);
  CHECK(follower.follower->stats().resyncs == 0);
}

}  // namespace slipstream::testing
