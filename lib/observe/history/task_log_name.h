// The names of a task log's objects. They are built and parsed here alone.
//
//   <prefix>/tasks/<time, 17 digits>-<instance>-<number, 6 digits>.jsonl
//
// The time is that of the object's first record being put into it, in microseconds since 1970 UTC;
// the numbers of an instance go up from 1. So names sort by time, and no two processes write the
// same object. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rocksdb/status.h"

namespace slipstream::observe {

struct TaskLogObject {
  uint64_t began_us = 0;
  std::string instance;
  uint64_t number = 0;

  friend bool operator==(const TaskLogObject&, const TaskLogObject&) = default;
};

// Of TaskRegistry::instance(): 1 to 100 of [A-Za-z0-9._-].
bool IsInstanceName(std::string_view instance);

// Parts of [A-Za-z0-9._-], none of which begins with a '.', with '/' between them; at most 200
// bytes. Returns InvalidArgument with the prefix found.
[[nodiscard]] rocksdb::Status ValidateTaskLogPrefix(std::string_view prefix);

std::string TaskLogName(std::string_view prefix, const TaskLogObject& object);
// True for exactly what is built here for `prefix`; else *object is as it was.
[[nodiscard]] bool ParseTaskLogName(std::string_view prefix, std::string_view name,
                                    TaskLogObject* object);
// What the names of all objects of the log begin with.
std::string TaskLogPrefix(std::string_view prefix);

}  // namespace slipstream::observe
