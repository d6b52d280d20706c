// Which directory a database goes on from. Each opening leaves on the shared storage what it opened
// and where; the next one compares, so that another database under the same name, or a copy that
// was left behind, is refused instead of taking over objects that are not its own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/core/messages.h"
#include "rocksdb/status.h"
#include "slipstream/shared_storage.h"

namespace slipstream {

// Threads: thread-compatible. Calls block on the storage.
class Lineage {
 public:
  // directory: the local one, with which messages begin. place: which directory of which machine
  // that is, for other machines.
  Lineage(std::string database, std::shared_ptr<SharedStorage> storage, std::string directory,
          std::string place);

  // What the local directory holds before it is opened.
  struct DirectoryState {
    bool has_database = false;
    std::string identity;              // of RocksDB; empty if it is not known
    std::vector<EpochStart> openings;  // that it has been through
  };
  // Before an epoch is claimed. Returns InvalidArgument if the directory does not hold what was
  // opened last under this name; IOError.
  [[nodiscard]] rocksdb::Status CheckDirectory(const DirectoryState& state);

  // Whether CheckObjects has anything to compare with. After the claim.
  [[nodiscard]] rocksdb::Status NeedsObjectCheck(uint64_t epoch, bool* needed);
  // referenced: the objects that the opened database consists of. Returns Aborted if an older
  // leader may still delete one of them, Corruption if one is not there; IOError.
  [[nodiscard]] rocksdb::Status CheckObjects(const std::vector<ObjectInfo>& referenced);

  // The opening has succeeded. Returns InvalidArgument if it opened another database than the one
  // before; IOError.
  [[nodiscard]] rocksdb::Status Record(uint64_t epoch, const std::string& identity);

 private:
  struct Opening {
    uint64_t epoch = 0;  // 0: none is known
    std::string identity;
    std::string place;
  };
  rocksdb::Status ReadNewest();
  rocksdb::Status CheckDeletions(const std::vector<std::string>& names);
  rocksdb::Status CheckPresence(const std::vector<std::string>& names);
  std::string Describe(const Opening& opening) const;

  const std::string database_;
  const std::shared_ptr<SharedStorage> storage_;
  const std::string directory_;
  const std::string place_;
  Opening newest_;                  // that came before
  std::vector<uint64_t> deleting_;  // older epochs whose leaders have announced deletions
};

// What a leader is about to delete from the storage, announced there before it makes sure that it
// is not fenced: so a newer one either is seen, or sees this.
//   deletes: names of objects.
std::string EncodeDeletions(const std::vector<std::string>& deletes);
[[nodiscard]] rocksdb::Status DecodeDeletions(const std::string& content,
                                              std::vector<std::string>* deletes);

}  // namespace slipstream
