#include "lib/wire/server_features.h"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/impl/server_builder_plugin.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/const_init.h"
#include "absl/synchronization/mutex.h"

namespace slipstream::wire {
namespace {

using Plugins = std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>;

// A process that is linked with libgrpc++_reflection has it in all its servers, by a constructor of
// that library. So this library is not linked with it, or it would be in the host's servers too;
// and where the host is, it is taken out of ours unless it is wanted.
class ReflectionOption : public grpc::ServerBuilderOption {
 public:
  ReflectionOption(bool wanted, bool* found) : wanted_(wanted), found_(found) {}

  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(Plugins* plugins) override {
    const auto is_reflection = [](const auto& plugin) {
      return plugin->name() == "proto_server_reflection";
    };
    *found_ = std::any_of(plugins->begin(), plugins->end(), is_reflection);
    if (!wanted_) std::erase_if(*plugins, is_reflection);
  }

 private:
  const bool wanted_;
  bool* const found_;
};

// gRPC's own health service is switched on for all servers of the process or for none: here for as
// long as this one is built.
std::unique_ptr<grpc::Server> BuildWithHealth(grpc::ServerBuilder* builder) {
  ABSL_CONST_INIT static absl::Mutex mutex(absl::kConstInit);
  absl::MutexLock lock(&mutex);
  const bool before = grpc::DefaultHealthCheckServiceEnabled();
  grpc::EnableDefaultHealthCheckService(true);
  std::unique_ptr<grpc::Server> server = builder->BuildAndStart();
  grpc::EnableDefaultHealthCheckService(before);
  return server;
}

}  // namespace

rocksdb::Status BuildServer(const ReplicationServerOptions& options, grpc::ServerBuilder* builder,
                            std::unique_ptr<grpc::Server>* server) {
  bool found = false;
  builder->SetOption(std::make_unique<ReflectionOption>(options.reflection, &found));
  *server = options.health_service ? BuildWithHealth(builder) : builder->BuildAndStart();
  if (options.reflection && !found) {
    server->reset();
    return rocksdb::Status::InvalidArgument(
        "ReplicationServerOptions::reflection = true, expected a process that is linked with "
        "grpc++_reflection");
  }
  return rocksdb::Status::OK();
}

void SetServing(grpc::Server* server, const std::string& database, bool serving) {
  if (server == nullptr || server->GetHealthCheckService() == nullptr) return;
  server->GetHealthCheckService()->SetServingStatus("slipstream.v1.Replication/" + database,
                                                    serving);
}

}  // namespace slipstream::wire
