// The name of this machine, for what other machines read.
#pragma once

#include <unistd.h>

#include <string>

namespace slipstream {

inline std::string HostName() {
  char name[256] = "";
  if (gethostname(name, sizeof(name) - 1) != 0) return "unknown";
  return name;
}

}  // namespace slipstream
