#include "cluster.h"

#include <algorithm>
#include <future>
#include <utility>

namespace slipstream_top {
namespace {

constexpr size_t kMaxEndpoints = 200;

template <typename Names>
bool Contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

EndpointPoller::EndpointPoller(const std::string& endpoint, const ClientSettings& settings,
                               std::chrono::milliseconds interval)
    : interval_(interval), client_(endpoint, settings), with_finished_(settings.with_finished) {
  state_.endpoint = endpoint;
  thread_ = std::thread([this] { Run(); });
}

EndpointPoller::~EndpointPoller() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
    wake_.notify_all();
  }
  client_.Stop();
  thread_.join();
}

void EndpointPoller::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stop_) {
    poll_now_ = false;
    const bool with_finished = with_finished_;
    const std::string history_id = history_id_;
    std::vector<KillRequest> kills;
    kills.swap(kills_);
    lock.unlock();
    std::string message;
    for (const KillRequest& kill : kills) message = client_.Kill(kill.id, kill.message);
    EndpointState state = client_.Fetch(with_finished);
    std::vector<std::string> history;
    if (!history_id.empty()) history = client_.FetchHistory(history_id);
    lock.lock();
    state_ = std::move(state);
    if (history_id == history_id_) history_ = std::move(history);
    if (!message.empty()) message_ = std::move(message);
    wake_.wait_for(lock, interval_, [this] { return stop_ || poll_now_; });
  }
}

EndpointState EndpointPoller::state() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return state_;
}

void EndpointPoller::SetWithFinished(bool with_finished) {
  std::lock_guard<std::mutex> lock(mutex_);
  with_finished_ = with_finished;
  poll_now_ = true;
  wake_.notify_all();
}

void EndpointPoller::Kill(const std::string& id, const std::string& message) {
  std::lock_guard<std::mutex> lock(mutex_);
  kills_.push_back({id, message});
  poll_now_ = true;
  wake_.notify_all();
}

void EndpointPoller::WatchHistory(const std::string& id) {
  std::lock_guard<std::mutex> lock(mutex_);
  history_id_ = id;
  history_.clear();
  poll_now_ = !id.empty();
  wake_.notify_all();
}

std::vector<std::string> EndpointPoller::history() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return history_;
}

std::optional<std::string> EndpointPoller::TakeMessage() {
  std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(message_, std::nullopt);
}

Cluster::Cluster(ClusterSettings settings)
    : settings_(std::move(settings)), with_finished_(settings_.client.with_finished) {
  for (const std::string& endpoint : settings_.endpoints) Add(endpoint);
}

void Cluster::Add(const std::string& endpoint) {
  if (Find(endpoint) != nullptr || pollers_.size() >= kMaxEndpoints) return;
  ClientSettings client = settings_.client;
  client.with_finished = with_finished_;
  pollers_.emplace_back(endpoint,
                        std::make_unique<EndpointPoller>(endpoint, client, settings_.interval));
}

EndpointPoller* Cluster::Find(const std::string& endpoint) const {
  for (const auto& [name, poller] : pollers_) {
    if (name == endpoint) return poller.get();
  }
  return nullptr;
}

std::vector<EndpointState> Cluster::States() {
  std::vector<EndpointState> states;
  for (const auto& [name, poller] : pollers_) states.push_back(poller->state());
  if (!settings_.with_followers) return states;
  for (const EndpointState& state : states) {
    for (const std::string& follower : state.followers) Add(follower);
  }
  return states;
}

void Cluster::SetWithFinished(bool with_finished) {
  with_finished_ = with_finished;
  for (const auto& [name, poller] : pollers_) poller->SetWithFinished(with_finished);
}

void Cluster::Kill(const TaskRow& task, const std::string& message) {
  if (EndpointPoller* poller = Find(task.endpoint); poller != nullptr) {
    poller->Kill(task.id, message);
  }
}

void Cluster::ShowHistory(const TaskRow& task) {
  HideHistory();
  if (EndpointPoller* poller = Find(task.endpoint); poller != nullptr) {
    poller->WatchHistory(task.id);
    history_ = HistoryView{task.endpoint, task.id, {}};
  }
}

void Cluster::HideHistory() {
  if (!history_.has_value()) return;
  Find(history_->endpoint)->WatchHistory({});
  history_.reset();
}

std::optional<HistoryView> Cluster::history() const {
  std::optional<HistoryView> view = history_;
  if (view.has_value()) view->lines = Find(view->endpoint)->history();
  return view;
}

std::optional<std::string> Cluster::TakeMessage() {
  std::optional<std::string> newest;
  for (const auto& [name, poller] : pollers_) {
    std::optional<std::string> message = poller->TakeMessage();
    if (message.has_value()) newest = std::move(message);
  }
  return newest;
}

std::vector<EndpointState> AskOnce(const ClusterSettings& settings) {
  std::vector<EndpointState> states;
  std::vector<std::string> known = settings.endpoints;
  // Followers know no others, so this ends; endpoints that claim to are limited in number.
  while (states.size() < known.size()) {
    std::vector<std::future<EndpointState>> answers;
    for (size_t i = states.size(); i < known.size(); ++i) {
      answers.push_back(std::async(std::launch::async, [&settings, endpoint = known[i]] {
        EndpointClient client(endpoint, settings.client);
        return client.Fetch(settings.client.with_finished);
      }));
    }
    for (std::future<EndpointState>& answer : answers) states.push_back(answer.get());
    if (!settings.with_followers) continue;
    for (const EndpointState& state : states) {
      for (const std::string& follower : state.followers) {
        if (!Contains(known, follower) && known.size() < kMaxEndpoints) known.push_back(follower);
      }
    }
  }
  return states;
}

}  // namespace slipstream_top
