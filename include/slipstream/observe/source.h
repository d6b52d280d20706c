// Source: what a leader, a follower or a part of the host tells of itself to whoever looks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "slipstream/observe/metrics.h"

namespace slipstream::observe {

struct HealthReport {
  bool ready = false;
  std::string reason;         // why it is not ready; empty if it is
  uint64_t lag_us = 0;        // how far behind it is, in microseconds; 0 of a leader
  uint64_t staleness_us = 0;  // age of what its reads show, in microseconds; 0 of a leader
};

// How far something is within an epoch; slipstream/position.h says more.
struct ReportedPosition {
  uint64_t epoch = 0;     // 0 = nowhere yet
  uint64_t offset = 0;    // bytes of the epoch's replication log
  uint64_t sequence = 0;  // RocksDB's sequence number
};

// A follower as its leader sees it.
struct FollowerReport {
  std::string id;       // unique to one opening of the follower
  std::string name;     // as its host named it; may be empty
  std::string address;  // the peer as gRPC prints it
  // "host:port" where the follower's process answers over HTTP, as it announced; may be empty. It
  // was not checked that anybody listens there.
  std::string observe_endpoint;
  bool connected = false;
  bool serving = false;       // it has something to read
  ReportedPosition received;  // as the follower last confirmed, like the next two
  ReportedPosition applied;
  ReportedPosition pin;    // files that were removed later are kept for it
  uint64_t lag_us = 0;     // age of the oldest message that it has not confirmed as applied
  uint64_t lag_bytes = 0;  // of the replication log, not yet applied
  uint64_t silent_us = 0;  // since its last confirmation
  uint64_t generations = 0;
  uint64_t bytes_sent = 0;  // to it, since it began
};

// Where the replication of one database stands in this process. Durations are microseconds; what
// does not apply to the role is empty.
struct ReplicationReport {
  std::string database;
  std::string role;             // "leader" or "follower"; empty of a source that replicates nothing
  std::string id;               // of a follower: unique to one opening of it
  std::string name;             // of a follower: as its host named it
  uint64_t epoch = 0;           // of `position`
  ReportedPosition position;    // of a leader: its last write; of a follower: what its reads show
  ReportedPosition received;    // of a follower: what has arrived
  ReportedPosition leader;      // of a follower: what the leader last said it had
  uint64_t lag_us = 0;          // of a follower: age of the oldest thing that reads do not show yet
  uint64_t lag_bytes = 0;       // of a follower: of the replication log, not yet applied
  uint64_t staleness_us = 0;    // of a follower: reads show what the leader had then, or newer
  uint64_t pinned_objects = 0;  // of a leader: removed files that are kept for followers
  uint64_t pinned_bytes = 0;
  uint64_t generations = 0;  // of a follower: open instances of the database
  uint64_t rebuilds = 0;     // of a follower: generations that were built after the first one
  std::string status;        // "OK", or why there is no progress
  std::vector<FollowerReport> followers;  // of a leader
};

// Threads: all methods may be called from any thread, calls may overlap. They return within
// milliseconds, wait for no peer, and throw nothing.
// Lifetime: of Leader::source() and Follower::source(): calls stay safe after these are closed and
// destroyed, and then tell just that.
class Source {
 public:
  virtual ~Source() = default;

  // Adds to `families`, which may hold those of other sources already: by FamilyOf, so that there
  // is one of each name. The labels of a sample tell whose it is.
  virtual void AppendMetrics(std::vector<MetricFamily>* families) const = 0;

  virtual HealthReport Health() const = 0;

  virtual ReplicationReport Replication() const = 0;
};

}  // namespace slipstream::observe
