// /history: what processes have done.
#pragma once

#include <httplib.h>

#include <string_view>

#include "slipstream/observe/history.h"

namespace slipstream::observe {

// A page of records, by the parameters of ParseHistoryParameters.
void AnswerHistory(const httplib::Request& request, const History* history,
                   httplib::Response* response);

// One record; name: INSTANCE/ID.
void AnswerHistoryRecord(std::string_view name, const History* history,
                         httplib::Response* response);

}  // namespace slipstream::observe
