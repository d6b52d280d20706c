#include "lib/observe/http/origin_rules.h"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>

#include "lib/host/host_name.h"

namespace slipstream::observe {
namespace {

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

bool IsAddress(const std::string& name) {
  in6_addr address;
  return inet_pton(AF_INET, name.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, name.c_str(), &address) == 1;
}

bool Has(const std::vector<std::string>& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace

OriginRules::OriginRules(std::vector<std::string> allow_hosts,
                         std::vector<std::string> allow_origins)
    : hosts_(std::move(allow_hosts)), origins_(std::move(allow_origins)) {
  for (std::string& host : hosts_) host = LowerCase(host);
  for (std::string& origin : origins_) origin = LowerCase(origin);
  hosts_.push_back("localhost");
  const std::string own = LowerCase(HostName());
  hosts_.push_back(own);
  hosts_.push_back(own.substr(0, own.find('.')));
}

std::string OriginRules::NameOf(std::string_view host) {
  if (host.starts_with('[')) return LowerCase(host.substr(1, host.find(']') - 1));
  return LowerCase(host.substr(0, host.find(':')));
}

bool OriginRules::IsOurHost(std::string_view host) const {
  const std::string name = NameOf(host);
  return IsAddress(name) || Has(hosts_, name) || Has(hosts_, "*");
}

bool OriginRules::MayRead(std::string_view origin, std::string_view host) const {
  const std::string text = LowerCase(origin);
  if (Has(origins_, text) || Has(origins_, "*")) return true;
  constexpr std::string_view kSchemes[] = {"http://", "https://"};
  for (const std::string_view scheme : kSchemes) {
    if (text.starts_with(scheme)) return NameOf(text.substr(scheme.size())) == NameOf(host);
  }
  return false;
}

}  // namespace slipstream::observe
