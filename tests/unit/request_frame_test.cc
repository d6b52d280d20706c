#include "lib/observe/http/request_frame.h"

#include <catch2/catch.hpp>
#include <string>

namespace slipstream::observe {
namespace {

using State = RequestFrame::State;

int RefusalOf(const std::string& bytes) {
  const RequestFrame frame = FrameRequest(bytes, {});
  return frame.state == State::kRefused ? frame.refusal : 0;
}

TEST_CASE("request_frame: a request ends where its length says", "[unit]") {
  const std::string one = "DELETE /procs/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
  for (size_t size = 0; size < one.size(); ++size) {
    INFO(size);
    CHECK(FrameRequest(one.substr(0, size), {}).state == State::kIncomplete);
  }
  const std::string two = one + "GET / HTTP/1.1\r\n\r\n";
  const RequestFrame frame = FrameRequest(two, {});
  REQUIRE(frame.state == State::kComplete);
  CHECK(frame.size == one.size());
  CHECK(frame.body == "hello");
  const RequestFrame next = FrameRequest(two.substr(frame.size), {});
  REQUIRE(next.state == State::kComplete);
  CHECK(next.head == "GET / HTTP/1.1\r\n\r\n");
}

TEST_CASE("request_frame: the library sees the headers that the server knows", "[unit]") {
  const RequestFrame frame = FrameRequest(
      "GET / HTTP/1.1\r\nHOST:  a \r\nRange: bytes=0-1\r\nAccept-Encoding: br\r\n"
      "Content-Length: 0\r\nREMOTE_ADDR: 1.2.3.4\r\nConnection: Keep-Alive, Close\r\n\r\n",
      {});
  REQUIRE(frame.state == State::kComplete);
  CHECK(frame.head == "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
}

TEST_CASE("request_frame: what is too long is refused before it is complete", "[unit]") {
  const std::string line = "GET / HTTP/1.1\r\n";
  CHECK(RefusalOf("GET /" + std::string(5000, 'a')) == 414);
  CHECK(RefusalOf("GET /" + std::string(5000, 'a') + " HTTP/1.1\r\n\r\n") == 414);
  CHECK(RefusalOf(line + "A: " + std::string(17'000, 'a')) == 431);
  std::string many = line;
  for (int i = 0; i < 101; ++i) many += "A: b\r\n";
  CHECK(RefusalOf(many + "\r\n") == 431);
  CHECK(RefusalOf(line + "Content-Length: 16385\r\n\r\n") == 413);
  CHECK(RefusalOf(line + "Content-Length: 16384\r\n\r\n") == 0);
}

TEST_CASE("request_frame: what could be read in two ways is refused", "[unit]") {
  const std::string line = "GET / HTTP/1.1\r\n";
  CHECK(RefusalOf(line + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n") == 400);
  CHECK(RefusalOf(line + "Content-Length: -1\r\n\r\n") == 400);
  CHECK(RefusalOf(line + "Content-Length: 99999999999999999999\r\n\r\n") == 400);
  CHECK(RefusalOf(line + "Transfer-Encoding: chunked\r\n\r\n") == 411);
  CHECK(RefusalOf(line + "Content-Encoding: gzip\r\n\r\n") == 415);
  CHECK(RefusalOf(line + "Expect: wonders\r\n\r\n") == 417);
  CHECK(RefusalOf(line + "Host: a\r\nHost: b\r\n\r\n") == 400);
  CHECK(RefusalOf(line + "Host: a\r\n b\r\n\r\n") == 400);
  CHECK(RefusalOf(line + "Host: a\nHost: b\r\n\r\n") == 400);
  CHECK(RefusalOf(line + "no colon\r\n\r\n") == 400);
  CHECK(RefusalOf(line + ": no name\r\n\r\n") == 400);
  CHECK(RefusalOf(line + "Host : a\r\n\r\n") == 400);
  CHECK(RefusalOf(std::string("GET /\0 HTTP/1.1\r\n\r\n", 19)) == 400);
}

TEST_CASE("request_frame: a client that waits for it is told to go on", "[unit]") {
  const std::string head =
      "DELETE /procs/1 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  CHECK(FrameRequest(head, {}).wants_continue);
  CHECK(FrameRequest(head + "{}", {}).state == State::kComplete);
}

}  // namespace
}  // namespace slipstream::observe
