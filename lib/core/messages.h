// What travels on a stream, as plain values; lib/wire turns them into Protobuf and back.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/core/column_family_info.h"
#include "lib/core/frame.h"
#include "slipstream/position.h"

namespace slipstream {

inline constexpr uint32_t kProtocolVersion = 1;

// A log file (WAL or MANIFEST) of the database.
struct LogFileId {
  FrameFile file = FrameFile::kUnspecified;
  uint64_t number = 0;

  friend auto operator<=>(const LogFileId&, const LogFileId&) = default;
};

struct LogFileSize {
  LogFileId id;
  uint64_t size = 0;  // bytes

  friend bool operator==(const LogFileSize&, const LogFileSize&) = default;
};

// An SST or blob file on the shared storage. Immutable.
struct ObjectInfo {
  FrameFile file = FrameFile::kUnspecified;
  uint64_t number = 0;
  uint64_t epoch = 0;  // of the leader that wrote it: part of its name
  uint64_t size = 0;   // bytes
};

struct EpochStart {
  uint64_t epoch = 0;
  uint64_t sequence = 0;  // LastSequence that the epoch's opening recovered
};

// A transaction in two phases that was prepared when the epoch began. The host may have prepared
// several of one name after each other: the checksum tells which one it is.
struct RecoveredTransaction {
  std::string name;
  uint64_t wal = 0;     // that holds its prepared section
  uint32_t crc32c = 0;  // of the section's entries

  friend auto operator<=>(const RecoveredTransaction&, const RecoveredTransaction&) = default;
};

// The follower's first message.
struct Hello {
  uint32_t min_protocol = kProtocolVersion;
  uint32_t max_protocol = kProtocolVersion;
  std::string database;
  std::string follower_id;
  std::string name;
  std::string observe_endpoint;
  std::string db_identity;         // of the database it has shown; empty at first
  Position held;                   // epoch 0: nothing
  std::vector<LogFileSize> files;  // what it holds of the log files at `held`
  Position pin;                    // cut of its oldest generation; epoch 0: none
};

// The leader's answer.
struct Welcome {
  uint32_t protocol = kProtocolVersion;
  uint64_t epoch = 0;
  std::string db_identity;
  uint32_t wal_recovery_mode = 0;
  uint64_t heartbeat_ms = 0;
  // Its WAL may hold transactions in two phases.
  bool two_phase_commit = false;
  // What the epoch began with: LastSequence as the leader recovered it, and the newest WAL that it
  // was recovered from (0: none). What those WALs seem to say counts for nothing.
  uint64_t recovered_sequence = 0;
  uint64_t newest_recovered_wal = 0;
  // What was prepared then and not yet committed.
  std::vector<RecoveredTransaction> recovered_transactions;
  std::vector<ColumnFamilyInfo> column_families;
  std::vector<EpochStart> epochs;
};

// Frames of an image follow, then ImageEnd; the follower takes it as a whole.
struct ImageBegin {
  // .sequence: the leader's before the cut, of which the log files may not tell any more; 0 if it
  // is not known.
  Position cut;
  bool from_scratch = true;  // else it completes what the follower holds
  uint64_t current_manifest = 0;
  std::vector<LogFileSize> files;  // all log files at the cut; others are gone
  uint64_t bytes = 0;              // of log files that will be sent
};

// Whole frames. Of the replication log at `offset`, or of an image.
struct FramesHeader {
  uint64_t epoch = 0;
  bool image = false;
  uint64_t offset = 0;
  // Where the leader stood when this was sent.
  Position leader;
  // Somebody waits for the follower's confirmation, up to the end of this: it is to come as soon as
  // it can, else when it suits the follower.
  bool confirm = false;
};

struct Ack {
  Position received;
  Position applied;
  Position pin;  // cut of the oldest open generation; epoch 0 before the first
  uint64_t live_generations = 0;
  bool serving = false;
};

}  // namespace slipstream
