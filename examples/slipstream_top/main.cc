// slipstream_top: what the processes of a database do now, as top shows what a machine does.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <clocale>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cluster.h"
#include "safe_text.h"
#include "screen.h"
#include "task_list.h"

namespace slipstream_top {
namespace {

constexpr char kAbout[] =
    "Shows the tasks of processes that embed Slipstream and have its HTTP server on, the oldest\n"
    "first. Of a leader it shows the followers, too, which told it where they answer.\n"
    "Exit codes: 0; 1 = an endpoint was not reached (with --once) or no terminal; 2 = usage.";

std::atomic<bool> stop{false};
void Stop(int) { stop = true; }

struct Arguments {
  ClusterSettings cluster;
  ListSettings list;
  bool once = false;
  bool json = false;
};

Json EndpointJson(const EndpointState& state) {
  Json json = {{"endpoint", state.endpoint}, {"reached", state.is_reached}};
  if (!state.is_reached) json["error"] = state.error;
  if (!state.replication.is_null()) json["replication"] = state.replication;
  return json;
}

void PrintJson(const std::vector<EndpointState>& states, const std::vector<TaskRow>& tasks) {
  Json endpoints = Json::array();
  for (const EndpointState& state : states) endpoints.push_back(EndpointJson(state));
  Json procs = Json::array();
  for (const TaskRow& task : tasks) {
    Json proc = {{"endpoint", task.endpoint}, {"ageMicros", task.age_us}};
    proc.update(task.json);
    procs.push_back(std::move(proc));
  }
  const Json all = {{"endpoints", std::move(endpoints)}, {"procs", std::move(procs)}};
  // ASCII alone: it may go to a terminal.
  std::cout << all.dump(2, ' ', true, Json::error_handler_t::replace) << "\n";
}

void PrintText(const std::vector<EndpointState>& states, const std::vector<TaskRow>& tasks) {
  for (const EndpointState& state : states) std::cout << SafeText(SummaryOf(state)) << "\n";
  for (const TaskRow& task : tasks) {
    std::cout << SafeText(task.endpoint + "  " + task.id + "  " + task.kind + "  " +
                          AgeText(task.age_us) + "  " + TextOf(task))
              << "\n";
  }
}

int RunOnce(const Arguments& arguments) {
  const std::vector<EndpointState> states = AskOnce(arguments.cluster);
  const std::vector<TaskRow> tasks = SelectTasks(states, arguments.list);
  arguments.json ? PrintJson(states, tasks) : PrintText(states, tasks);
  const bool all_reached =
      std::all_of(states.begin(), states.end(), [](const auto& state) { return state.is_reached; });
  return all_reached ? 0 : 1;
}

int RunOnScreen(const Arguments& arguments) {
  if (!Screen::IsPossible()) {
    std::cerr << "slipstream_top: this is no terminal; --once prints the list once\n";
    return 1;
  }
  struct sigaction action = {};
  action.sa_handler = Stop;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
  Cluster cluster(arguments.cluster);
  Screen screen(&cluster, arguments.list, arguments.cluster.client.with_finished);
  screen.Run(stop);
  return 0;
}

// Each one once, in the order in which they were named.
std::string CheckEndpoints(std::vector<std::string>* endpoints) {
  std::vector<std::string> unique;
  for (const std::string& endpoint : *endpoints) {
    std::string host;
    int port = 0;
    if (!ParseEndpoint(endpoint, &host, &port)) {
      return "--endpoints: \"" + SafeText(endpoint) + "\", expected HOST:PORT";
    }
    if (std::find(unique.begin(), unique.end(), endpoint) == unique.end()) {
      unique.push_back(endpoint);
    }
  }
  *endpoints = std::move(unique);
  return {};
}

int Main(int argc, char** argv) {
  std::setlocale(LC_ALL, "");
  signal(SIGPIPE, SIG_IGN);
  Arguments arguments;
  uint64_t interval_ms = 1000;
  uint64_t timeout_ms = 2000;
  bool without_followers = false;
  CLI::App app(kAbout);
  app.add_option("--endpoints,endpoints", arguments.cluster.endpoints,
                 "HOST:PORT of the processes' HTTP servers, separated by commas")
      ->required()
      ->delimiter(',');
  app.add_flag("--no-followers", without_followers, "only the endpoints that are named");
  app.add_flag("--once", arguments.once, "prints the list once");
  app.add_flag("--json", arguments.json, "prints it as JSON, with --once")->needs("--once");
  std::map<std::string, SortKey> keys;
  for (const SortKey key : kSortKeys) keys.emplace(SortKeyName(key), key);
  app.add_option("--sort", arguments.list.sort, "age, status, kind, endpoint or id")
      ->transform(CLI::CheckedTransformer(keys));
  app.add_option("--filter", arguments.list.filter,
                 "words that must all be in a task's line: \"account=42 merging\"");
  app.add_flag("--finished", arguments.cluster.client.with_finished,
               "tasks that have ended, too, as long as the processes show them");
  app.add_option("--limit", arguments.cluster.client.limit, "tasks of each process, the oldest")
      ->check(CLI::Range(1, 10'000));
  app.add_option("--interval-ms", interval_ms, "between two looks at each process")
      ->check(CLI::Range(100, 3'600'000));
  app.add_option("--timeout-ms", timeout_ms, "how long a process may take to answer")
      ->check(CLI::Range(10, 60'000));
  app.add_option("--token", arguments.cluster.client.token,
                 "what kills are authorised with, at each process that is shown; others on this\n"
                 "machine see the command line, not the environment")
      ->envname("SLIPSTREAM_TOKEN");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (const std::string error = CheckEndpoints(&arguments.cluster.endpoints); !error.empty()) {
    std::cerr << error << "\n";
    return 2;
  }
  arguments.cluster.with_followers = !without_followers;
  arguments.cluster.interval = std::chrono::milliseconds(interval_ms);
  arguments.cluster.client.timeout = std::chrono::milliseconds(timeout_ms);
  return arguments.once ? RunOnce(arguments) : RunOnScreen(arguments);
}

}  // namespace
}  // namespace slipstream_top

int main(int argc, char** argv) { return slipstream_top::Main(argc, argv); }
