// /health and /replication: what sources tell, as JSON.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/observe/http/json_answer.h"
#include "lib/observe/http/source_list.h"

namespace slipstream::observe {

// 200 if every source is ready and neither lag nor staleness is above max_lag_us; else 503.
void AnswerHealth(const std::vector<SourcePtr>& sources, uint64_t max_lag_us,
                  httplib::Response* response);
void AnswerReplication(const std::vector<SourcePtr>& sources, httplib::Response* response);

}  // namespace slipstream::observe
