// Transactions in two phases, as the WAL tells of them, and the WAL without them.
//
//              begin ... end prepare               commit: its entries stand here
//   (nothing) -----------------------> prepared ----------------------------------> (nothing)
//                                          |
//                                          +--- rollback: its entries never were -> (nothing)
//
// RocksDB's policy WRITE_COMMITTED writes the entries of a transaction to the WAL when it is
// prepared, where they consume no sequence number, and a marker when it is committed; the entries
// get the sequence numbers from there on. An instance that knows nothing of transactions shows the
// same if each prepared section is taken out and each commit is replaced by the entries that it
// commits, under the record's own sequence number.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lib/core/messages.h"
#include "rocksdb/slice.h"
#include "rocksdb/status.h"

namespace slipstream {

// Pure. Threads: thread-compatible.
class PreparedTransactions {
 public:
  struct Prepared {
    uint64_t wal = 0;     // that holds the section
    uint32_t count = 0;   // of sequence numbers that its commit will consume
    std::string entries;  // of a write batch, without the markers
  };

  // What to make of the commit or the rollback of a transaction that is not prepared.
  enum class Unknown {
    // Once everything that was prepared is known there is none: a contradiction.
    kRefused,
    // The WALs begin behind its section, which RocksDB has deleted because all that was committed
    // is
    // in SST files. The marker stands for nothing.
    kLeftOut,
  };

  // Applies the next record of the WALs, which come in the order of their numbers. `*rewritten` is
  // what an instance without transactions has to read instead: `record` itself if it holds no
  // marker, else a record in `*buffer`, which may hold no entry at all.
  //
  // A transaction that is prepared while another of its name is still prepared takes its place, as
  // it does in RocksDB: the host gave the first one up without rolling it back.
  //
  // Returns OK
  //         Corruption    the record contradicts itself or what came before: a section inside a
  //                       section or without an end, a count that is not right, the end of a
  //                       transaction that is not prepared (see Unknown)
  //         NotSupported  a marker of the policy WRITE_PREPARED or WRITE_UNPREPARED, or a commit
  //                       with a timestamp
  // An error is sticky: every later call returns it again.
  [[nodiscard]] rocksdb::Status Apply(rocksdb::Slice record, uint64_t wal, Unknown unknown,
                                      std::string* buffer, rocksdb::Slice* rewritten);

  // Takes over from `record` the sections that are in `*wanted`, and takes them off it. Everything
  // else in the record is left alone.
  // Returns Corruption if the record cannot be read.
  [[nodiscard]] rocksdb::Status TakeOver(rocksdb::Slice record, uint64_t wal,
                                         std::set<RecoveredTransaction>* wanted);

  // Forgets the transactions whose section is in this WAL.
  void Forget(uint64_t wal);
  // Forgets the transactions whose section is in an older WAL than this.
  void ForgetBefore(uint64_t wal);

  // By name.
  const std::map<std::string, Prepared, std::less<>>& all() const { return prepared_; }
  // The same, as a leader tells of what it recovered.
  std::vector<RecoveredTransaction> List() const;
  // Of their entries. What is prepared is in the WALs as well, which RocksDB keeps for it, so this
  // is less than they are.
  uint64_t bytes() const { return bytes_; }

 private:
  struct Reading;

  rocksdb::Status ApplyNow(rocksdb::Slice record, uint64_t wal, Unknown unknown,
                           std::string* buffer, rocksdb::Slice* rewritten);
  void Prepare(rocksdb::Slice name, Prepared prepared);
  template <typename Matches>
  void ForgetIf(Matches matches);
  bool End(rocksdb::Slice name, Prepared* ended);

  std::map<std::string, Prepared, std::less<>> prepared_;
  uint64_t bytes_ = 0;
  rocksdb::Status error_;
};

}  // namespace slipstream
