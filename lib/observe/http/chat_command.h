// POST /pm: "/pm <environment>" in a chat, answered with a link to the page. In the form of Slack's
// slash commands, which others speak too.
#pragma once

#include <httplib.h>

#include <cstdint>
#include <string>
#include <vector>

#include "lib/observe/http/source_list.h"
#include "slipstream/observe/http_server.h"

namespace slipstream::observe {

// The signature of a request in Slack's scheme v0: HMAC-SHA256 of "v0:TIME:BODY", in hex behind
// "v0=".
std::string ChatSignature(const std::string& secret, const std::string& timestamp,
                          const std::string& body);

// Threads: any.
class ChatCommand {
 public:
  // A request that was signed longer ago than this, or will be, is somebody's copy of an old one.
  static constexpr uint64_t kMaxAgeSeconds = 300;

  // sources: outlives this.
  ChatCommand(const HttpServerOptions& options, const SourceList* sources);

  // now_s: seconds since 1970 UTC.
  void Answer(const httplib::Request& request, uint64_t now_s, httplib::Response* response) const;

 private:
  bool IsSigned(const httplib::Request& request, uint64_t now_s) const;
  // "http://HOST:PORT" of this server, as the request reached it if the options say nothing.
  std::string BaseUrl(const httplib::Request& request) const;
  // Empty if there is no such environment.
  std::vector<std::string> EndpointsOf(const std::string& environment,
                                       const std::string& own_endpoint) const;
  std::string KnownEnvironments() const;

  const std::map<std::string, std::vector<std::string>> environments_;
  const std::string secret_;
  const std::string page_url_;
  const SourceList* const sources_;
};

}  // namespace slipstream::observe
