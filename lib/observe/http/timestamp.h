// Times of day as pm and its clients write them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>

namespace slipstream::observe {

// wall_us: microseconds since 1970 UTC. RFC 3339 in UTC: "2026-11-25T21:27:20.123456Z".
inline std::string Timestamp(uint64_t wall_us) {
  const auto seconds = static_cast<time_t>(wall_us / 1'000'000);
  tm utc{};
  gmtime_r(&seconds, &utc);
  char date[40];
  const size_t size = strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
  char fraction[16];
  snprintf(fraction, sizeof(fraction), ".%06uZ", static_cast<unsigned>(wall_us % 1'000'000));
  return std::string(date, size) + fraction;
}

}  // namespace slipstream::observe
