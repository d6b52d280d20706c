#include "lib/leader/barrier_gate.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

namespace slipstream {
namespace {

VersionEditSummary EditAt(uint64_t sequence) {
  VersionEditSummary edit;
  edit.understood = true;
  edit.last_sequence = sequence;
  return edit;
}

TEST_CASE("barrier_gate: no write is under way during a barrier", "[unit]") {
  BarrierGate gate;
  std::atomic<int> writing{0};
  std::atomic<int> barriers{0};
  std::atomic<int> overlaps{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        gate.BeginWrite();
        ++writing;
        if (barriers > 0) ++overlaps;
        --writing;
        gate.EndWrite();
      }
    });
  }
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        gate.BeginBarrier();
        if (++barriers > 1 || writing > 0) ++overlaps;
        --barriers;
        gate.EndBarrier();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(overlaps == 0);
}

TEST_CASE("barrier_gate: an edit ahead of the WAL is refused outside of a barrier", "[unit]") {
  BarrierGate gate;
  // While the database is opened, what it recovers is not in a WAL of this epoch.
  CHECK(gate.OnEdit(EditAt(50)).ok());
  gate.Opened(100);
  CHECK(gate.OnEdit(EditAt(100)).ok());
  CHECK(gate.OnEdit(VersionEditSummary()).ok());
  const rocksdb::Status s = gate.OnEdit(EditAt(102));
  CHECK(s.IsNotSupported());
  CHECK(s.ToString().find("102") != std::string::npos);
  CHECK(s.ToString().find("100") != std::string::npos);
  gate.OnWalRecord(102);
  CHECK(gate.OnEdit(EditAt(102)).ok());
  gate.BeginBarrier();
  CHECK(gate.OnEdit(EditAt(103)).ok());
  gate.EndBarrier();
  // What a barrier was let through with is reached, although no WAL record says so.
  CHECK(gate.OnEdit(EditAt(103)).ok());
  CHECK(gate.OnEdit(EditAt(104)).IsNotSupported());
}

}  // namespace
}  // namespace slipstream
