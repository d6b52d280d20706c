#include "lib/observe/http/request_frame.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace slipstream::observe {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kHeadEnd = "\r\n\r\n";

// In lower case. What the handlers look at.
constexpr std::array<std::string_view, 8> kKnownHeaders = {"authorization",
                                                           "access-control-request-method",
                                                           "access-control-request-private-network",
                                                           "content-type",
                                                           "host",
                                                           "origin",
                                                           "x-slack-request-timestamp",
                                                           "x-slack-signature"};

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), Lower);
  return lower;
}

bool IsTokenCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// Control characters have no place in a head; a line end without a carriage return is one.
bool IsPrintable(std::string_view line) {
  return std::all_of(line.begin(), line.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

RequestFrame Refused(int status, const char* reason) {
  RequestFrame frame;
  frame.state = RequestFrame::State::kRefused;
  frame.refusal = status;
  frame.reason = reason;
  return frame;
}

struct Head {
  int refusal = 0;
  const char* reason = "";
  std::string text;
  bool has_length = false;
  uint64_t body_bytes = 0;
  bool expects_continue = false;
  bool closes = false;

  void Refuse(int status, const char* why) {
    if (refusal != 0) return;
    refusal = status;
    reason = why;
  }
};

void TakeLength(std::string_view value, const FrameLimits& limits, Head* head) {
  uint64_t length = 0;
  if (value.empty() || value.size() > 18 ||
      value.find_first_not_of("0123456789") != std::string_view::npos) {
    return head->Refuse(400, "the content length is no number");
  }
  for (const char c : value) length = length * 10 + static_cast<uint64_t>(c - '0');
  if (head->has_length && head->body_bytes != length) {
    return head->Refuse(400, "there are two content lengths");
  }
  if (length > limits.body_bytes) return head->Refuse(413, "the body is too long");
  head->has_length = true;
  head->body_bytes = length;
}

void TakeHeader(std::string_view line, const FrameLimits& limits, Head* head) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0 ||
      !std::all_of(line.begin(), line.begin() + static_cast<ptrdiff_t>(colon), IsTokenCharacter)) {
    return head->Refuse(400, "a header has no name");
  }
  const std::string name = LowerCase(line.substr(0, colon));
  const std::string_view value = Trim(line.substr(colon + 1));
  if (name == "content-length") return TakeLength(value, limits, head);
  if (name == "transfer-encoding") return head->Refuse(411, "the body has no content length");
  if (name == "content-encoding" && LowerCase(value) != "identity") {
    return head->Refuse(415, "the body is encoded");
  }
  if (name == "expect") {
    if (LowerCase(value) != "100-continue") return head->Refuse(417, "unknown expectation");
    head->expects_continue = true;
  }
  if (name == "connection") {
    head->closes = head->closes || LowerCase(value).find("close") != std::string::npos;
  }
  if (std::find(kKnownHeaders.begin(), kKnownHeaders.end(), name) == kKnownHeaders.end()) return;
  const std::string key = std::string(kLineEnd) + name + ": ";
  if (head->text.find(key) != std::string::npos) return head->Refuse(400, "a header comes twice");
  head->text.append(name).append(": ").append(value).append(kLineEnd);
}

Head ParseHead(std::string_view text, const FrameLimits& limits) {
  Head head;
  size_t lines = 0;
  for (size_t begin = 0; begin < text.size() && head.refusal == 0; ++lines) {
    const size_t end = text.find(kLineEnd, begin);
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + kLineEnd.size();
    if (!IsPrintable(line)) head.Refuse(400, "the head has control characters");
    if (lines == 0) {
      if (line.size() > limits.target_bytes) head.Refuse(414, "the address is too long");
      head.text.append(line).append(kLineEnd);
    } else if (lines > limits.headers) {
      head.Refuse(431, "there are too many headers");
    } else {
      TakeHeader(line, limits, &head);
    }
  }
  if (head.closes) head.text.append("connection: close").append(kLineEnd);
  head.text.append(kLineEnd);
  return head;
}

}  // namespace

RequestFrame FrameRequest(std::string_view bytes, const FrameLimits& limits) {
  // Some clients of old sent a line end behind a body.
  const size_t skipped = bytes.starts_with(kLineEnd) ? kLineEnd.size() : 0;
  const std::string_view rest = bytes.substr(skipped);
  const size_t head_end = rest.substr(0, limits.head_bytes).find(kHeadEnd);
  if (head_end == std::string_view::npos) {
    const size_t line_end = rest.find(kLineEnd);
    if (std::min(line_end, rest.size()) > limits.target_bytes) {
      return Refused(414, "the address is too long");
    }
    if (rest.size() >= limits.head_bytes) return Refused(431, "the headers are too long");
    return {};
  }
  // With the end of the last line, without the empty one.
  Head head = ParseHead(rest.substr(0, head_end + kLineEnd.size()), limits);
  if (head.refusal != 0) return Refused(head.refusal, head.reason);
  const std::string_view behind = rest.substr(head_end + kHeadEnd.size());
  RequestFrame frame;
  if (behind.size() < head.body_bytes) {
    frame.wants_continue = head.expects_continue;
    return frame;
  }
  frame.state = RequestFrame::State::kComplete;
  frame.size = skipped + head_end + kHeadEnd.size() + head.body_bytes;
  frame.head = std::move(head.text);
  frame.body = behind.substr(0, head.body_bytes);
  return frame;
}

}  // namespace slipstream::observe
