// The calls that a host's own gRPC server serves, as tasks.
#pragma once

#include <memory>

#include "slipstream/observe/task_registry.h"

namespace grpc::experimental {
class ServerInterceptorFactoryInterface;
}  // namespace grpc::experimental

namespace slipstream::observe {

// Makes an interceptor that has each call in `registry` from its arrival until its handler has
// ended it: of kind "grpc", with the attributes "method" and "peer". What the client was told is
// the outcome. To cancel the task is to cancel the call, as if its client had gone: the handler
// sees that on its grpc::ServerContext.
//
//   std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
//   interceptors; interceptors.push_back(slipstream::observe::NewTaskInterceptorFactory(registry));
//   builder.experimental().SetInterceptorCreators(std::move(interceptors));
//
// Threads: gRPC calls it from its own. Lifetime: `registry` outlives the server.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> NewTaskInterceptorFactory(
    TaskRegistry* registry);

}  // namespace slipstream::observe
