// The local files of a leader are damaged while it is down: it refuses to open, or recovers as
// RocksDB does, and then followers go back with it.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"

namespace slipstream::testing {
namespace {

using rocksdb::Status;
using rocksdb::WriteOptions;

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.good());
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << bytes;
  REQUIRE(out.good());
}

// A leader that comes and goes, and a follower that stays.
class RestartingLeader {
 public:
  RestartingLeader() {
    RequireOk(ReplicationServer::Start(ReplicationServerOptions(), &server_));
    RequireOk(Open());
    for (int i = 0; i < 20; ++i) Put("flushed" + std::to_string(i));
    leader_->Flush();
    for (int i = 0; i < 20; ++i) Put("logged" + std::to_string(i));
    FollowerOptions options = cluster_.follower_options(server_->port());
    options.on_history_reset = [this](const HistoryReset&) { ++resets_; };
    follower_.emplace(cluster_.StartFollower(options));
    CatchUp(*leader_, *follower_);
  }

  Status Open() {
    LeaderOptions options = cluster_.leader_options();
    options.server = server_;
    rocksdb::DBOptions db_options = LocalCluster::db_options();
    db_options.wal_recovery_mode = recovery_mode;
    auto leader = std::make_unique<LocalLeader>();
    Status s = Leader::Open(options, db_options, cluster_.leader_path(), TestColumnFamilies(),
                            &leader->families, &leader->leader);
    if (s.ok()) leader_ = std::move(leader);
    return s;
  }
  void Close() { leader_.reset(); }
  void Put(const std::string& key) {
    for (auto* family : leader_->families) {
      if (family->GetName() == kSums) continue;
      RequireOk(leader_->db()->Put(WriteOptions(), family, key, "value of " + key));
    }
  }

  // The newest file whose name begins and ends like this.
  std::string Newest(const std::string& prefix, const std::string& suffix) {
    std::string newest;
    for (const auto& entry : std::filesystem::directory_iterator(cluster_.leader_path())) {
      const std::string name = entry.path().filename().string();
      const bool fits = name.starts_with(prefix) && name.ends_with(suffix);
      if (fits && std::filesystem::file_size(entry.path()) > 0) {
        newest = std::max(newest, entry.path().string());
      }
    }
    REQUIRE(!newest.empty());
    return newest;
  }

  // Opens with the damage; where that is refused, the follower goes on with what it has, and once
  // the file is as it was all goes on. Returns whether the leader opened with the damage.
  bool OpenDamaged(const std::string& path, const std::function<void(std::string*)>& damage) {
    Close();
    const std::string before = ReadFile(path);
    std::string bytes = before;
    damage(&bytes);
    WriteFile(path, bytes);
    const Status s = Open();
    INFO(path << " with damage: " << s.ToString());
    if (!s.ok()) {
      CHECK((s.IsCorruption() || s.IsIOError() || s.IsInvalidArgument()));
      CHECK(follower_->Get(0, "logged19") == "value of logged19");
      // A refused open may have written to its own files, never to another's.
      WriteFile(path, before);
      RequireOk(Open());
    }
    Put("after");
    RequireEqual(*leader_, *follower_);
    return s.ok();
  }

  rocksdb::WALRecoveryMode recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  LocalFollower& follower() { return *follower_; }
  int resets() const { return resets_; }

 private:
  LocalCluster cluster_;
  std::shared_ptr<ReplicationServer> server_;
  std::atomic<int> resets_{0};
  std::unique_ptr<LocalLeader> leader_;
  std::optional<LocalFollower> follower_;
};

void FlipMiddle(std::string* bytes) { (*bytes)[bytes->size() / 2] ^= 0x10; }
// In the payload of the record in the middle, of a file that is shorter than a block: a record
// whose length is damaged may reach behind the end of the file, which then seems to be cut short.
void FlipInRecord(std::string* bytes) {
  constexpr size_t kHeaderBytes = 7;  // of them the length at 4 and 5
  const auto byte = [&](size_t at) { return static_cast<uint8_t>((*bytes)[at]); };
  size_t end = 0;
  while (end <= bytes->size() / 2) {
    REQUIRE(end + kHeaderBytes < bytes->size());
    end += kHeaderBytes + byte(end + 4) + (size_t{byte(end + 5)} << 8);
  }
  REQUIRE(end < bytes->size());
  (*bytes)[end - 1] ^= 0x10;
}
void CutHalf(std::string* bytes) { bytes->resize(bytes->size() / 2); }
void CutLastByte(std::string* bytes) { bytes->resize(bytes->size() - 1); }

}  // namespace

TEST_CASE("damaged_log: followers go back with a leader whose WAL was damaged or cut", "[e2e]") {
  for (const auto& damage : {FlipMiddle, CutHalf, CutLastByte}) {
    RestartingLeader run;
    REQUIRE(run.OpenDamaged(run.Newest("", ".log"), damage));
    // What was lost is shown no more, and that is said once.
    CHECK(run.follower().Get(1, "logged19") == "(not found)");
    CHECK(run.resets() == 1);
    CHECK(run.follower().follower->stats().history_resets == 1);
  }
}

TEST_CASE("damaged_log: a leader that must not lose a record refuses a damaged WAL", "[e2e]") {
  RestartingLeader run;
  run.recovery_mode = rocksdb::WALRecoveryMode::kAbsoluteConsistency;
  REQUIRE_FALSE(run.OpenDamaged(run.Newest("", ".log"), FlipMiddle));
  CHECK(run.follower().Get(1, "logged19") == "value of logged19");
  CHECK(run.resets() == 0);
}

TEST_CASE("damaged_log: a leader refuses a damaged MANIFEST, or recovers as RocksDB does",
          "[e2e]") {
  {
    RestartingLeader run;
    CHECK_FALSE(run.OpenDamaged(run.Newest("MANIFEST-", ""), FlipInRecord));
    CHECK(run.follower().Get(0, "flushed19") == "value of flushed19");
    CHECK(run.resets() == 0);
  }
  // To RocksDB a MANIFEST that ends too early is what a crash leaves behind: it opens as of then.
  for (const auto& damage : {CutHalf, CutLastByte}) {
    RestartingLeader run;
    run.OpenDamaged(run.Newest("MANIFEST-", ""), damage);
  }
}

TEST_CASE("damaged_log: a leader refuses a damaged catalogue, and nothing is lost by it", "[e2e]") {
  for (const auto& damage : {FlipMiddle, CutHalf}) {
    RestartingLeader run;
    CHECK_FALSE(run.OpenDamaged(run.Newest("SLIPSTREAM", "SLIPSTREAM"), damage));
    CHECK(run.follower().Get(0, "logged19") == "value of logged19");
    CHECK(run.resets() == 0);
  }
}

TEST_CASE("damaged_log: without its catalogue a database is led again under another name",
          "[e2e]") {
  LocalCluster cluster;
  ContentDigest before;
  // Some objects belong to a newer epoch, some are not deleted yet.
  for (int opening = 0; opening < 2; ++opening) {
    LocalLeader leader = cluster.StartLeader();
    LocalFollower follower = cluster.StartFollower(leader);
    MixedLoad load(leader.db(), leader.families, 100, static_cast<uint64_t>(opening));
    for (int round = 0; round < 3; ++round) {
      RequireOk(load.Write(100));
      leader.Flush();
    }
    if (opening == 0) leader.Compact();
    RequireOk(load.Write(50));
    before = leader.Digest();
  }
  const std::string catalogue = cluster.leader_path() + "/SLIPSTREAM";
  std::string bytes = ReadFile(catalogue);
  FlipInRecord(&bytes);
  WriteFile(catalogue, bytes);
  LocalLeader leader;
  LeaderOptions options = cluster.leader_options();
  const auto open = [&] {
    return Leader::Open(options, LocalCluster::db_options(), cluster.leader_path(),
                        TestColumnFamilies(), &leader.families, &leader.leader);
  };
  const Status refused = open();
  INFO(refused.ToString());
  CHECK(refused.IsCorruption());
  CHECK(refused.ToString().find("restore " + catalogue) != std::string::npos);

  // As README.md says. Names are in the order of their numbers, then of their epochs.
  for (const std::string& name : cluster.Tables()) {
    const std::string file = name.substr(name.rfind('/') + 1);
    std::filesystem::copy_file(
        cluster.directory().path("storage/" + name),
        cluster.leader_path() + "/" + file.substr(0, file.find('-')) + ".sst",
        std::filesystem::copy_options::overwrite_existing);
  }
  std::filesystem::remove(catalogue);
  options.database = "again";
  RequireOk(open());
  CHECK(leader.Digest() == before);
  FollowerOptions follower_options = cluster.follower_options(leader.leader->port());
  follower_options.database = "again";
  LocalFollower follower = cluster.StartFollower(follower_options);
  leader.Compact();
  RequireEqual(leader, follower);
}

}  // namespace slipstream::testing
