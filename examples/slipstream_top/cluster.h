// All processes that are shown: those that were named, and the followers that leaders know.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "endpoint_client.h"

namespace slipstream_top {

struct HistoryView {
  std::string endpoint;
  std::string id;
  std::vector<std::string> lines;  // empty until they have come
};

// Asks one endpoint again and again, by a thread of its own, so that one that hangs delays nobody.
class EndpointPoller {
 public:
  EndpointPoller(const std::string& endpoint, const ClientSettings& settings,
                 std::chrono::milliseconds interval);
  ~EndpointPoller();

  EndpointState state() const;
  void SetWithFinished(bool with_finished);
  void Kill(const std::string& id, const std::string& message);
  // Empty id = no history.
  void WatchHistory(const std::string& id);
  std::vector<std::string> history() const;
  // What came of the last kill; once.
  std::optional<std::string> TakeMessage();

 private:
  struct KillRequest {
    std::string id;
    std::string message;
  };
  void Run();

  const std::chrono::milliseconds interval_;
  EndpointClient client_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  bool poll_now_ = false;
  bool with_finished_;
  std::string history_id_;
  std::vector<std::string> history_;
  std::vector<KillRequest> kills_;
  std::optional<std::string> message_;
  EndpointState state_;
  std::thread thread_;
};

struct ClusterSettings {
  std::vector<std::string> endpoints;
  bool with_followers = true;
  std::chrono::milliseconds interval{1000};
  ClientSettings client;
};

// Threads: one.
class Cluster {
 public:
  explicit Cluster(ClusterSettings settings);

  // The newest of all, in the order in which they became known.
  std::vector<EndpointState> States();
  void SetWithFinished(bool with_finished);
  void Kill(const TaskRow& task, const std::string& message);
  void ShowHistory(const TaskRow& task);
  void HideHistory();
  std::optional<HistoryView> history() const;
  std::optional<std::string> TakeMessage();

 private:
  EndpointPoller* Find(const std::string& endpoint) const;
  void Add(const std::string& endpoint);

  const ClusterSettings settings_;
  bool with_finished_;
  std::vector<std::pair<std::string, std::unique_ptr<EndpointPoller>>> pollers_;
  std::optional<HistoryView> history_;
};

// Asks all of them once, and the followers that become known by that.
std::vector<EndpointState> AskOnce(const ClusterSettings& settings);

}  // namespace slipstream_top
