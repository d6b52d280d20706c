// ReplicationServer: the gRPC service through which followers reach leaders.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "rocksdb/status.h"

namespace grpc {
class ServerBuilder;
class ServerCredentials;
}  // namespace grpc

namespace slipstream {

class StreamRouter;

struct ReplicationServerOptions {
  // host:port to listen on. Port 0 lets the system choose one; port() tells which.
  // Default: "127.0.0.1:0"
  std::string listen_address = "127.0.0.1:0";

  // Credentials of the listening port; TLS and mutual TLS are made by gRPC's own factories.
  // Default: nullptr = no encryption, for which the address should be a loopback one.
  std::shared_ptr<grpc::ServerCredentials> credentials;

  // Adds the standard health service (grpc.health.v1.Health). It knows the service "" and, for each
  // database, "slipstream.v1.Replication/NAME": SERVING from when its leader has opened until it
  // closes, then NOT_SERVING; unknown before. It is gRPC's own, which is switched on for a whole
  // process: Start does so for as long as it builds this server, so do not build another one in
  // another thread meanwhile.
  // Default: false.
  bool health_service = false;

  // Adds server reflection, with which tools list services and their messages. The application has
  // to be linked with grpc++_reflection, whose presence alone adds it to all other gRPC servers of
  // the process: therefore this library is not. Start returns InvalidArgument without it. Where it
  // is linked and this is false, this server has no reflection.
  // Default: false.
  bool reflection = false;
};

// Serves any number of leaders of one process. A Leader that is given none makes its own.
//
// Threads: all methods may be called from any thread.
// Lifetime: held by shared_ptr; each Leader keeps a reference while it serves. Destroying the last
// reference ends all streams.
class ReplicationServer {
 public:
  // Listens at once. Returns IOError, naming the address, if that cannot be done (for example the
  // port is in use); InvalidArgument for an empty address.
  [[nodiscard]] static rocksdb::Status Start(const ReplicationServerOptions& options,
                                             std::shared_ptr<ReplicationServer>* out);

  // Adds the service to a server that the host builds and owns: call before
  // builder->BuildAndStart(). The host shuts its own server down before it drops the last
  // reference; Stop() is called first so that open streams end and that shutdown does not wait.
  static std::shared_ptr<ReplicationServer> Register(grpc::ServerBuilder* builder);

  virtual ~ReplicationServer() = default;

  // The port listened on; 0 if the host built the server.
  virtual int port() const = 0;

  // Ends all streams and refuses new ones. Called by the destructor too. Blocks until no call into
  // a leader is running; at most a few seconds.
  virtual void Stop() = 0;

  // Where leaders announce themselves; of use inside the library only.
  virtual StreamRouter* router() = 0;
};

}  // namespace slipstream
