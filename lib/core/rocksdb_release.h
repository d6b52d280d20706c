// Which RocksDB this is built with. Two are tested: 7.8.3 of Debian 12 and 9.10 of Debian 13.
#pragma once

#include "rocksdb/version.h"

// 1 with RocksDB 9.10 and later, 0 with 7.8. What it changes here:
//
//   DB::Get, DB::MultiGet    all overloads but the widest are final, and call that one
//   DB                       multi-column-family iterators and attribute groups, WaitForCompact,
//                            ClipColumnFamily, imports of several column families,
//                            EnableFileDeletions without `force`
//   WriteBatch               TimedPut, and PutEntity with attribute groups; a batch made of a WAL
//                            record must hold no no-operation
//   Iterator                 PrepareValue, and Refresh with a snapshot; Refresh without one leaves
//                            the one behind that the iterator was made with
//   WriteBatchWithIndex      GetFromBatchAndDB takes the handle for RocksDB's own object
//   DB::Resume               replaces the WAL that has failed also while all memtables are empty
//   FileSystem               SupportedOps
//   ColumnFamilyOptions      memtable_max_range_deletions
//   WAL                      records that tell the sizes of user-defined timestamps; without them
//                            recovery appends a timestamp to each key
//   MANIFEST                 persist_user_defined_timestamps beside each comparator; empty records
#define SLIPSTREAM_ROCKSDB_9 (ROCKSDB_MAJOR > 9 || (ROCKSDB_MAJOR == 9 && ROCKSDB_MINOR >= 10))

#if ROCKSDB_MAJOR < 7 || (ROCKSDB_MAJOR == 7 && ROCKSDB_MINOR < 8)
#error "Slipstream needs RocksDB 7.8 or later"
#endif
