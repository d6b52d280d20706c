#include "lib/follower/prepare_markers.h"

#include "rocksdb/write_batch.h"

namespace slipstream {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

class MarkerFinder : public rocksdb::WriteBatch::Handler {
 public:
  bool found() const { return found_; }

  Status PutCF(uint32_t, const Slice&, const Slice&) override { return Status::OK(); }
  Status PutEntityCF(uint32_t, const Slice&, const Slice&) override { return Status::OK(); }
  Status DeleteCF(uint32_t, const Slice&) override { return Status::OK(); }
  Status SingleDeleteCF(uint32_t, const Slice&) override { return Status::OK(); }
  Status DeleteRangeCF(uint32_t, const Slice&, const Slice&) override { return Status::OK(); }
  Status MergeCF(uint32_t, const Slice&, const Slice&) override { return Status::OK(); }
  Status PutBlobIndexCF(uint32_t, const Slice&, const Slice&) override { return Status::OK(); }
  Status MarkNoop(bool) override { return Status::OK(); }
  Status MarkBeginPrepare(bool) override { return Found(); }
  Status MarkEndPrepare(const Slice&) override { return Found(); }
  Status MarkCommit(const Slice&) override { return Found(); }
  Status MarkCommitWithTimestamp(const Slice&, const Slice&) override { return Found(); }
  Status MarkRollback(const Slice&) override { return Found(); }
  bool Continue() override { return !found_; }

 private:
  Status Found() {
    found_ = true;
    return Status::OK();
  }

  bool found_ = false;
};

}  // namespace

Status RefusePrepareMarkers(Slice record) {
  MarkerFinder finder;
  rocksdb::WriteBatch batch(record.ToString());
  Status s = batch.Iterate(&finder);
  if (finder.found()) {
    return Status::NotSupported(
        "the leader's WAL holds a two-phase transaction (Transaction::Prepare), which followers "
        "cannot show yet; commit without Prepare");
  }
  return s;
}

}  // namespace slipstream
