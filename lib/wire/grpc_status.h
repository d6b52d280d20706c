// RocksDB's status as gRPC carries it, and back.
#pragma once

#include <grpcpp/support/status.h>

#include "rocksdb/status.h"

namespace slipstream::wire {

// The code survives the way for those codes that a follower acts on; the message always.
grpc::Status ToGrpc(const rocksdb::Status& status);
rocksdb::Status FromGrpc(const grpc::Status& status, const std::string& peer);

}  // namespace slipstream::wire
