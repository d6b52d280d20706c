// What a host holds after NewIterator().
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lib/core/rocksdb_release.h"
#include "lib/follower/column_family_slots.h"
#include "lib/follower/generation.h"
#include "lib/follower/generation_iterator.h"
#include "rocksdb/iterator.h"
#include "rocksdb/options.h"

namespace slipstream {

// An iterator over one column family of one generation. Refresh() moves it to the generation that
// is current then.
//
// Threads: as rocksdb::Iterator.
class FollowerIterator final : public GenerationIterator<rocksdb::Iterator> {
 public:
  // options: those that `inner` was made with.
  // column_family: read, not kept; the host may delete it before the iterator.
  FollowerIterator(GenerationSet* generations, const FollowerColumnFamilyHandle& column_family,
                   const rocksdb::ReadOptions& options, GenerationRef generation,
                   std::unique_ptr<rocksdb::Iterator> inner);

  rocksdb::Slice value() const override { return inner()->value(); }
  const rocksdb::WideColumns& columns() const override { return inner()->columns(); }
  rocksdb::Slice timestamp() const override { return inner()->timestamp(); }
  rocksdb::Status status() const override;
  rocksdb::Status GetProperty(std::string name, std::string* value) override;

  // Returns NotSupported         made with a snapshot (RocksDB 7.8 alone).
  //         ColumnFamilyDropped  the current generation does not have the column family.
  // After a failure the iterator is where it was.
  rocksdb::Status Refresh() override;
#if SLIPSTREAM_ROCKSDB_9
  // Moves it to the snapshot; nullptr: as above.
  // Returns InvalidArgument  the snapshot is not one of this database.
  rocksdb::Status Refresh(const rocksdb::Snapshot* snapshot) override;
#endif

 private:
  rocksdb::Status RefreshTo(const rocksdb::Snapshot* snapshot);

  GenerationSet* const generations_;
  const size_t slot_;
  const uint32_t column_family_id_;
  const std::string column_family_name_;
  rocksdb::ReadOptions options_;
};

}  // namespace slipstream
