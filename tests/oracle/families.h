// Column families that some seeds have beside the ordinary ones, because what they hold does not
// follow from the writes alone, or is read in another way.
//
//   timed     user-defined timestamps: every version of every key is compared, and the state at one
//             timestamp. Timestamps are the numbers of the writers' operations
//   fifo      FIFO compaction: the oldest files go without a sequence number
//   filtered  a compaction filter removes or changes some entries, without a sequence number
//
// What may be found in the last two at one position: followers drop or filter an entry only after
// their leader has, for they show files of a cut that is not newer than it. So a follower has at
// least what the leader has when it is read after the follower, and at most what was ever written;
// of each writer fifo has the newest keys, without a hole. They are exactly equal where the leader
// has not dropped anything between a barrier, at which the follower opened the leader's files, and
// the comparison.
#pragma once

#include <string>
#include <vector>

#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "tests/oracle/model.h"
#include "tests/oracle/random.h"
#include "tests/oracle/seed_options.h"

namespace slipstream::oracle {

inline constexpr char kTimed[] = "timed";
inline constexpr char kFifo[] = "fifo";
inline constexpr char kFiltered[] = "filtered";

bool IsSpecial(const std::string& family);
// Those of a seed.
std::vector<std::string> SpecialFamilies(const SeedOptions& seed);
// base: the options of ordinary families.
rocksdb::ColumnFamilyOptions OptionsOfFamily(const std::string& family,
                                             const rocksdb::ColumnFamilyOptions& base);

// The first byte of values that the filter removes or changes.
inline constexpr char kToRemove = '!';
inline constexpr char kToChange = '~';

// A timestamp as the comparator wants it, and the key under which the model has a version: in the
// order in which RocksDB shows versions, the newest first.
std::string Timestamp(uint64_t number);
std::string VersionKey(const std::string& key, uint64_t number);
// What the model has for a deletion.
inline constexpr char kDeletedVersion[] = "d";

// All versions that a database has.
[[nodiscard]] rocksdb::Status ReadVersions(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* handle,
                                           Model::Family* versions);
// A version that is missing in front of one of the same writer that is found; empty if there is
// none.
std::string HoleIn(const Model::Family& found, const Model::Family& written);
// An empty string or what differs. versions: the model's.
std::string CompareTimed(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* handle,
                         const Model::Family& versions, Random* random);
// written: everything that was ever put there and is not deleted; at_least: what must be found.
std::string CompareFifo(const Model::Family& found, const Model::Family& written,
                        const Model::Family& at_least);
std::string CompareFiltered(const Model::Family& found, const Model::Family& written,
                            const Model::Family& at_least);

}  // namespace slipstream::oracle
