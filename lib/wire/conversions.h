// Between the plain messages of lib/core and their Protobuf forms. The only place that knows both.
#pragma once

#include "lib/core/messages.h"
#include "rocksdb/status.h"
#include "slipstream/v1/replication.pb.h"

namespace slipstream::wire {

void ToProto(const Position& from, v1::Position* to);
Position FromProto(const v1::Position& from);

void ToProto(const Hello& from, v1::Hello* to);
Hello FromProto(const v1::Hello& from);

void ToProto(const Welcome& from, v1::Welcome* to);
Welcome FromProto(const v1::Welcome& from);

void ToProto(const ImageBegin& from, v1::ImageBegin* to);
ImageBegin FromProto(const v1::ImageBegin& from);

void ToProto(const Ack& from, v1::Ack* to);
Ack FromProto(const v1::Ack& from);

// The bytes of a LeaderMessage that holds Frames, up to where its payload of `payload_size` bytes
// follows: the payload itself need not be copied into a message.
std::string FramesPrefix(const FramesHeader& header, size_t payload_size);
FramesHeader FromProto(const v1::Frames& from);

}  // namespace slipstream::wire
