// What a server has beside the replication service: the standard health service, and reflection.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "rocksdb/status.h"
#include "slipstream/replication_server.h"

namespace slipstream::wire {

// Builds and starts a server with what `options` ask for; `*server` is null if it could not listen.
// Returns InvalidArgument if reflection is wanted and the process is not linked with it.
[[nodiscard]] rocksdb::Status BuildServer(const ReplicationServerOptions& options,
                                          grpc::ServerBuilder* builder,
                                          std::unique_ptr<grpc::Server>* server);

// Tells the health service whether the database is served. Nothing if the server has none.
void SetServing(grpc::Server* server, const std::string& database, bool serving);

}  // namespace slipstream::wire
