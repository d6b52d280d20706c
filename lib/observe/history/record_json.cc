#include "lib/observe/history/record_json.h"

#include <cstdint>
#include <utility>

#include "lib/observe/history/task_log_name.h"

namespace slipstream::observe {
namespace {

constexpr uint64_t kVersion = 1;
constexpr uint64_t kMaxTimeUs = UINT64_C(1) << 62;

// Reads fields of an object; remembers whether one was of a wrong type.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  bool good() const { return good_; }

  void Number(const char* name, uint64_t* out) {
    const Json* value = Find(name);
    if (value == nullptr) return;
    if (value->is_number_unsigned()) {
      *out = value->get<uint64_t>();
    } else {
      good_ = false;
    }
  }
  void Text(const char* name, std::string* out) {
    const Json* value = Find(name);
    if (value == nullptr) return;
    if (value->is_string()) {
      *out = value->get_ref<const std::string&>();
    } else {
      good_ = false;
    }
  }
  const Json* Object(const char* name) {
    const Json* value = Find(name);
    if (value != nullptr && !value->is_object()) good_ = false;
    return good_ ? value : nullptr;
  }
  const Json* Array(const char* name) {
    const Json* value = Find(name);
    if (value != nullptr && !value->is_array()) good_ = false;
    return good_ ? value : nullptr;
  }
  void Fail() { good_ = false; }

 private:
  const Json* Find(const char* name) const {
    const auto at = object_.find(name);
    return at == object_.end() ? nullptr : &*at;
  }

  const Json& object_;
  bool good_ = true;
};

void ReadAttributes(Fields* fields, HistoryRecord* record) {
  const Json* attributes = fields->Object("attrs");
  if (attributes == nullptr) return;
  for (const auto& [key, value] : attributes->items()) {
    if (!value.is_string()) return fields->Fail();
    record->attributes.emplace_back(key, value.get_ref<const std::string&>());
  }
}

void ReadHistory(Fields* fields, HistoryRecord* record) {
  const Json* history = fields->Array("history");
  if (history == nullptr) return;
  for (const Json& change : *history) {
    if (!change.is_array() || change.size() < 2 || !change[0].is_number_unsigned() ||
        !change[1].is_string()) {
      return fields->Fail();
    }
    record->history.push_back({change[0].get<uint64_t>(), change[1].get<std::string>()});
  }
}

void ReadProgress(Fields* fields, HistoryRecord* record) {
  const Json* object = fields->Object("progress");
  if (object == nullptr) return;
  Fields progress(*object);
  progress.Number("done", &record->progress.done);
  progress.Number("total", &record->progress.total);
  progress.Text("unit", &record->progress.unit);
  if (!progress.good()) fields->Fail();
}

}  // namespace

Json RecordToJson(const HistoryRecord& r) {
  Json json = {{"v", kVersion}, {"instance", r.instance}, {"id", r.id}};
  if (r.parent != 0) json["parent"] = r.parent;
  json["kind"] = r.kind;
  if (!r.attributes.empty()) {
    Json& attributes = json["attrs"] = Json::object();
    for (const auto& [key, value] : r.attributes) attributes[key] = value;
  }
  json["began_us"] = r.began_us;
  json["ended_us"] = r.ended_us;
  json["outcome"] = ToString(r.outcome);
  if (!r.error.empty()) json["error"] = r.error;
  if (!r.status.empty()) json["status"] = r.status;
  if (!r.history.empty()) {
    Json& history = json["history"] = Json::array();
    for (const StatusChange& change : r.history) {
      history.push_back(Json::array({change.at_us, change.text}));
    }
  }
  if (!r.progress.unit.empty()) {
    json["progress"] = {
        {"done", r.progress.done}, {"total", r.progress.total}, {"unit", r.progress.unit}};
  }
  return json;
}

std::string ToJson(const HistoryRecord& record) {
  return RecordToJson(record).dump(-1, ' ', false, Json::error_handler_t::replace);
}

LineKind ParseLine(std::string_view line, HistoryRecord* record) {
  *record = {};
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return LineKind::kMalformed;
  Fields fields(json);
  uint64_t version = 0;
  fields.Number("v", &version);
  if (!fields.good() || version == 0) return LineKind::kMalformed;
  if (version != kVersion) return LineKind::kNewer;
  std::string outcome;
  fields.Text("instance", &record->instance);
  fields.Number("id", &record->id);
  fields.Number("parent", &record->parent);
  fields.Text("kind", &record->kind);
  ReadAttributes(&fields, record);
  fields.Number("ended_us", &record->ended_us);
  record->began_us = record->ended_us;
  fields.Number("began_us", &record->began_us);
  fields.Text("outcome", &outcome);
  fields.Text("error", &record->error);
  fields.Text("status", &record->status);
  ReadHistory(&fields, record);
  ReadProgress(&fields, record);
  const bool whole = fields.good() && IsInstanceName(record->instance) && record->id != 0 &&
                     json.contains("kind") && record->ended_us != 0 &&
                     record->ended_us < kMaxTimeUs && ParseTaskOutcome(outcome, &record->outcome) &&
                     record->outcome != TaskOutcome::kRunning;
  return whole ? LineKind::kRecord : LineKind::kMalformed;
}

}  // namespace slipstream::observe
