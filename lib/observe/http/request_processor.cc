#include "lib/observe/http/request_processor.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <utility>

namespace slipstream::observe {
namespace {

// What the library reads a head from and writes an answer to.
class MemoryStream : public httplib::Stream {
 public:
  explicit MemoryStream(std::string_view in) : in_(in) {}

  bool is_readable() const override { return true; }
  bool is_writable() const override { return true; }
  ssize_t read(char* to, size_t size) override {
    const size_t count = std::min(size, in_.size());
    memcpy(to, in_.data(), count);
    in_.remove_prefix(count);
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* from, size_t size) override {
    out_.append(from, size);
    return static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return 0; }

  std::string TakeOutput() { return std::move(out_); }

 private:
  std::string_view in_;
  std::string out_;
};

const char* ReasonPhrase(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 411:
      return "Length Required";
    case 413:
      return "Payload Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

using Setup = std::function<void(httplib::Request&)>;

// The signature of httplib::Server::process_request is another one in each release.
bool Process(bool (httplib::Server::*process)(httplib::Stream&, bool, bool&, const Setup&),
             httplib::Server* server, httplib::Stream* stream, bool* closed, const Setup& setup) {
  return (server->*process)(*stream, false, *closed, setup);
}

[[maybe_unused]] bool Process(bool (httplib::Server::*process)(httplib::Stream&, const std::string&,
                                                               int, const std::string&, int, bool,
                                                               bool&, const Setup&),
                              httplib::Server* server, httplib::Stream* stream, bool* closed,
                              const Setup& setup) {
  return (server->*process)(*stream, "", 0, "", 0, false, *closed, setup);
}

}  // namespace

RequestProcessor::RequestProcessor(Handler handler) {
  set_pre_routing_handler(
      [handler = std::move(handler)](const httplib::Request& request, httplib::Response& response) {
        try {
          handler(request, response);
        } catch (const std::exception&) {
          // Memory has run out, most likely: what it says is not for the client.
          response = httplib::Response();
          response.status = 500;
        }
        return HandlerResponse::Handled;
      });
  // It would announce limits of the library's own server.
  set_post_routing_handler([](const httplib::Request&, httplib::Response& response) {
    response.headers.erase("Keep-Alive");
  });
  set_exception_handler([](const httplib::Request&, httplib::Response& response,
                           std::exception_ptr) { response.status = 500; });
}

RequestProcessor::Answered RequestProcessor::Answer(std::string_view head, std::string_view body) {
  Answered answered;
  try {
    MemoryStream stream(head);
    bool closed = false;
    int status = 0;
    // The body never passes the library's own reading of bodies.
    const Setup setup = [&](httplib::Request& request) { request.body = body; };
    const bool processed =
        Process(&RequestProcessor::process_request, this, &stream, &closed, setup);
    answered.bytes = stream.TakeOutput();
    // "HTTP/1.1 200 OK"
    if (answered.bytes.size() > 12) status = std::atoi(answered.bytes.c_str() + 9);
    answered.status = status;
    answered.close = closed || !processed;
  } catch (...) {
    // Heads are bounded, so this is rather the end of memory.
    answered.bytes.clear();
  }
  if (answered.bytes.empty() || answered.status == 0) {
    answered = {Refusal(500, "the request could not be processed"), 500, true};
  }
  return answered;
}

std::string RequestProcessor::Refusal(int status, std::string_view reason) {
  std::string body = "{\"error\":\"";
  body.append(reason).append("\"}\n");
  std::string answer =
      "HTTP/1.1 " + std::to_string(status) + " " + ReasonPhrase(status) +
      "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
      "\r\nConnection: close\r\n";
  if (status == 503) answer += "Retry-After: 1\r\n";
  return answer + "\r\n" + body;
}

}  // namespace slipstream::observe
