#ifndef SLIPSTREAM_TESTS_ASSUMPTIONS_VERSION_EDIT_H_
#define SLIPSTREAM_TESTS_ASSUMPTIONS_VERSION_EDIT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catch2/catch.hpp"

namespace slipstream {

// The fields of a manifest record that the tests look at.
struct VersionEdit {
  std::optional<uint64_t> last_sequence;
  std::optional<uint64_t> log_number;
  std::vector<uint64_t> new_files;
  std::vector<uint64_t> deleted_files;
  std::optional<std::string> added_family;
  bool drops_family = false;
};

// Walks the tagged fields of one record. A tag that it does not know fails the test, because the
// tags are a format that the leader relies on.
class VersionEditReader {
 public:
  explicit VersionEditReader(std::string_view record) : rest_(record) {}

  VersionEdit Read() {
    VersionEdit edit;
    while (!rest_.empty()) ReadField(&edit);
    return edit;
  }

 private:
  // Tags from this bit on may be skipped by readers that do not know them; all those of this
  // version carry one string.
  static constexpr uint64_t kSkippableTags = 1 << 13;

  void ReadField(VersionEdit* edit) {
    const uint64_t tag = Varint();
    switch (tag) {
      case 2:
        edit->log_number = Varint();
        return;
      case 4:
        edit->last_sequence = Varint();
        return;
      case 6:
        Varint();
        edit->deleted_files.push_back(Varint());
        return;
      case 103:
        ReadNewFile(edit);
        return;
      case 201:
        edit->added_family = String();
        return;
      case 202:
        edit->drops_family = true;
        return;
      case 1:
        String();
        return;  // comparator
      case 5:
        Varint();
        String();
        return;  // compaction cursor
      case 3:    // next file number
      case 9:    // previous log number
      case 10:   // minimum log number to keep
      case 200:  // column family
      case 203:  // largest column family
      case 300:
        Varint();
        return;  // in an atomic group
      default:
        break;
    }
    INFO("tag " << tag);
    REQUIRE((tag & kSkippableTags) != 0);
    String();
  }

  void ReadNewFile(VersionEdit* edit) {
    constexpr uint64_t kEndOfFields = 1;
    Varint();  // level
    edit->new_files.push_back(Varint());
    Varint();  // size
    String();  // smallest key
    String();  // largest key
    Varint();  // smallest sequence
    Varint();  // largest sequence
    while (Varint() != kEndOfFields) String();
  }

  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      REQUIRE(!rest_.empty());
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return value;
  }

  std::string String() {
    const uint64_t size = Varint();
    REQUIRE(size <= rest_.size());
    const std::string value(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return value;
  }

  std::string_view rest_;
};

inline VersionEdit ReadVersionEdit(const std::string& record) {
  return VersionEditReader(record).Read();
}

}  // namespace slipstream

#endif  // SLIPSTREAM_TESTS_ASSUMPTIONS_VERSION_EDIT_H_
