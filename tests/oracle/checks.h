// Comparisons of whole contents, while nobody writes.
#pragma once

#include <string>

#include "tests/oracle/cluster.h"
#include "tests/oracle/model.h"
#include "tests/oracle/random.h"
#include "tests/oracle/verdict.h"

namespace slipstream::oracle {

// Waits until every open follower shows the leader's position, then compares leader, model and
// followers. Where sequence numbers may differ until the next write, it makes one. Failures go to
// the verdict.
// REQUIRES: nobody writes.
void Checkpoint(Cluster* cluster, Model* model, Random* random, Verdict* verdict);

// What ShowSomethingNew writes. Of this key the leader is believed after a crash.
inline constexpr char kNewKey[] = "k0/new";

// Writes one key, and waits until every open follower shows it: none then reads from a generation
// whose files may have been given up while it was cut off.
// REQUIRES: nobody writes.
void ShowSomethingNew(Cluster* cluster, Model* model, Verdict* verdict);

// Compares one column family of one database with the model.
// Returns an empty string, or the first difference.
std::string CompareFamily(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* handle,
                          const Model::Family& expected, Random* random, Totals* totals);

// Compares what is exact about the special column families where the leader drops and filters
// nothing meanwhile: makes a barrier, at which every follower opens the leader's files.
// REQUIRES: nobody writes.
void CompareSettled(Cluster* cluster, Model* model, Verdict* verdict);

// What the leader has between two keys, for what the model cannot know.
[[nodiscard]] rocksdb::Status ReadRange(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* handle,
                                        const std::string& begin, const std::string& end,
                                        Model::Family* content);

// Everything that the storage holds for the database belongs to its present state.
// REQUIRES: no followers; a short lease.
void CheckNothingLeaks(Cluster* cluster, Verdict* verdict);

}  // namespace slipstream::oracle
