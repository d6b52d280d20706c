#ifndef SLIPSTREAM_TESTS_ASSUMPTIONS_RECORDED_OPTIONS_H_
#define SLIPSTREAM_TESTS_ASSUMPTIONS_RECORDED_OPTIONS_H_

#include <memory>

#include "rocksdb/env.h"
#include "rocksdb/options.h"
#include "tests/assumptions/recording_file_system.h"

namespace slipstream {

// Options of a small database, with the file system that records it. Must outlive the databases
// that are opened with the options.
class RecordedOptions {
 public:
  RecordedOptions()
      : file_system_(std::make_shared<RecordingFileSystem>()),
        env_(rocksdb::NewCompositeEnv(file_system_)) {}

  // A writable database, as a leader has it. Compactions happen only when a test asks.
  rocksdb::Options Leader() const {
    rocksdb::Options options;
    options.env = env_.get();
    options.create_if_missing = true;
    options.disable_auto_compactions = true;
    options.stats_dump_period_sec = 0;
    options.stats_persist_period_sec = 0;
    return options;
  }

  // What section 4 of the design gives a generation.
  rocksdb::Options Generation() const {
    rocksdb::Options options = Leader();
    options.create_if_missing = false;
    options.avoid_flush_during_recovery = true;
    options.avoid_flush_during_shutdown = true;
    options.skip_stats_update_on_db_open = true;
    options.skip_checking_sst_file_sizes_on_db_open = true;
    options.max_file_opening_threads = 1;
    return options;
  }

  RecordingFileSystem* files() const { return file_system_.get(); }

 private:
  std::shared_ptr<RecordingFileSystem> file_system_;
  std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace slipstream

#endif  // SLIPSTREAM_TESTS_ASSUMPTIONS_RECORDED_OPTIONS_H_
