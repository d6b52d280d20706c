// The program e2e_node, with its commands as calls.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/process.h"
#include "tests/e2e/temporary_directory.h"

namespace slipstream::testing {

class NodeProcess {
 public:
  // role: "leader" or "follower"; arguments: name=value.
  NodeProcess(const std::string& role, const std::vector<std::string>& arguments);

  // Blocks until it serves. Fails the test if it refuses.
  void AwaitReady();
  // Blocks until it says "error ..." instead. Returns that without the first word.
  std::string AwaitRefusal();

  // Returns what follows "ok"; fails the test if the answer is another.
  std::string Ask(const std::string& command);
  // Returns the whole answer.
  std::string Answer(const std::string& command);
  // One of the numbers of "stats".
  uint64_t Stat(const std::string& name);
  uint64_t Sequence();  // of "position"

  Process* process() { return &process_; }
  void Kill() { process_.Kill(); }
  int port() const { return port_; }

 private:
  Process process_;
  int port_ = 0;
};

// A leader's directory, the storage, and nodes on them.
class NodeCluster {
 public:
  // extra: further arguments for the leader.
  std::unique_ptr<NodeProcess> StartLeader(int port = 0, std::vector<std::string> extra = {});
  // Not ready yet when this returns.
  std::unique_ptr<NodeProcess> StartFollower(int port, std::vector<std::string> extra = {});

  const TemporaryDirectory& directory() const { return directory_; }
  std::string leader_path() const { return directory_.path("leader"); }

 private:
  TemporaryDirectory directory_;
};

// Waits until the follower has everything, and requires that both show the same. REQUIRES: nobody
// writes.
void RequireEqual(NodeProcess* leader, NodeProcess* follower);

}  // namespace slipstream::testing
