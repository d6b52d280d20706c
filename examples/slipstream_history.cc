// What processes have done: asks a running one for its history, or reads the task logs straight
// from the storage, with the same filters, when the database itself is what is broken.
//
// What to look at: `--outcome failed --from -1h` first, then the account or peer that the failed
// ones have in common with --attr; --json for everything that is known of each task, one to a line.

#include <httplib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "slipstream/observe/history.h"
#include "slipstream/observe/task_log.h"
#include "slipstream/shared_storage.h"

using nlohmann::ordered_json;
using slipstream::observe::HistoryQuery;

namespace {

using Parameters = std::vector<std::pair<std::string, std::string>>;

constexpr char kFooter[] = R"(
A moment is 2026-11-25T21:30:00Z, seconds since 1970, or a time ago: -90s, -15m, -2h, -7d.

  slipstream_history --endpoint leader:9090 --outcome failed --from -1h
  slipstream_history --storage /mnt/shared --kind query --attr account=42 --json

Exit code: 0 also if nothing was found, 1 if it failed, 2 for bad arguments.)";

struct Settings {
  std::string endpoint;
  std::string storage;
  std::string prefix = "observe";
  std::string kind;
  std::string status;
  std::string outcome;
  std::string instance;
  std::vector<std::string> attributes;
  std::string from;
  std::string to;
  size_t limit = 100;
  int timeout_s = 10;
  bool json = false;
};

// Ends the program with exit code 1.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

uint64_t NowMicros() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

Parameters ParametersOf(const Settings& settings) {
  Parameters parameters;
  const std::vector<std::pair<const char*, const std::string*>> texts = {
      {"kind", &settings.kind},       {"status", &settings.status},
      {"outcome", &settings.outcome}, {"instance", &settings.instance},
      {"from", &settings.from},       {"to", &settings.to}};
  for (const auto& [name, text] : texts) {
    if (!text->empty()) parameters.emplace_back(name, *text);
  }
  for (const std::string& attribute : settings.attributes) {
    const size_t equals = attribute.find('=');
    if (equals == std::string::npos) {
      throw CLI::ValidationError("--attr", "is \"" + attribute + "\", expected NAME=VALUE");
    }
    parameters.emplace_back("attr." + attribute.substr(0, equals), attribute.substr(equals + 1));
  }
  return parameters;
}

// One page. *after is where the next one begins; empty = there is none.
std::vector<ordered_json> AskForPage(httplib::Client* client, const std::string& endpoint,
                                     const Parameters& parameters, std::string* after) {
  httplib::Params all(parameters.begin(), parameters.end());
  if (!after->empty()) all.emplace("after", *after);
  const std::string path = httplib::append_query_params("/history", all);
  const httplib::Result result = client->Get(path.c_str());
  if (!result) throw Failure(endpoint + ": " + httplib::to_string(result.error()));
  const ordered_json answer = ordered_json::parse(result->body, nullptr, false);
  const bool is_object = answer.is_object();
  if (result->status != 200) {
    const bool has_error = is_object && answer.contains("error") && answer["error"].is_string();
    throw Failure(endpoint + " answered " + std::to_string(result->status) + ": " +
                  (has_error ? answer["error"].get<std::string>() : std::string("no history")));
  }
  if (!is_object || !answer.contains("records") || !answer["records"].is_array() ||
      !answer.contains("next") || !answer["next"].is_string()) {
    throw Failure(endpoint + " answered something else than a page of a history");
  }
  *after = answer["next"];
  return {answer["records"].begin(), answer["records"].end()};
}

std::vector<ordered_json> AskProcess(const Settings& settings, Parameters parameters) {
  httplib::Client client("http://" + settings.endpoint);
  if (!client.is_valid()) throw Failure("endpoint " + settings.endpoint + ": expected HOST:PORT");
  client.set_connection_timeout(settings.timeout_s);
  client.set_read_timeout(settings.timeout_s);
  constexpr size_t kLargestPage = 1000;
  std::vector<ordered_json> records;
  std::string after;
  do {
    // A page may be short, or empty, because it would have taken long; there may be more behind it.
    Parameters page = parameters;
    page.emplace_back("limit",
                      std::to_string(std::min(settings.limit - records.size(), kLargestPage)));
    for (ordered_json& record : AskForPage(&client, settings.endpoint, page, &after)) {
      records.push_back(std::move(record));
    }
  } while (!after.empty() && records.size() < settings.limit);
  if (records.size() > settings.limit) records.resize(settings.limit);
  return records;
}

std::vector<ordered_json> ReadStorage(const Settings& settings, const HistoryQuery& query) {
  // To open what is not there would make it.
  if (!std::filesystem::is_directory(settings.storage)) {
    throw Failure("storage " + settings.storage + ": there is no such directory");
  }
  std::shared_ptr<slipstream::SharedStorage> storage;
  rocksdb::Status s = slipstream::NewDirectoryStorage(settings.storage, &storage);
  std::vector<slipstream::observe::HistoryRecord> found;
  slipstream::observe::TaskLogReading reading;
  if (s.ok()) {
    s = slipstream::observe::ReadTaskLog(storage.get(), settings.prefix, query.filter,
                                         settings.limit, &found, &reading);
  }
  if (!s.ok()) throw Failure(s.ToString());
  if (reading.malformed + reading.newer > 0) {
    std::cerr << "passed over " << reading.malformed << " lines that are torn or no records, and "
              << reading.newer << " of a newer version\n";
  }
  if (reading.objects == 0 && found.empty()) {
    std::cerr << "no object of a task log below " << settings.prefix << "/tasks/ may have any\n";
  }
  std::vector<ordered_json> records;
  for (const auto& record : found) {
    records.push_back(ordered_json::parse(slipstream::observe::ToJson(record)));
  }
  return records;
}

// Texts are of whoever made the tasks: nothing of them reaches the terminal but characters.
std::string Shown(const ordered_json& record, const char* name) {
  if (!record.is_object() || !record.contains(name)) return "";
  const ordered_json& value = record[name];
  std::string text = value.is_string()
                         ? value.get<std::string>()
                         : value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

uint64_t NumberOf(const ordered_json& record, const char* name) {
  if (!record.is_object() || !record.contains(name)) return 0;
  return record[name].is_number_unsigned() ? record[name].get<uint64_t>() : 0;
}

std::string Moment(uint64_t us) {
  const auto seconds = static_cast<time_t>(us / 1'000'000);
  tm utc{};
  char date[40] = "";
  if (gmtime_r(&seconds, &utc) != nullptr) strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
  char text[60];
  snprintf(text, sizeof(text), "%s.%03uZ", date, static_cast<unsigned>(us / 1000 % 1000));
  return text;
}

void PrintText(const ordered_json& record) {
  const uint64_t began_us = NumberOf(record, "began_us");
  const uint64_t ended_us = NumberOf(record, "ended_us");
  char took[40];
  snprintf(took, sizeof(took), "%10.3f s",
           static_cast<double>(ended_us - std::min(began_us, ended_us)) / 1e6);
  std::cout << Moment(ended_us) << took << "  " << Shown(record, "outcome") << "  "
            << Shown(record, "kind") << "  " << Shown(record, "instance") << "/"
            << Shown(record, "id");
  if (record.contains("attrs") && record["attrs"].is_object()) {
    for (const auto& [name, value] : record["attrs"].items()) {
      const ordered_json one = {{"name", name}};
      std::cout << "  " << Shown(one, "name") << "=" << Shown(record["attrs"], name.c_str());
    }
  }
  for (const char* name : {"status", "error"}) {
    const std::string text = Shown(record, name);
    if (!text.empty()) std::cout << "  " << name << ": " << text;
  }
  std::cout << "\n";
}

void Run(const Settings& settings, const Parameters& parameters, const HistoryQuery& query) {
  const std::vector<ordered_json> records =
      settings.endpoint.empty() ? ReadStorage(settings, query) : AskProcess(settings, parameters);
  for (const ordered_json& record : records) {
    if (settings.json) {
      std::cout << record.dump(-1, ' ', false, ordered_json::error_handler_t::replace) << "\n";
    } else {
      PrintText(record);
    }
  }
  std::cout.flush();
}

void AddOptions(CLI::App* app, Settings* settings) {
  auto* source = app->add_option_group("source", "one of");
  source->add_option("--endpoint", settings->endpoint, "HOST:PORT of a process with a history");
  source->add_option("--storage", settings->storage, "directory of the shared storage");
  source->require_option(1);
  app->add_option("--prefix", settings->prefix, "of the task logs on the storage")
      ->capture_default_str();
  app->add_option("--kind", settings->kind, "of the tasks");
  app->add_option("--status", settings->status, "the last one");
  app->add_option("--outcome", settings->outcome, "ok, failed or cancelled");
  app->add_option("--instance", settings->instance, "the process");
  app->add_option("--attr", settings->attributes, "NAME=VALUE; of several: all")
      ->allow_extra_args(false);
  app->add_option("--from", settings->from, "ended at this moment or later");
  app->add_option("--to", settings->to, "ended before this moment");
  app->add_option("--limit", settings->limit, "records, the newest")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000'000));
  app->add_option("--timeout", settings->timeout_s, "of an answer, in seconds")
      ->capture_default_str()
      ->check(CLI::Range(1, 3600));
  app->add_flag("--json", settings->json, "one record to a line, with all that is known");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What processes have done: tasks that have ended, the newest first.",
               "slipstream_history");
  Settings settings;
  AddOptions(&app, &settings);
  app.footer(kFooter);
  Parameters parameters;
  HistoryQuery query;
  try {
    app.parse(argc, argv);
    parameters = ParametersOf(settings);
    const rocksdb::Status s =
        slipstream::observe::ParseHistoryParameters(parameters, NowMicros(), &query);
    if (!s.ok()) throw CLI::ValidationError(s.getState());
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  try {
    Run(settings, parameters, query);
  } catch (const std::exception& e) {
    std::cerr << "slipstream_history: " << e.what() << "\n";
    return 1;
  }
  return 0;
}
