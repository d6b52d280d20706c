#include "lib/wire/conversions.h"

#include "lib/core/coding.h"

namespace slipstream::wire {
namespace {

v1::LogKind ToProto(FrameFile file) {
  return file == FrameFile::kWal ? v1::LOG_KIND_WAL : v1::LOG_KIND_MANIFEST;
}

FrameFile FromProto(v1::LogKind kind) {
  switch (kind) {
    case v1::LOG_KIND_WAL:
      return FrameFile::kWal;
    case v1::LOG_KIND_MANIFEST:
      return FrameFile::kManifest;
    default:
      return FrameFile::kUnspecified;
  }
}

template <typename Repeated>
void ToProto(const std::vector<LogFileSize>& from, Repeated* to) {
  for (const LogFileSize& file : from) {
    auto* f = to->Add();
    f->set_kind(ToProto(file.id.file));
    f->set_number(file.id.number);
    f->set_size(file.size);
  }
}

template <typename Repeated>
std::vector<LogFileSize> FilesFromProto(const Repeated& from) {
  std::vector<LogFileSize> files;
  files.reserve(from.size());
  for (const auto& f : from) files.push_back({{FromProto(f.kind()), f.number()}, f.size()});
  return files;
}

// Protobuf's wire type of strings, bytes and messages.
constexpr uint32_t kLengthDelimited = 2;

void PutTag(std::string* out, uint32_t field, uint64_t length) {
  PutVarint32(out, field << 3 | kLengthDelimited);
  PutVarint64(out, length);
}

}  // namespace

void ToProto(const Position& from, v1::Position* to) {
  to->set_epoch(from.epoch);
  to->set_offset(from.offset);
  to->set_sequence(from.sequence);
}

Position FromProto(const v1::Position& from) {
  return Position{from.epoch(), from.offset(), from.sequence()};
}

void ToProto(const Hello& from, v1::Hello* to) {
  to->set_min_protocol(from.min_protocol);
  to->set_max_protocol(from.max_protocol);
  to->set_database(from.database);
  to->set_follower_id(from.follower_id);
  to->set_name(from.name);
  to->set_observe_endpoint(from.observe_endpoint);
  to->set_db_identity(from.db_identity);
  ToProto(from.held, to->mutable_held());
  ToProto(from.files, to->mutable_files());
  ToProto(from.pin, to->mutable_pin());
}

Hello FromProto(const v1::Hello& from) {
  Hello to;
  to.min_protocol = from.min_protocol();
  to.max_protocol = from.max_protocol();
  to.database = from.database();
  to.follower_id = from.follower_id();
  to.name = from.name();
  to.observe_endpoint = from.observe_endpoint();
  to.db_identity = from.db_identity();
  to.held = FromProto(from.held());
  to.files = FilesFromProto(from.files());
  to.pin = FromProto(from.pin());
  return to;
}

void ToProto(const Welcome& from, v1::Welcome* to) {
  to->set_protocol(from.protocol);
  to->set_epoch(from.epoch);
  to->set_db_identity(from.db_identity);
  to->set_wal_recovery_mode(from.wal_recovery_mode);
  to->set_heartbeat_ms(from.heartbeat_ms);
  to->set_two_phase_commit(from.two_phase_commit);
  to->set_recovered_sequence(from.recovered_sequence);
  to->set_newest_recovered_wal(from.newest_recovered_wal);
  for (const RecoveredTransaction& transaction : from.recovered_transactions) {
    v1::RecoveredTransaction* t = to->add_recovered_transactions();
    t->set_name(transaction.name);
    t->set_wal(transaction.wal);
    t->set_crc32c(transaction.crc32c);
  }
  for (const ColumnFamilyInfo& cf : from.column_families) {
    v1::ColumnFamily* c = to->add_column_families();
    c->set_name(cf.name);
    c->set_comparator(cf.comparator);
    c->set_merge_operator(cf.merge_operator);
    if (cf.timestamp_size) c->set_timestamp_size(*cf.timestamp_size);
  }
  for (const EpochStart& epoch : from.epochs) {
    v1::EpochStart* e = to->add_epochs();
    e->set_epoch(epoch.epoch);
    e->set_sequence(epoch.sequence);
  }
}

Welcome FromProto(const v1::Welcome& from) {
  Welcome to;
  to.protocol = from.protocol();
  to.epoch = from.epoch();
  to.db_identity = from.db_identity();
  to.wal_recovery_mode = from.wal_recovery_mode();
  to.heartbeat_ms = from.heartbeat_ms();
  to.two_phase_commit = from.two_phase_commit();
  to.recovered_sequence = from.recovered_sequence();
  to.newest_recovered_wal = from.newest_recovered_wal();
  for (const v1::RecoveredTransaction& t : from.recovered_transactions()) {
    to.recovered_transactions.push_back({t.name(), t.wal(), t.crc32c()});
  }
  for (const v1::ColumnFamily& c : from.column_families()) {
    ColumnFamilyInfo& info = to.column_families.emplace_back();
    info.name = c.name();
    info.comparator = c.comparator();
    info.merge_operator = c.merge_operator();
    if (c.has_timestamp_size()) info.timestamp_size = c.timestamp_size();
  }
  for (const v1::EpochStart& e : from.epochs()) to.epochs.push_back({e.epoch(), e.sequence()});
  return to;
}

void ToProto(const ImageBegin& from, v1::ImageBegin* to) {
  ToProto(from.cut, to->mutable_cut());
  to->set_from_scratch(from.from_scratch);
  to->set_current_manifest(from.current_manifest);
  ToProto(from.files, to->mutable_files());
  to->set_bytes(from.bytes);
}

ImageBegin FromProto(const v1::ImageBegin& from) {
  ImageBegin to;
  to.cut = FromProto(from.cut());
  to.from_scratch = from.from_scratch();
  to.current_manifest = from.current_manifest();
  to.files = FilesFromProto(from.files());
  to.bytes = from.bytes();
  return to;
}

void ToProto(const Ack& from, v1::Ack* to) {
  ToProto(from.received, to->mutable_received());
  ToProto(from.applied, to->mutable_applied());
  ToProto(from.pin, to->mutable_pin());
  to->set_live_generations(from.live_generations);
  to->set_serving(from.serving);
}

Ack FromProto(const v1::Ack& from) {
  Ack to;
  to.received = FromProto(from.received());
  to.applied = FromProto(from.applied());
  to.pin = FromProto(from.pin());
  to.live_generations = from.live_generations();
  to.serving = from.serving();
  return to;
}

std::string FramesPrefix(const FramesHeader& header, size_t payload_size) {
  v1::Frames frames;
  frames.set_epoch(header.epoch);
  frames.set_image(header.image);
  frames.set_offset(header.offset);
  ToProto(header.leader, frames.mutable_leader());
  frames.set_confirm(header.confirm);
  std::string fields = frames.SerializeAsString();
  PutTag(&fields, v1::Frames::kPayloadFieldNumber, payload_size);
  std::string prefix;
  PutTag(&prefix, v1::LeaderMessage::kFramesFieldNumber, fields.size() + payload_size);
  prefix += fields;
  return prefix;
}

FramesHeader FromProto(const v1::Frames& from) {
  FramesHeader to;
  to.epoch = from.epoch();
  to.image = from.image();
  to.offset = from.offset();
  to.leader = FromProto(from.leader());
  to.confirm = from.confirm();
  return to;
}

}  // namespace slipstream::wire
