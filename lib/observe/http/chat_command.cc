#include "lib/observe/http/chat_command.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "lib/observe/http/json_answer.h"
#include "lib/observe/http/same_secret.h"

namespace slipstream::observe {
namespace {

constexpr std::string_view kForm = "application/x-www-form-urlencoded";

std::string Trim(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// Seen by who asked alone. Chats show what a command answers with 200, and nothing else.
void Say(const std::string& text, httplib::Response* response) {
  AnswerJson(200, {{"response_type", "ephemeral"}, {"text", text}}, response);
}

// Of what is in an endpoint only what could mean something else in an address is escaped.
std::string Escape(const std::string& endpoint) {
  std::string escaped;
  for (const char c : endpoint) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view(".:-_[]").find(c) != std::string_view::npos;
    if (plain) {
      escaped += c;
    } else {
      constexpr char kDigits[] = "0123456789ABCDEF";
      const auto byte = static_cast<unsigned char>(c);
      escaped += {'%', kDigits[byte / 16], kDigits[byte % 16]};
    }
  }
  return escaped;
}

void AddOnce(const std::string& endpoint, std::vector<std::string>* endpoints) {
  if (endpoint.empty()) return;
  if (std::find(endpoints->begin(), endpoints->end(), endpoint) != endpoints->end()) return;
  endpoints->push_back(endpoint);
}

}  // namespace

std::string ChatSignature(const std::string& secret, const std::string& timestamp,
                          const std::string& body) {
  const std::string signed_text = "v0:" + timestamp + ":" + body;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size(),
           digest.data(), &size) == nullptr) {
    return "";
  }
  std::string signature = "v0=";
  for (unsigned int i = 0; i < size; ++i) {
    constexpr char kDigits[] = "0123456789abcdef";
    signature += {kDigits[digest[i] / 16], kDigits[digest[i] % 16]};
  }
  return signature;
}

ChatCommand::ChatCommand(const HttpServerOptions& options, const SourceList* sources)
    : environments_(options.environments),
      secret_(options.chat_signing_secret),
      page_url_(options.page_url),
      sources_(sources) {}

void ChatCommand::Answer(const httplib::Request& request, uint64_t now_s,
                         httplib::Response* response) const {
  if (!secret_.empty() && !IsSigned(request, now_s)) {
    return AnswerError(401, "the signature is missing, wrong or too old", response);
  }
  if (!request.get_header_value("content-type").starts_with(kForm)) {
    return AnswerError(415, "expected " + std::string(kForm), response);
  }
  httplib::Params form;
  httplib::detail::parse_query_text(request.body, form);
  const auto text = form.find("text");
  const std::string environment = text == form.end() ? "" : Trim(text->second);
  if (environment.empty()) {
    return Say("Which environment? There are: " + KnownEnvironments(), response);
  }
  const std::string base = BaseUrl(request);
  const std::string own = base.substr(std::min(base.find("://") + 3, base.size()));
  const std::vector<std::string> endpoints = EndpointsOf(environment, own);
  if (endpoints.empty()) {
    return Say("There is no environment of that name. There are: " + KnownEnvironments(), response);
  }
  std::string url = base + "/?host=";
  for (size_t i = 0; i < endpoints.size(); ++i) {
    url.append(i == 0 ? "" : ",").append(Escape(endpoints[i]));
  }
  Say(url, response);
}

bool ChatCommand::IsSigned(const httplib::Request& request, uint64_t now_s) const {
  const std::string timestamp = request.get_header_value("x-slack-request-timestamp");
  if (timestamp.empty() || timestamp.size() > 12 ||
      timestamp.find_first_not_of("0123456789") != std::string::npos) {
    return false;
  }
  const uint64_t signed_s = std::stoull(timestamp);
  const uint64_t age_s = signed_s > now_s ? signed_s - now_s : now_s - signed_s;
  if (age_s > kMaxAgeSeconds) return false;
  const std::string expected = ChatSignature(secret_, timestamp, request.body);
  return !expected.empty() && SameSecret(request.get_header_value("x-slack-signature"), expected);
}

std::string ChatCommand::BaseUrl(const httplib::Request& request) const {
  if (!page_url_.empty())
    return page_url_.ends_with('/') ? page_url_.substr(0, page_url_.size() - 1) : page_url_;
  return "http://" + request.get_header_value("host");
}

std::vector<std::string> ChatCommand::EndpointsOf(const std::string& environment,
                                                  const std::string& own_endpoint) const {
  std::vector<std::string> endpoints;
  const auto configured = environments_.find(environment);
  if (configured != environments_.end()) endpoints = configured->second;
  const bool has_this_server =
      std::find(endpoints.begin(), endpoints.end(), own_endpoint) != endpoints.end();
  for (const SourcePtr& source : sources_->All()) {
    const ReplicationReport report = source->Replication();
    if (!has_this_server && report.database != environment) continue;
    AddOnce(own_endpoint, &endpoints);
    for (const FollowerReport& follower : report.followers) {
      AddOnce(follower.observe_endpoint, &endpoints);
    }
  }
  return endpoints;
}

std::string ChatCommand::KnownEnvironments() const {
  std::set<std::string> names;
  for (const auto& [name, endpoints] : environments_) names.insert(name);
  for (const SourcePtr& source : sources_->All()) names.insert(source->Replication().database);
  names.erase("");
  std::string list;
  for (const std::string& name : names) list.append(list.empty() ? "" : ", ").append(name);
  return list.empty() ? "none" : list;
}

}  // namespace slipstream::observe
