// From a request to what answers it: paths, verbs, rights, and what browsers need to know.
#pragma once

#include <httplib.h>

#include <string>
#include <string_view>

#include "lib/observe/http/chat_command.h"
#include "lib/observe/http/connection_loop.h"
#include "lib/observe/http/origin_rules.h"
#include "lib/observe/http/procs.h"
#include "lib/observe/http/source_list.h"
#include "slipstream/observe/http_server.h"

namespace slipstream::observe {

// Threads: any, calls may overlap.
class Routes {
 public:
  // sources, stats: outlive this.
  Routes(const HttpServerOptions& options, const SourceList* sources, const ConnectionStats* stats);

  void Answer(const httplib::Request& request, httplib::Response& response) const;

 private:
  // What is at a path.
  enum class Place {
    kNothing,
    kPage,
    kChat,
    kList,
    kTree,
    kProc,
    kHistory,
    kBlockers,
    kMetrics,
    kHealth,
    kReplication,
    kThreads,
    kRecords,
    kRecord
  };
  struct Target {
    Place place = Place::kNothing;
    TaskId id = 0;
  };
  static Target Find(std::string_view path);
  // As an Allow header has them.
  static const char* VerbsOf(Place place);
  static bool IsAllowed(const std::string& verb, Place place);

  bool AdmitsBrowser(const httplib::Request& request, httplib::Response* response) const;
  static void AnswerOptions(const httplib::Request& request, const char* verbs,
                            httplib::Response* response);
  // Answers if it is not.
  bool IsAuthorized(const httplib::Request& request, httplib::Response* response) const;
  void AnswerProc(const Target& target, const httplib::Request& request,
                  httplib::Response* response) const;
  void AnswerReport(Place place, const httplib::Request& request,
                    httplib::Response* response) const;
  std::string Metrics() const;

  const HttpServerOptions options_;
  const OriginRules origins_;
  const SourceList* const sources_;
  const ConnectionStats* const stats_;
  const Procs procs_;
  const ChatCommand chat_;
};

}  // namespace slipstream::observe
