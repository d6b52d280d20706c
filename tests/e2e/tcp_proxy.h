// A TCP connection that a test can hold up and break.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <thread>

namespace slipstream::testing {

// Listens on a loopback port of its own and forwards each connection to another one.
// Threads: any. One thread of its own moves the bytes.
class TcpProxy {
 public:
  explicit TcpProxy(int target_port);
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  int port() const { return port_; }

  // Nothing is forwarded any more; connections stay, and new ones are taken and ignored.
  void Pause();
  // Nothing is forwarded one way: towards the target, or from it.
  enum class Way { kToTarget = 0, kFromTarget = 1 };
  void Stall(Way way);
  // Bytes flow (again) both ways, and new connections are served.
  void Resume();
  // Flips a bit in the next bytes that go one way, in one connection. `at`: which of them, modulo
  // their number.
  void Corrupt(Way way, uint64_t at);
  // Resets all connections there are.
  void Cut();
  // Resets all connections there are and every new one, until Resume.
  void Refuse();
  // New connections go there.
  void Retarget(int target_port) { target_port_ = target_port; }

 private:
  enum class Mode { kForward, kPause, kRefuse };
  struct Connection {
    int ends[2] = {-1, -1};
    std::string waiting[2];  // read from ends[i], not yet written to the other
    bool dead = false;
  };

  // Has the thread do something, and waits until it has.
  void Command(Mode mode, bool cut);
  // What the thread has been told to do.
  struct Orders {
    Mode mode = Mode::kForward;
    bool stalled[2] = {false, false};
    bool corrupt[2] = {false, false};
    uint64_t corrupt_at = 0;
  };
  // REQUIRES: mutex_ is held by `lock`.
  void Obey(std::unique_lock<std::mutex>* lock);
  void Run();
  void Accept(Mode mode);
  void Move(Connection* connection, int from, const Orders& orders);
  static void Reset(Connection* connection);

  std::atomic<int> target_port_;
  int port_ = 0;
  int listener_ = -1;
  int wake_ = -1;
  std::list<Connection> connections_;  // of the thread alone

  std::mutex mutex_;
  std::condition_variable done_;
  Orders orders_;
  bool cut_ = false;
  bool stop_ = false;
  uint64_t asked_ = 0;
  uint64_t obeyed_ = 0;
  std::thread thread_;
};

}  // namespace slipstream::testing
