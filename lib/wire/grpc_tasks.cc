#include "slipstream/observe/grpc_tasks.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_interceptor.h>

#include <optional>
#include <string>

#include "slipstream/observe/task.h"

namespace slipstream::observe {
namespace {

using grpc::experimental::InterceptionHookPoints;
using rocksdb::Status;

// For the process list: the code as a number, as gRPC documents them, and the message.
Status ToStatus(const grpc::Status& status) {
  if (status.ok()) return Status::OK();
  return Status::Aborted("gRPC code " + std::to_string(status.error_code()),
                         status.error_message());
}

// Of one call. gRPC destroys it with the call's context.
class TaskInterceptor : public grpc::experimental::Interceptor {
 public:
  TaskInterceptor(TaskRegistry* registry, grpc::experimental::ServerRpcInfo* info)
      : task_(registry, "grpc", {{"method", info->method() == nullptr ? "" : info->method()}}),
        context_(info->server_context()) {}
  ~TaskInterceptor() override {
    hook_.reset();
    task_.Finish(Status::Aborted("the call ended without a status"));
  }

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
      task_.SetAttribute("peer", context_->peer());
      hook_.emplace(task_.token(), [context = context_] { context->TryCancel(); });
    }
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      // From here on the context may go.
      hook_.reset();
      task_.Finish(ToStatus(methods->GetSendStatus()));
    }
    methods->Proceed();
  }

 private:
  Task task_;
  grpc::ServerContextBase* const context_;
  std::optional<CancelHook> hook_;
};

class TaskInterceptorFactory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit TaskInterceptorFactory(TaskRegistry* registry) : registry_(registry) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    return new TaskInterceptor(registry_, info);
  }

 private:
  TaskRegistry* const registry_;
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> NewTaskInterceptorFactory(
    TaskRegistry* registry) {
  return std::make_unique<TaskInterceptorFactory>(registry);
}

}  // namespace slipstream::observe
