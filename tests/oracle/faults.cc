#include "tests/oracle/faults.h"

#include <utility>

namespace slipstream::oracle {

Faults::Faults(std::shared_ptr<SharedStorage> storage)
    : disk_(std::make_shared<testing::FaultFileSystem>()),
      env_(rocksdb::NewCompositeEnv(disk_)),
      leaders_(std::make_shared<testing::FaultStorage>(storage)),
      followers_(std::make_shared<testing::FaultStorage>(std::move(storage))) {}

void Faults::StopLeader() {
  disk_->Stop();
  leaders_->Stop();
}

void Faults::Heal() {
  disk_->Heal();
  leaders_->Heal();
  followers_->Heal();
}

}  // namespace slipstream::oracle
