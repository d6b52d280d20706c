// The HTTP library's share: requests from bytes, answers to bytes. No socket is involved.
#pragma once

// Debian's library is compiled with the macros that pkg-config gives, and differs without them.
#include <httplib.h>

#include <functional>
#include <string>
#include <string_view>

namespace slipstream::observe {

// cpp-httplib's own server gives each connection a thread for as long as the client likes, reads
// headers without a limit, and takes no socket whose number is above 1023, which a process with an
// open database soon has. So connections are served by ConnectionLoop, and the library gets
// requests that are complete and bounded.
//
// Threads: Answer may be called from any thread, calls may overlap.
class RequestProcessor : private httplib::Server {
 public:
  using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;

  // handler: answers each request; what it throws is answered with 500.
  explicit RequestProcessor(Handler handler);

  struct Answered {
    std::string bytes;
    int status = 0;
    bool close = false;  // the connection ends with it
  };
  // head, body: of a RequestFrame that is complete.
  Answered Answer(std::string_view head, std::string_view body);

  // An answer without a request that could be understood; the connection ends with it.
  static std::string Refusal(int status, std::string_view reason);
};

}  // namespace slipstream::observe
