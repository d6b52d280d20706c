// What happens to a database beside writes: flushes, compactions, changed options, column families
// that come and go, ingested files, followers that come and go.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/oracle/cluster.h"
#include "tests/oracle/journal.h"
#include "tests/oracle/model.h"
#include "tests/oracle/random.h"
#include "tests/oracle/verdict.h"
#include "tests/oracle/workload.h"

namespace slipstream::oracle {

// Threads: the conductor's.
class Maintenance {
 public:
  Maintenance(const RunOptions& run, const SeedOptions& seed, Cluster* cluster, Model* model,
              Journal* journal, Random* random, Verdict* verdict);

  // Does something that may go on beside writers.
  // reserved: column families that no writer writes to meanwhile.
  void DoOne(const std::vector<std::string>& reserved);
  // Does something for which writers have to pause.
  void DoOneAlone();
  // The only flush that there is with atomic flush.
  void FlushAlone() { FlushSome(); }
  // The content that this class writes, under the number of no writer.
  static constexpr size_t kWriter = 0;

 private:
  bool FlushSome();
  bool CompactSome();
  bool ChangeOptions();
  bool SyncWal();
  bool CreateFamily();
  bool DropFamily(const std::vector<std::string>& reserved);
  bool Ingest();
  bool DeleteFiles();
  bool PauseFileDeletions();
  // Writes one file and says what it means.
  rocksdb::Status WriteIngested(const std::string& path, const std::string& family,
                                std::vector<Change>* changes);
  std::string AnyFamily();
  // None of the special ones.
  std::string AnyOrdinaryFamily();
  bool Report(const std::string& what, const rocksdb::Status& s);

  const RunOptions& run_;
  const SeedOptions& seed_;
  Cluster* const cluster_;
  Model* const model_;
  Journal* const journal_;
  Random* const random_;
  Verdict* const verdict_;
  uint64_t next_file_ = 0;
};

}  // namespace slipstream::oracle
