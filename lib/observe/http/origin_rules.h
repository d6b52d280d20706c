// Which requests a browser may be behind: host names that are ours, and origins that may read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace slipstream::observe {

// Threads: any.
class OriginRules {
 public:
  OriginRules(std::vector<std::string> allow_hosts, std::vector<std::string> allow_origins);

  // host: of a Host header. A site can let its own name stand for 127.0.0.1 and would then have the
  // same origin as this server; it cannot do so with an address, or with a name that is ours.
  bool IsOurHost(std::string_view host) const;

  // origin: of an Origin header. host: of the same request.
  bool MayRead(std::string_view origin, std::string_view host) const;

  // "name:80" and "[::1]:80" without the port and the brackets, in lower case.
  static std::string NameOf(std::string_view host);

 private:
  std::vector<std::string> hosts_;
  std::vector<std::string> origins_;
};

}  // namespace slipstream::observe
