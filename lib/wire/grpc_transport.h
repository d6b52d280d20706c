// The follower's way to its leader, over gRPC.
#pragma once

#include <memory>
#include <string>

#include "lib/core/transport.h"

namespace grpc {
class ChannelCredentials;
}  // namespace grpc

namespace slipstream {

// address: host:port. credentials: null = no encryption. Connects when a stream is opened.
std::unique_ptr<FollowerTransport> NewGrpcTransport(
    const std::string& address, std::shared_ptr<grpc::ChannelCredentials> credentials);

}  // namespace slipstream
