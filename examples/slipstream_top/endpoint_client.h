// Asks one process for its tasks and its replication.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace httplib {
class Client;
}

namespace slipstream_top {

using Json = nlohmann::ordered_json;
using SteadyTime = std::chrono::steady_clock::time_point;

// Texts are as they came: SafeText makes them fit to be shown.
struct TaskRow {
  std::string endpoint;
  std::string id;
  std::string kind;
  std::string status;
  std::string attributes;  // "account=42 source=web"
  std::string progress;
  std::string blocker;
  std::string error;
  std::string outcome;  // "running", "ok", "failed", "cancelled"
  int64_t age_us = 0;   // when it was asked; of one that has ended: how long it took
  int64_t status_age_us = 0;
  SteadyTime began_at;  // by this process's clock
  SteadyTime status_since;
  // Microseconds since 1970, for comparisons: the other side's clock, put right by whole seconds.
  // What is exact within a machine stays so, and wrong clocks of others do no harm.
  int64_t began_us = 0;
  int64_t status_us = 0;
  bool cancelling = false;
  bool cancellable = true;
  Json json;  // all of it

  bool is_running() const { return outcome == "running"; }
};

struct EndpointState {
  std::string endpoint;
  bool was_asked = false;
  bool is_reached = false;
  std::string error;  // why it is not
  std::vector<TaskRow> tasks;
  uint64_t total_tasks = 0;  // also those beyond the limit
  Json replication;
  std::vector<std::string> followers;  // endpoints that a leader knows
  SteadyTime at;
};

struct ClientSettings {
  bool with_finished = false;
  size_t limit = 1000;
  std::chrono::milliseconds timeout{2000};
  std::string token;
};

// "HOST:PORT", with IPv6 addresses in brackets. False if it is something else.
bool ParseEndpoint(const std::string& endpoint, std::string* host, int* port);

// Threads: one; Stop may be called by any.
class EndpointClient {
 public:
  // REQUIRES: ParseEndpoint takes the endpoint.
  EndpointClient(std::string endpoint, ClientSettings settings);
  ~EndpointClient();

  EndpointState Fetch(bool with_finished);
  // Lines for people.
  std::vector<std::string> FetchHistory(const std::string& id);
  // What came of it, for people.
  std::string Kill(const std::string& id, const std::string& message);

  // Ends the request under way.
  void Stop();

 private:
  // False with the reason if there is no answer 200 with an object of JSON.
  bool Get(const std::string& path, Json* answer, std::string* error);

  const std::string endpoint_;
  const ClientSettings settings_;
  const std::unique_ptr<httplib::Client> client_;
};

// "1.2s", "3m04s", "2h05m", "4d03h".
std::string AgeText(int64_t us);

}  // namespace slipstream_top
