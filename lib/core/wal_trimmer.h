// Leaves out of a WAL what a recovery passes over.
// Pure. Threads: thread-compatible.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lib/core/log_record_reader.h"
#include "lib/core/log_record_writer.h"
#include "lib/core/wal_usage.h"
#include "rocksdb/slice.h"
#include "rocksdb/status.h"

namespace slipstream {

// Writes a WAL from which a recovery by a manifest with `families` makes the same memtables, with
// the same sequence numbers, as from the one that it is fed. Entries of column families that have
// flushed them are gone, and with them whole records; a last, empty record stands for the sequence
// numbers that they consumed. It begins with the same sequence number: behind a damaged WAL, a
// recovery to a point in time goes on only where the next number follows.
class WalTrimmer {
 public:
  // name: for messages. wal: its number. families: borrowed.
  WalTrimmer(std::string name, uint64_t wal, const ManifestColumnFamilies* families);

  // Appends to `*out` what is left of `bytes`, which directly follow all bytes fed before.
  // Returns Corruption if they cannot be read, and NotSupported for what must not be left out.
  [[nodiscard]] rocksdb::Status Feed(rocksdb::Slice bytes, std::string* out);
  // To be called last.
  void Finish(std::string* out);

  // Of what was written.
  const WalUsage& usage() const { return usage_; }

 private:
  rocksdb::Status Take(rocksdb::Slice record, std::string* out);
  void Write(rocksdb::Slice record, std::string* out);

  const uint64_t wal_;
  const ManifestColumnFamilies* const families_;
  LogRecordReader reader_;
  LogRecordWriter writer_;
  WalUsage usage_;
  bool first_ = true;
  std::optional<uint64_t> first_to_write_;  // the sequence number to begin with
  uint64_t next_sequence_ = 0;              // behind all records read
  uint64_t written_sequence_ = 0;           // behind all records written
  std::string run_;
};

// The WAL of which nothing is left but the sequence numbers that it consumed: from `first_sequence`
// to the one before `next_sequence`. Both 0 if it had no record.
std::string EmptyWal(uint64_t first_sequence, uint64_t next_sequence);

}  // namespace slipstream
