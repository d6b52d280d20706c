// An SST or blob file on its way to the storage. It exists for others once it is closed, which
// RocksDB does before it writes the manifest record that names it.
#pragma once

#include <memory>
#include <utility>

#include "lib/core/messages.h"
#include "lib/leader/object_catalog.h"
#include "lib/leader/replication_log.h"
#include "lib/storage/object_file.h"
#include "rocksdb/file_system.h"
#include "slipstream/observe/task.h"
#include "slipstream/shared_storage.h"

namespace slipstream {

// Threads: as rocksdb::FSWritableFile, one at a time.
class ObjectWritableFile : public rocksdb::FSWritableFile {
 public:
  ObjectWritableFile(std::unique_ptr<ObjectWriter> writer, ObjectInfo object,
                     std::shared_ptr<ObjectCatalog> catalog, std::shared_ptr<ReplicationLog> log,
                     observe::Task task)
      : writer_(std::move(writer)),
        object_(object),
        catalog_(std::move(catalog)),
        log_(std::move(log)),
        task_(std::move(task)) {}
  ~ObjectWritableFile() override {
    task_.Finish(rocksdb::Status::Incomplete("it was given up before it was whole"));
  }

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions&,
                           rocksdb::IODebugContext*) override {
    rocksdb::Status s = writer_->Append(data);
    if (s.ok()) object_.size += data.size();
    task_.SetProgress(object_.size, 0, "bytes");
    return ObjectIOStatus(s);
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo&,
                           rocksdb::IODebugContext* dbg) override {
    return Append(data, options, dbg);
  }
  rocksdb::IOStatus Flush(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return ObjectIOStatus(writer_->Sync());
  }
  rocksdb::IOStatus Close(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    if (writer_ == nullptr) return rocksdb::IOStatus::OK();
    task_.SetStatus("publishing");
    rocksdb::Status s = writer_->Commit();
    writer_.reset();
    if (!s.ok()) {
      task_.Finish(s);
      return ObjectIOStatus(s);
    }
    s = catalog_->Commit(object_.number, object_.size);
    if (s.ok()) log_->AddObject(object_);
    task_.Finish(s);
    return rocksdb::status_to_io_status(std::move(s));
  }
  uint64_t GetFileSize(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return object_.size;
  }

 private:
  std::unique_ptr<ObjectWriter> writer_;
  ObjectInfo object_;
  const std::shared_ptr<ObjectCatalog> catalog_;
  const std::shared_ptr<ReplicationLog> log_;
  observe::Task task_;
};

}  // namespace slipstream
