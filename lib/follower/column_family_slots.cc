#include "lib/follower/column_family_slots.h"

namespace slipstream {

size_t ColumnFamilySlots::SlotOf(uint32_t id) {
  absl::MutexLock lock(&mutex_);
  return slots_.emplace(id, slots_.size()).first->second;
}

}  // namespace slipstream
