// What is appended to a log file, as the gate of barriers wants to know it.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "lib/core/batch_gatherer.h"
#include "lib/core/log_record_reader.h"
#include "lib/core/messages.h"
#include "lib/core/version_edit.h"
#include "lib/leader/barrier_gate.h"
#include "rocksdb/slice.h"
#include "rocksdb/status.h"

namespace slipstream {

// Tells the gate what is appended to a log file, record by record.
class LogWatch {
 public:
  LogWatch(const LogFileId& id, std::shared_ptr<BarrierGate> gate)
      : id_(id), gate_(std::move(gate)), reader_("log file " + std::to_string(id.number)) {}

  // Returns the gate's first objection to what these bytes complete.
  rocksdb::Status See(const rocksdb::Slice& data) {
    rocksdb::Status objection;
    // Kept apart from what Feed returns: after an error that would read no more.
    rocksdb::Status s = reader_.Feed(data, [&](rocksdb::Slice record, uint64_t) {
      rocksdb::Status of_record = id_.file == FrameFile::kWal ? SeeBatch(record) : SeeEdit(record);
      if (objection.ok()) objection = std::move(of_record);
      return rocksdb::Status::OK();
    });
    return objection.ok() ? s : objection;
  }

 private:
  rocksdb::Status SeeBatch(rocksdb::Slice record) {
    BatchHeader header;
    rocksdb::Status s = DecodeBatchHeader(record, &header);
    if (s.ok() && header.sequence > 0) gate_->OnWalRecord(header.sequence + header.count - 1);
    return s;
  }
  rocksdb::Status SeeEdit(rocksdb::Slice record) {
    VersionEditSummary edit;
    DecodeVersionEdit(record, &edit).PermitUncheckedError();  // what is not understood is a barrier
    return gate_->OnEdit(edit);
  }

  const LogFileId id_;
  const std::shared_ptr<BarrierGate> gate_;
  LogRecordReader reader_;
};

}  // namespace slipstream
