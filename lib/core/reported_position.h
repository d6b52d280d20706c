// A position as reports show it: observers include no other header of the library.
#pragma once

#include "slipstream/observe/source.h"
#include "slipstream/position.h"

namespace slipstream {

inline observe::ReportedPosition Reported(const Position& position) {
  return {position.epoch, position.offset, position.sequence};
}

}  // namespace slipstream
