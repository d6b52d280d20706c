// Names of the library's threads, as top and debuggers show them.
#pragma once

#include <pthread.h>

namespace slipstream {

// name: at most 15 characters.
inline void NameThisThread(const char* name) { pthread_setname_np(pthread_self(), name); }

}  // namespace slipstream
