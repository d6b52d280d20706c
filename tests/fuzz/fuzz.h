// What all fuzz targets share. A target is one function, LLVMFuzzerTestOneInput, which must hold
// for any bytes; its first byte often chooses between raw bytes and bytes built to be well formed,
// because a fuzzer guesses no checksums.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

// Fails with the line and the condition, in every build.
#define FUZZ_REQUIRE(condition)                                                      \
  do {                                                                               \
    if (!(condition)) {                                                              \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                                       \
    }                                                                                \
  } while (false)

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
