// Which tasks are shown, and in which order.
#pragma once

#include <string>
#include <vector>

#include "endpoint_client.h"

namespace slipstream_top {

enum class SortKey { kAge, kStatusAge, kKind, kEndpoint, kId };
inline constexpr SortKey kSortKeys[] = {SortKey::kAge, SortKey::kStatusAge, SortKey::kKind,
                                        SortKey::kEndpoint, SortKey::kId};
const char* SortKeyName(SortKey key);

struct ListSettings {
  SortKey sort = SortKey::kAge;
  bool is_reversed = false;
  // Words that must all be somewhere in a task's texts, in any case: "account=42 merging".
  std::string filter;
};

// What a task says of itself, in one line.
std::string TextOf(const TaskRow& task);

std::vector<TaskRow> SelectTasks(const std::vector<EndpointState>& states,
                                 const ListSettings& settings);

// What an endpoint is, and how its replication stands, in one line.
std::string SummaryOf(const EndpointState& state);

}  // namespace slipstream_top
