// Where a request in a stream of bytes ends, and which of it the HTTP library gets to see.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace slipstream::observe {

struct FrameLimits {
  size_t head_bytes = 16 << 10;  // request line and headers
  size_t target_bytes = 4 << 10;
  size_t headers = 100;
  size_t body_bytes = 16 << 10;
};

struct RequestFrame {
  enum class State { kIncomplete, kComplete, kRefused };
  State state = State::kIncomplete;
  // Of kRefused: the status to answer with, before the connection is closed.
  int refusal = 0;
  const char* reason = "";
  // Of kIncomplete: the client waits for a "100 Continue" before it sends the body.
  bool wants_continue = false;
  // Of kComplete: bytes that belong to the request.
  size_t size = 0;
  // The request line as it came, and of the headers those that this server knows, each once. So
  // nothing else (ranges, encodings, lengths) reaches the library's parsers.
  std::string head;
  std::string_view body;  // in the bytes that were given
};

// Looks at the first request in `bytes`. Bodies have a Content-Length; there are no others.
RequestFrame FrameRequest(std::string_view bytes, const FrameLimits& limits);

}  // namespace slipstream::observe
