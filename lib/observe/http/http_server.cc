#include "slipstream/observe/http_server.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "lib/host/plain_mutex.h"
#include "lib/observe/http/answer_pool.h"
#include "lib/observe/http/connection_loop.h"
#include "lib/observe/http/listen_socket.h"
#include "lib/observe/http/request_processor.h"
#include "lib/observe/http/routes.h"
#include "lib/observe/http/source_list.h"

namespace slipstream::observe {
namespace {

using rocksdb::Status;

Status CheckRange(const char* field, uint64_t value, uint64_t low, uint64_t high) {
  if (low <= value && value <= high) return Status::OK();
  return Status::InvalidArgument("HttpServerOptions::" + std::string(field),
                                 "is " + std::to_string(value) + ", expected " +
                                     std::to_string(low) + " to " + std::to_string(high));
}

ConnectionLimits LimitsOf(const HttpServerOptions& options) {
  ConnectionLimits limits;
  limits.connections = options.max_connections;
  limits.client_timeout_us = options.client_timeout_ms * 1000;
  limits.idle_timeout_us = options.idle_timeout_ms * 1000;
  return limits;
}

class HttpServerImpl : public HttpServer {
 public:
  explicit HttpServerImpl(const HttpServerOptions& options)
      : pool_(options.max_waiting_requests),
        loop_(LimitsOf(options), &pool_,
              [this](std::string_view head, std::string_view body) {
                return processor_.Answer(head, body);
              }),
        routes_(options, &sources_, &loop_.stats()),
        processor_([this](const httplib::Request& request, httplib::Response& response) {
          routes_.Answer(request, response);
        }) {}
  ~HttpServerImpl() override { Stop(); }

  Status Listen(const HttpServerOptions& options) {
    FileDescriptor listening;
    Status s = observe::Listen(options.listen_address, &listening, &port_);
    if (s.ok()) s = pool_.Start(options.threads);
    if (s.ok()) s = loop_.Start(std::move(listening));
    return s;
  }

  void AddSource(std::shared_ptr<const Source> source) override { sources_.Add(std::move(source)); }
  void RemoveSource(const std::shared_ptr<const Source>& source) override {
    sources_.Remove(source);
  }
  uint16_t port() const override { return port_; }

  void Stop() override {
    PlainLock lock(&stop_mutex_);
    loop_.Stop();
    pool_.Stop();
  }

 private:
  SourceList sources_;
  AnswerPool pool_;
  ConnectionLoop loop_;
  const Routes routes_;
  RequestProcessor processor_;
  uint16_t port_ = 0;
  PlainMutex stop_mutex_;
};

}  // namespace

Status HttpServerOptions::Validate() const {
  constexpr uint64_t kHourMs = 3'600'000;
  std::string address;
  uint16_t port = 0;
  Status s = ParseListenAddress(listen_address, &address, &port);
  if (s.ok() && bearer_token.find_first_of(" \t\r\n") != std::string::npos) {
    s = Status::InvalidArgument("HttpServerOptions::bearer_token",
                                "has white space, expected none");
  }
  if (s.ok()) s = CheckRange("threads", threads, 1, 64);
  if (s.ok()) s = CheckRange("max_connections", max_connections, 1, 65'536);
  if (s.ok()) s = CheckRange("max_waiting_requests", max_waiting_requests, 1, 65'536);
  if (s.ok()) s = CheckRange("client_timeout_ms", client_timeout_ms, 1, kHourMs);
  if (s.ok()) s = CheckRange("idle_timeout_ms", idle_timeout_ms, 1, kHourMs);
  return s;
}

Status HttpServer::Start(const HttpServerOptions& options, std::unique_ptr<HttpServer>* out) {
  out->reset();
  Status s = options.Validate();
  if (!s.ok()) return s;
  auto server = std::make_unique<HttpServerImpl>(options);
  s = server->Listen(options);
  if (s.ok()) *out = std::move(server);
  return s;
}

}  // namespace slipstream::observe
