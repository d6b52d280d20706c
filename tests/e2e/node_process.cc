#include "tests/e2e/node_process.h"

#include <filesystem>
#include <sstream>

#include "catch2/catch.hpp"
#include "slipstream/position.h"

namespace slipstream::testing {
namespace {

std::string NodeProgram() {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "e2e_node").string();
}

std::vector<std::string> WithRole(const std::string& role,
                                  const std::vector<std::string>& arguments) {
  std::vector<std::string> all{role};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return all;
}

}  // namespace

NodeProcess::NodeProcess(const std::string& role, const std::vector<std::string>& arguments)
    : process_(NodeProgram(), WithRole(role, arguments)) {}

void NodeProcess::AwaitReady() {
  const std::string line = process_.ReadLine();
  INFO("the node said " << line);
  REQUIRE(line.starts_with("ready "));
  port_ = std::stoi(line.substr(6));
}

std::string NodeProcess::AwaitRefusal() {
  const std::string line = process_.ReadLine();
  INFO("the node said " << line);
  REQUIRE(line.starts_with("error "));
  return line.substr(6);
}

std::string NodeProcess::Answer(const std::string& command) {
  process_.WriteLine(command);
  return process_.ReadLine();
}

std::string NodeProcess::Ask(const std::string& command) {
  const std::string line = Answer(command);
  INFO("the answer to " << command << " was " << line);
  REQUIRE(line.starts_with("ok"));
  return line.size() > 3 ? line.substr(3) : std::string();
}

uint64_t NodeProcess::Stat(const std::string& name) {
  std::istringstream words(Ask("stats"));
  for (std::string word; words >> word;) {
    if (word.starts_with(name + "=")) return std::stoull(word.substr(name.size() + 1));
  }
  FAIL("no statistic " << name);
  return 0;
}

uint64_t NodeProcess::Sequence() {
  Position position;
  REQUIRE(Position::Parse(Ask("position"), &position).ok());
  return position.sequence;
}

std::unique_ptr<NodeProcess> NodeCluster::StartLeader(int port, std::vector<std::string> extra) {
  extra.push_back("directory=" + leader_path());
  extra.push_back("storage=" + directory_.path("storage"));
  extra.push_back("database=test");
  extra.push_back("port=" + std::to_string(port));
  auto node = std::make_unique<NodeProcess>("leader", extra);
  node->AwaitReady();
  return node;
}

std::unique_ptr<NodeProcess> NodeCluster::StartFollower(int port, std::vector<std::string> extra) {
  extra.push_back("address=127.0.0.1:" + std::to_string(port));
  extra.push_back("storage=" + directory_.path("storage"));
  extra.push_back("database=test");
  return std::make_unique<NodeProcess>("follower", extra);
}

void RequireEqual(NodeProcess* leader, NodeProcess* follower) {
  const std::string position = leader->Ask("position");
  follower->Ask("wait " + position + " " + std::to_string(kPatience.count()));
  REQUIRE(follower->Ask("hash") == leader->Ask("hash"));
}

}  // namespace slipstream::testing
