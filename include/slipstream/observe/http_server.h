// HttpServer: the process list, metrics, health and replication of this process over HTTP.
//
//   std::unique_ptr<observe::HttpServer> server;
//   Status s = observe::HttpServer::Start({.registry = tasks.get()}, &server);
//   server->AddSource(leader->source());
//
// Paths:
//   GET    /                       a page that shows all of the below, of this process and of the
//                                  followers of its leader; ?host=HOST:PORT,... of others
//   GET    /procs/                 tasks, as VividCortex's pm lists them, with more fields.
//   Filters:
//                                  kind=, status=, id=, parent=, attr.NAME= (a * at the end matches
//                                  any rest; several values of one name: any of them), q= (a part
//                                  of any text), state=running|finished|failed|all (finished: ended
//                                  in any way; failed: or cancelled; default: running);
//                                  sort=[-]procTime|statusTime|endTime|kind|status|id; limit=;
//                                  tree=1
//   GET    /procs/tree             the same with children below their parents
//   GET    /procs/ID               one task
//   GET    /procs/ID/history       its changes of status
//   GET    /procs/ID/blockers      what it waits for, what that waits for, and so on
//   DELETE /procs/ID               cancels it; the body may be {"message": "why"}
//   GET    /metrics                in Prometheus' text format
//   GET    /health                 200 or 503; ?max_lag_ms=
//   GET    /replication            what each source tells of its replication
//   GET    /history                tasks of many processes that have ended, from a History:
//                                  kind=, status=, outcome=, instance=, attr.NAME=, from=, to=,
//                                  limit=, after=; see ParseHistoryParameters
//   GET    /history/INSTANCE/ID    one of them
//   GET    /threads                the stacks of all threads, as thread_stacks.h tells: format= one
//                                  of json and text; with samples=N&interval_ms=M as collapsed
//                                  stacks, for at most 10 s
//   POST   /pm                     "/pm ENVIRONMENT" in a chat, in the form of Slack's slash
//                                  commands: answered with the URL of a page with all its endpoints
// Errors are JSON, {"error": "..."}: 400 a parameter or body that is not understood, 401 the bearer
// token is missing or wrong, 403 the task forbids it or the server has no token, 404 unknown, 405
// another verb (with Allow), 413, 414 and 431 too long, 421 the host name is not ours, 503 too much
// to do.
//
// Who may look: everybody who reaches the port may read. What changes something needs the token.
// Browsers are a way round a loopback address, so a request whose Host header is a name that is not
// known to be ours is refused (a site could point its own name to 127.0.0.1), and pages of other
// origins may not read unless they are allowed to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rocksdb/status.h"
#include "slipstream/observe/source.h"
#include "slipstream/observe/task_registry.h"

namespace slipstream::observe {

class History;

struct HttpServerOptions {
  // "ADDRESS:PORT" with an address in numbers or "localhost"; IPv6 in brackets; port 0 = any that
  // is free. There is no TLS: whoever listens on more than loopback does so in a network that may
  // see all of this. Default: loopback, any port
  std::string listen_address = "127.0.0.1:0";

  // What requests that change something must carry ("Authorization: Bearer ..."). Default: empty =
  // they are all refused
  std::string bearer_token = "";

  // Whose tasks are shown. Outlives the server. Default: nullptr = none
  TaskRegistry* registry = nullptr;

  // What /history asks. Outlives the server. Default: nullptr = none
  const History* history = nullptr;

  // Origins ("http://leader-1:9090") whose pages may read, "*" = all. Those with the same host name
  // as this server, and any port, always may. Default: none
  std::vector<std::string> allow_origins = {};

  // Names by which browsers may reach the server; "*" = any. Addresses in numbers, "localhost" and
  // the machine's own name are always allowed. Default: none
  std::vector<std::string> allow_hosts = {};

  // How far behind a source may be and still be healthy, in lag and in staleness; ?max_lag_ms=
  // says otherwise for one request. Unit: milliseconds. Default: 10 s
  uint64_t max_lag_ms = 10'000;

  // Endpoints ("HOST:PORT") by the name of an environment, for /pm. An environment that has this
  // server, and any that is named as a database which a source of this server replicates, also has
  // this server and the followers that its leader knows. Default: none
  std::map<std::string, std::vector<std::string>> environments = {};

  // What requests of /pm are signed with, as Slack does it; they must be no older than five
  // minutes. Default: empty = whoever reaches the port may ask, as for all that only reads
  std::string chat_signing_secret = "";

  // How people reach this server, for the links that /pm gives: "http://leader-1:9090".
  // Default: empty = by the host name of the request
  std::string page_url = "";

  // Threads that answer. Range: 1 to 64. Default: 4
  size_t threads = 4;

  // Beyond it, a connection that waits for nothing is closed for a new one, or else the new one is
  // refused with 503. Range: 1 to 65'536. Default: 1024
  size_t max_connections = 1024;

  // Requests that wait for a thread; beyond it they are answered with 503. Range: 1 to 65'536.
  // Default: 256
  size_t max_waiting_requests = 256;

  // How long a client may take to send a request, and how long to take its answer.
  // Unit: milliseconds. Range: 1 to 3'600'000. Default: 10 s
  uint64_t client_timeout_ms = 10'000;

  // How long a connection may stay without a request. Unit: milliseconds. Range: 1 to 3'600'000.
  // Default: 30 s
  uint64_t idle_timeout_ms = 30'000;

  // Returns InvalidArgument, naming the field, its value and what was expected.
  [[nodiscard]] rocksdb::Status Validate() const;
};

// Nothing listens before Start.
//
// Threads: all methods may be called from any thread, calls may overlap. One thread serves all
// connections (ss-http), some more answer requests (ss-http-answer): a client that is slow or
// silent occupies none.
// Memory: bounded by max_connections * 48 KiB and 64 MiB of answers that clients have not taken
// yet; beyond that they get 503.
class HttpServer {
 public:
  // Returns InvalidArgument  as HttpServerOptions::Validate();
  //         IOError          the address cannot be listened on, or no thread can be made.
  [[nodiscard]] static rocksdb::Status Start(const HttpServerOptions& options,
                                             std::unique_ptr<HttpServer>* out);
  // Stops it.
  virtual ~HttpServer() = default;

  // A source is shown from its adding to its removal; adding one twice is adding it once.
  virtual void AddSource(std::shared_ptr<const Source> source) = 0;
  virtual void RemoveSource(const std::shared_ptr<const Source>& source) = 0;

  virtual uint16_t port() const = 0;

  // Closes all connections and waits for answers in the making, each of which is bounded. Nothing
  // calls a source or the registry afterwards. May be called more than once.
  virtual void Stop() = 0;
};

}  // namespace slipstream::observe
