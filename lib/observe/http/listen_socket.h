// The socket that the HTTP server listens on.
#pragma once

#include <cstdint>
#include <string>

#include "lib/observe/http/file_descriptor.h"
#include "rocksdb/status.h"

namespace slipstream::observe {

// Splits "ADDRESS:PORT"; brackets around an IPv6 address are taken off, and "localhost" becomes its
// address. Returns InvalidArgument naming what is wrong; the name of a host is not looked up.
[[nodiscard]] rocksdb::Status ParseListenAddress(const std::string& text, std::string* address,
                                                 uint16_t* port);

// Returns InvalidArgument as ParseListenAddress, or IOError. The socket does not block.
[[nodiscard]] rocksdb::Status Listen(const std::string& listen_address, FileDescriptor* socket,
                                     uint16_t* port);

}  // namespace slipstream::observe
