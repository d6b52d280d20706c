// Turns the bytes of one RocksDB log file (a WAL or a manifest), as they arrive, into records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

#include "lib/core/log_format.h"
#include "rocksdb/slice.h"
#include "rocksdb/status.h"

namespace slipstream {

// Incremental: bytes may be torn anywhere. What is not yet a complete record is remembered until
// the rest arrives. A record whose payload is contiguous in the bytes of one Feed call is not
// copied.
//
// The reader is stricter than RocksDB's own, which can skip damaged records: here every damage is
// an error, because a follower that skips a record differs from its leader.
//
// Threads: thread-compatible. One thread at a time.
class LogRecordReader {
 public:
  // Receives the records: a non-owning reference to a callable
  //   rocksdb::Status (rocksdb::Slice record, uint64_t end_offset)
  // The callable must outlive the Feed call that it is passed to; a lambda written in the call
  // does.
  class Sink {
   public:
    template <typename Callable,
              typename = std::enable_if_t<!std::is_same_v<std::decay_t<Callable>, Sink>>>
    // Implicit, so that a lambda can be passed where a Sink is expected.
    Sink(Callable&& callable)  // NOLINT(google-explicit-constructor)
        : object_(const_cast<void*>(static_cast<const void*>(std::addressof(callable)))),
          call_(&Call<std::remove_reference_t<Callable>>) {}

    rocksdb::Status operator()(rocksdb::Slice record, uint64_t end_offset) const {
      return call_(object_, record, end_offset);
    }

   private:
    template <typename Callable>
    static rocksdb::Status Call(void* object, rocksdb::Slice record, uint64_t end_offset) {
      return (*static_cast<Callable*>(object))(record, end_offset);
    }

    void* object_;
    rocksdb::Status (*call_)(void*, rocksdb::Slice, uint64_t);
  };

  // file_name: appears in error messages, and is used for nothing else.
  // initial_offset: byte offset in the file at which the first fed byte stands. It must be 0 or a
  //   record boundary of that file.
  explicit LogRecordReader(std::string file_name, uint64_t initial_offset = 0);

  LogRecordReader(const LogRecordReader&) = delete;
  LogRecordReader& operator=(const LogRecordReader&) = delete;

  // Takes `bytes`, which directly follow all bytes fed before, and calls `sink` in file order for
  // every record that they complete. `record` is valid during the call only. It points into `bytes`
  // when the payload is contiguous there, else into a buffer of the reader. `end_offset` is the
  // file offset, in bytes, just behind the record. `sink` must not call this reader.
  //
  // Returns OK            all bytes were taken; the last record may still be incomplete.
  //         Corruption    a checksum, a length, a type or the order of the fragments is wrong.
  //         NotSupported  a fragment of a recycled or compressed log: the leader must not use that
  //                       feature. With RocksDB 7.8 also one with timestamp sizes, which that does
  //                       not know; with 9.10 it is checked and passed over.
  //         other         what `sink` returned; the record that it refused counts as not read.
  // An error is sticky: every later call returns it again and calls no sink.
  [[nodiscard]] rocksdb::Status Feed(rocksdb::Slice bytes, const Sink& sink);

  // The same, and calls `asides` in file order for every fragment with timestamp sizes, which
  // stands between records: for its payload, as `sink` is called for a record.
  [[nodiscard]] rocksdb::Status Feed(rocksdb::Slice bytes, const Sink& sink, const Sink& asides);

  // The file offset, in bytes, behind all bytes fed so far. After an error: the offset at which
  // reading stopped.
  [[nodiscard]] uint64_t fed_bytes() const { return offset_; }

  // The file offset, in bytes, just behind the last complete record, or the initial offset before
  // the first one. A file that is cut here ends cleanly. Padding behind the record is not included.
  [[nodiscard]] uint64_t record_boundary() const { return record_boundary_; }

  // Bytes of memory held for the incomplete record and for reuse.
  [[nodiscard]] size_t buffer_bytes() const { return record_.capacity(); }

 private:
  struct Header {
    uint32_t crc = 0;
    uint32_t length = 0;
    LogFragmentType type = LogFragmentType::kZero;
  };

  struct Sinks {
    const Sink& records;
    const Sink& asides;
  };

  [[nodiscard]] size_t LeftInBlock() const { return kLogBlockBytes - offset_ % kLogBlockBytes; }

  rocksdb::Status FeedAll(rocksdb::Slice* bytes, const Sinks& sinks);
  bool TakeHeader(rocksdb::Slice* bytes, Header* header);
  rocksdb::Status StartFragment(const Header& header, rocksdb::Slice* bytes, const Sinks& sinks);
  rocksdb::Status TakeWholeFragment(const Header& header, rocksdb::Slice* bytes,
                                    const Sinks& sinks);
  rocksdb::Status ContinueFragment(rocksdb::Slice* bytes, const Sinks& sinks);
  rocksdb::Status CheckHeader(const Header& header) const;
  rocksdb::Status CheckOrder(LogFragmentType type) const;
  rocksdb::Status Deliver(rocksdb::Slice payload, const Sink& sink);
  rocksdb::Status EndBufferedFragment(LogFragmentType type, const Sinks& sinks);
  rocksdb::Status Damaged(const std::string& what) const;
  rocksdb::Status ChecksumMismatch(const Header& header, uint32_t found) const;

  const std::string file_name_;

  // File offset of the next byte.
  uint64_t offset_;
  uint64_t record_boundary_;
  // File offset of the current fragment's header, for messages.
  uint64_t fragment_offset_;

  // Bytes up to the block's end that are to be skipped.
  size_t skip_ = 0;

  // A header that arrived in pieces: header_bytes_[0, header_size_).
  char header_bytes_[kLogHeaderBytes];
  size_t header_size_ = 0;

  // The fragment whose payload arrives in pieces, how much of it is missing, and the checksum of
  // what was seen.
  bool in_fragment_ = false;
  Header fragment_;
  size_t payload_missing_ = 0;
  uint32_t running_crc_ = 0;

  // What has been seen of a record that is not contiguous. in_record_ means that a kFirst fragment
  // has been read and its kLast has not.
  bool in_record_ = false;
  std::string record_;

  rocksdb::Status error_;
};

}  // namespace slipstream
