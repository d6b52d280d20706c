// The leader's end of one stream over gRPC.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "lib/core/transport.h"
#include "lib/host/plain_mutex.h"
#include "lib/wire/stream_loop.h"
#include "lib/wire/stream_router.h"
#include "slipstream/v1/replication.grpc.pb.h"

namespace slipstream {

// Messages are bytes, so that those of the replication log are not copied.
using ReplicationService = v1::Replication::WithRawMethod_Follow<v1::Replication::Service>;

class LeaderCall;

// What the calls of one server share.
struct CallContext {
  ReplicationService* service = nullptr;
  std::shared_ptr<StreamLoop> loop;
  std::shared_ptr<ServerRouter> router;
  // A call has come, and the next one is to be waited for.
  std::function<void(const std::shared_ptr<LeaderCall>&)> arrived;
  // A call that was waited for has ended, or will not come.
  std::function<void()> gone;
};

// Exists as long as gRPC has an operation of it.
// Threads: as LeaderStream.
class LeaderCall : public LeaderStream, public std::enable_shared_from_this<LeaderCall> {
 public:
  explicit LeaderCall(std::shared_ptr<const CallContext> context);

  // Waits for a client to make it.
  void Request();
  // Ends it if there was no hello for too long. Microseconds until it is to be looked at again;
  // UINT64_MAX = need not.
  uint64_t CheckHello(uint64_t now_us);

  void SendWelcome(const Welcome& welcome) override;
  void SendImageBegin(const ImageBegin& begin) override;
  void SendImageEnd() override;
  void SendFrames(const FramesHeader& header, const std::vector<SharedBytes>& frames) override;
  void SendHeartbeat(const Position& leader, uint64_t sent, bool confirm) override;
  void Finish(const rocksdb::Status& status) override;
  void Cancel() override;

 private:
  // An operation of this call; one of each kind is under way at a time.
  struct Operation : StreamEvent {
    Operation(LeaderCall* c, void (LeaderCall::*f)(bool)) : call(c), completed(f) {}
    void Complete(bool ok) override { call->Complete(completed, ok); }
    LeaderCall* const call;
    void (LeaderCall::*const completed)(bool ok);
  };

  void Complete(void (LeaderCall::*completed)(bool), bool ok);
  void OnRequested(bool ok);
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnFinished(bool ok) {}
  void OnDone(bool ok);

  void Read();
  rocksdb::Status Take(const v1::FollowerMessage& message);
  void SendMessage(const v1::LeaderMessage& message);
  void Send(const grpc::ByteBuffer& buffer);

  const std::shared_ptr<const CallContext> context_;
  Operation requested_{this, &LeaderCall::OnRequested};
  Operation read_{this, &LeaderCall::OnRead};
  Operation written_{this, &LeaderCall::OnWritten};
  Operation finished_{this, &LeaderCall::OnFinished};
  Operation done_{this, &LeaderCall::OnDone};

  // Of the server's thread.
  std::shared_ptr<LeaderCall> self_;  // while there are operations
  std::shared_ptr<LeaderSession> session_;
  std::string peer_;
  uint64_t came_us_ = 0;
  grpc::ByteBuffer incoming_;

  PlainMutex mutex_;
  int operations_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;  // Finish was called: nothing else is started
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ServerContext server_context_;
  grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer> stream_{&server_context_};
};

}  // namespace slipstream
