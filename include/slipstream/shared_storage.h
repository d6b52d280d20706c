// SharedStorage: where SST and blob files live once, for a leader and all its followers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rocksdb/slice.h"
#include "rocksdb/status.h"

namespace slipstream {

// An immutable object opened for reading.
// Threads: Read may be called from many threads at once.
// Lifetime: may outlive the SharedStorage that opened it; an object that is deleted meanwhile may
// go on answering (a local file does) or may return NotFound (an object store does).
class ObjectReader {
 public:
  virtual ~ObjectReader() = default;

  // Reads up to `n` bytes at `offset` (bytes) into `scratch` (at least `n` bytes) and points
  // `*result` at them. Shorter than `n` only at the object's end; empty behind it.
  // Returns IOError if the storage fails; NotFound if the object is gone.
  [[nodiscard]] virtual rocksdb::Status Read(uint64_t offset, size_t n, rocksdb::Slice* result,
                                             char* scratch) const = 0;

  // Bytes of the whole object.
  virtual uint64_t size() const = 0;
};

// An object being written; it becomes visible as a whole by Commit or never.
// Threads: one at a time. Destroying it without a successful Commit discards what was written.
class ObjectWriter {
 public:
  virtual ~ObjectWriter() = default;

  // Adds bytes at the end. Returns IOError, or NoSpace as a subcode of it, if the storage fails.
  [[nodiscard]] virtual rocksdb::Status Append(const rocksdb::Slice& data) = 0;

  // Makes what was appended so far durable where the storage can do so before Commit; else does
  // nothing and returns OK.
  [[nodiscard]] virtual rocksdb::Status Sync() = 0;

  // Publishes the object, durable and whole, under its name.
  // Returns Busy if the name exists already; IOError if the storage fails. At most one call.
  [[nodiscard]] virtual rocksdb::Status Commit() = 0;
};

// Named immutable objects. Names are relative paths of [A-Za-z0-9._-] and '/'; no part is empty,
// "." or "..". A host may implement this interface over a storage of its own.
//
// Required of an implementation: an object is visible to every process as soon as the call that
// published it has returned OK, and never in part.
// Threads: every method may be called from many threads at once. All of them may block on I/O.
// Lifetime: shared by every leader and follower that uses it.
class SharedStorage {
 public:
  virtual ~SharedStorage() = default;

  // Opens an object. Returns NotFound if there is none of that name.
  [[nodiscard]] virtual rocksdb::Status NewReader(const std::string& name,
                                                  std::unique_ptr<ObjectReader>* out) = 0;

  // Starts an object; see ObjectWriter. Nothing is visible before Commit.
  [[nodiscard]] virtual rocksdb::Status NewWriter(const std::string& name,
                                                  std::unique_ptr<ObjectWriter>* out) = 0;

  // Publishes a small object in one call, if none of that name exists. Exactly one of several
  // racing callers gets OK, the others Busy.
  [[nodiscard]] virtual rocksdb::Status PutIfAbsent(const std::string& name,
                                                    const rocksdb::Slice& data) = 0;

  // Publishes or replaces a small object in one call: readers see the old or the new one.
  [[nodiscard]] virtual rocksdb::Status Put(const std::string& name,
                                            const rocksdb::Slice& data) = 0;

  // Bytes of an object. Returns NotFound if there is none of that name.
  [[nodiscard]] virtual rocksdb::Status Size(const std::string& name, uint64_t* size) = 0;

  // Names that begin with `prefix`, in byte order. An empty result is OK.
  [[nodiscard]] virtual rocksdb::Status List(const std::string& prefix,
                                             std::vector<std::string>* names) = 0;

  // Removes an object. OK also if there is none of that name.
  [[nodiscard]] virtual rocksdb::Status Delete(const std::string& name) = 0;

  // For messages, for example "directory /mnt/shared".
  virtual std::string Describe() const = 0;
};

// Objects as files below `root`: a local disk, NFS, CephFS, Lustre. An object is one file that a
// rename or link publishes; temporary files live in `root`/.tmp and are removed by whoever wrote
// them, or by a later opener once they are a day old.
// Names that begin with ".tmp/" are refused. On NFS, mount readers with lookupcache=positive: a
// client that remembers absent files breaks the rule that an object is visible at once. `root` is
// created if missing. Returns IOError if it cannot be created or written to.
[[nodiscard]] rocksdb::Status NewDirectoryStorage(const std::string& root,
                                                  std::shared_ptr<SharedStorage>* out);

}  // namespace slipstream
