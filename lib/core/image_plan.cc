#include "lib/core/image_plan.h"

#include <algorithm>
#include <map>

namespace slipstream {

ImagePlan PlanImage(const std::vector<LogFileSize>& held, const std::vector<LogFileSize>& wanted) {
  std::map<LogFileId, uint64_t> held_sizes;
  for (const LogFileSize& file : held) held_sizes[file.id] = file.size;

  ImagePlan plan;
  plan.from_scratch = held.empty();
  std::vector<LogFileSize> ordered = wanted;
  std::stable_partition(ordered.begin(), ordered.end(), [](const LogFileSize& file) {
    return file.id.file == FrameFile::kManifest;
  });
  for (const LogFileSize& file : ordered) {
    auto it = held_sizes.find(file.id);
    const uint64_t from = it == held_sizes.end() ? 0 : it->second;
    if (from > file.size) return PlanImage({}, wanted);
    if (from == file.size) continue;
    plan.parts.push_back({file.id, from, file.size});
    plan.bytes += file.size - from;
  }
  return plan;
}

}  // namespace slipstream
