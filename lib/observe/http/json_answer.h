// Answers in JSON.
#pragma once

#include <httplib.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace slipstream::observe {

using Json = nlohmann::ordered_json;

inline void AnswerJson(int status, const Json& json, httplib::Response* response) {
  response->status = status;
  // Texts come from the host: what is no UTF-8 is replaced.
  response->set_content(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n",
                        "application/json");
}

inline void AnswerError(int status, std::string_view error, httplib::Response* response) {
  AnswerJson(status, Json{{"error", error}}, response);
}

}  // namespace slipstream::observe
