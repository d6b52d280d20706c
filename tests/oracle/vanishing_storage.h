// A storage on which an object that is deleted is gone for those that have it open, too: as on an
// object store, and unlike a local directory, which would hide that a file was deleted too early.
#pragma once

#include <memory>

#include "slipstream/shared_storage.h"

namespace slipstream::oracle {

// Forwards everything to `storage`.
std::shared_ptr<SharedStorage> NewVanishingStorage(std::shared_ptr<SharedStorage> storage);

}  // namespace slipstream::oracle
