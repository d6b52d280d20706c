// The names of a database's objects on the shared storage. They are built and parsed here alone.
//
//   <database>/sst/<file number, 6 digits>-<epoch, 8 digits>.sst     a table
//   <database>/sst/<file number, 6 digits>-<epoch, 8 digits>.blob    a blob file
//   <database>/epoch/<epoch, 8 digits>                               the claim of an epoch
//   <database>/epoch/<epoch, 8 digits>.open                          what was opened under it
//   <database>/reclaim/<epoch, 8 digits>                             what its leader is deleting
//
// The epoch is the writer's, so two leaders can never write the same object. Numbers that need more
// digits take them.
//
// The parse functions accept exactly what is built here for `database`; for everything else they
// return false and leave the out-parameter as it was.
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/core/messages.h"
#include "rocksdb/status.h"

namespace slipstream {

// 1 to 100 of [A-Za-z0-9._-], and no '.' at the front.
// Returns InvalidArgument with the name found.
[[nodiscard]] rocksdb::Status ValidateDatabaseName(std::string_view database);

// REQUIRES: object.file is kTable or kBlob. Its size is not part of the name.
std::string ObjectNameOf(std::string_view database, const ObjectInfo& object);
// `object->size` is left as it was.
[[nodiscard]] bool ParseObjectName(std::string_view database, std::string_view name,
                                   ObjectInfo* object);
// What the names of all tables and blob files begin with, and no others.
std::string ObjectPrefix(std::string_view database);

std::string EpochName(std::string_view database, uint64_t epoch);
[[nodiscard]] bool ParseEpochName(std::string_view database, std::string_view name,
                                  uint64_t* epoch);
// What the names of all claims of epochs and of what was opened under them begin with, and no
// others.
std::string EpochPrefix(std::string_view database);
std::string OpeningName(std::string_view database, uint64_t epoch);
[[nodiscard]] bool ParseOpeningName(std::string_view database, std::string_view name,
                                    uint64_t* epoch);

std::string ReclaimName(std::string_view database, uint64_t epoch);
[[nodiscard]] bool ParseReclaimName(std::string_view database, std::string_view name,
                                    uint64_t* epoch);
std::string ReclaimPrefix(std::string_view database);

}  // namespace slipstream
