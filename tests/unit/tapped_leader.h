// A real RocksDB over the leader's file system, without streams: its replication log is read as the
// tests like.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/coding.h"
#include "lib/core/frame.h"
#include "lib/core/image_plan.h"
#include "lib/core/messages.h"
#include "lib/leader/leader_file_system.h"
#include "lib/leader/object_catalog.h"
#include "lib/leader/replication_log.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "tests/unit/memory_storage.h"
#include "tests/unit/scratch_database.h"
#include "tests/unit/unsynced_file_system.h"

namespace slipstream::testing {

inline constexpr char kTestDatabase[] = "items";

// A frame of a replication log and where it ends there. The payload points into memory that the
// caller keeps.
struct LoggedFrame {
  Frame frame;
  uint64_t begin = 0;
  uint64_t end = 0;
};

// All frames from `from` to the log's present end. `*memory` keeps their payloads.
inline std::vector<LoggedFrame> FramesOf(const ReplicationLog& log, uint64_t from,
                                         std::vector<SharedBytes>* memory) {
  std::vector<LoggedFrame> frames;
  for (;;) {
    SharedBytes bytes;
    REQUIRE(log.Read(from, &bytes));
    if (bytes.bytes.empty()) return frames;
    rocksdb::Slice rest = bytes.bytes;
    while (!rest.empty()) {
      LoggedFrame logged;
      logged.begin = from + (bytes.bytes.size() - rest.size());
      RequireOk(DecodeFrame(&rest, &logged.frame));
      logged.end = from + (bytes.bytes.size() - rest.size());
      frames.push_back(logged);
    }
    from += bytes.bytes.size();
    memory->push_back(std::move(bytes));
  }
}

// What a leader sends to bring a follower that holds `held` to `snapshot`, as StreamSession does.
struct ImageTransfer {
  ImageBegin begin;
  std::vector<std::string> frames;
};

inline ImageTransfer TransferOf(uint64_t epoch, const ImageSnapshot& snapshot,
                                const std::vector<LogFileSize>& held = {}) {
  ImageTransfer transfer;
  for (const TappedLogFile& f : snapshot.files) transfer.begin.files.push_back({f.id, f.size});
  const ImagePlan plan = PlanImage(held, transfer.begin.files);
  transfer.begin.cut = Position{epoch, snapshot.offset, 0};
  transfer.begin.from_scratch = plan.from_scratch;
  transfer.begin.current_manifest = snapshot.current_manifest;
  transfer.begin.bytes = plan.bytes;
  for (const ImagePlan::Part& part : plan.parts) {
    const TappedLogFile* file = nullptr;
    for (const TappedLogFile& f : snapshot.files) {
      if (f.id == part.id) file = &f;
    }
    REQUIRE(file != nullptr);
    for (uint64_t offset = part.from; offset < part.to;) {
      const size_t n = std::min<uint64_t>(part.to - offset, kMaxFramePayload);
      std::string scratch(n, '\0');
      rocksdb::Slice piece;
      RequireOk(
          file->reader->Read(offset, n, rocksdb::IOOptions(), &piece, scratch.data(), nullptr));
      REQUIRE(piece.size() == n);
      transfer.frames.emplace_back();
      AppendFrame({FrameType::kLogAppend, part.id.file, part.id.number, offset, piece},
                  &transfer.frames.back());
      offset += n;
    }
  }
  for (const ObjectInfo& object : snapshot.objects) {
    char number[8];
    EncodeFixed64(number, object.epoch);
    transfer.frames.emplace_back();
    AppendFrame({FrameType::kObjectAdded, object.file, object.number, object.size,
                 rocksdb::Slice(number, sizeof(number))},
                &transfer.frames.back());
  }
  return transfer;
}

class TappedLeader {
 public:
  TappedLeader(const std::string& directory, std::shared_ptr<SharedStorage> storage,
               uint64_t epoch = 1, uint64_t memory_limit = 64 << 20)
      : directory_(directory), base_(std::make_shared<UnsyncedFileSystem>()) {
    RequireOk(base_->CreateDirIfMissing(directory, rocksdb::IOOptions(), nullptr));
    std::unique_ptr<ObjectCatalog> catalog;
    RequireOk(ObjectCatalog::Open(base_, directory, kTestDatabase, &catalog));
    catalog_ = std::move(catalog);
    log_ = std::make_shared<ReplicationLog>(epoch, memory_limit);
    fs_ = std::make_shared<LeaderFileSystem>(
        base_, LeaderFileSystem::Parts{kTestDatabase, directory, directory, std::move(storage),
                                       log_, catalog_});
    RequireOk(fs_->TakeOver(nullptr));
    taken_over_ = log_->Snapshot();
    env_ = rocksdb::NewCompositeEnv(fs_);
  }
  ~TappedLeader() { Close(); }

  // Opens the database with the default column family and those in `others`.
  void Open(rocksdb::Options options, const std::vector<std::string>& others = {}) {
    options.env = env_.get();
    std::vector<rocksdb::ColumnFamilyDescriptor> families = {
        {rocksdb::kDefaultColumnFamilyName, options}};
    for (const std::string& name : others) families.emplace_back(name, options);
    rocksdb::DB* db = nullptr;
    RequireOk(rocksdb::DB::Open(options, directory_, families, &handles, &db));
    db_.reset(db);
    const uint64_t first = log_->first_sequence();
    recovered_sequence_ = first != 0 ? first - 1 : db->GetLatestSequenceNumber();
  }

  void Close() {
    if (db_ == nullptr) return;
    for (rocksdb::ColumnFamilyHandle* handle : handles) {
      db_->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
    }
    handles.clear();
    db_->Close().PermitUncheckedError();
    db_.reset();
  }

  // What a welcome says of this database.
  Welcome MakeWelcome() const {
    Welcome welcome;
    welcome.epoch = log_->epoch();
    if (db_ != nullptr) RequireOk(db_->GetDbIdentity(welcome.db_identity));
    welcome.wal_recovery_mode =
        static_cast<uint32_t>(rocksdb::WALRecoveryMode::kPointInTimeRecovery);
    welcome.recovered_sequence = recovered_sequence_;
    welcome.newest_recovered_wal = log_->newest_recovered_wal();
    return welcome;
  }

  rocksdb::DB* db() const { return db_.get(); }
  ReplicationLog* log() const { return log_.get(); }
  ObjectCatalog* catalog() const { return catalog_.get(); }
  LeaderFileSystem* fs() const { return fs_.get(); }
  UnsyncedFileSystem* base() const { return base_.get(); }
  rocksdb::Env* env() const { return env_.get(); }
  const std::string& directory() const { return directory_; }
  // The log files and objects that were there before RocksDB opened the directory.
  const ImageSnapshot& taken_over() const { return taken_over_; }

  std::vector<rocksdb::ColumnFamilyHandle*> handles;

 private:
  const std::string directory_;
  const std::shared_ptr<UnsyncedFileSystem> base_;
  std::shared_ptr<ObjectCatalog> catalog_;
  std::shared_ptr<ReplicationLog> log_;
  std::shared_ptr<LeaderFileSystem> fs_;
  ImageSnapshot taken_over_;
  std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<rocksdb::DB> db_;
  uint64_t recovered_sequence_ = 0;
};

}  // namespace slipstream::testing
