#include "lib/wire/grpc_status.h"

namespace slipstream::wire {

using rocksdb::Status;

grpc::Status ToGrpc(const Status& status) {
  const char* state = status.getState();
  const std::string message = state != nullptr ? state : status.ToString();
  switch (status.code()) {
    case Status::kOk:
      return grpc::Status::OK;
    case Status::kInvalidArgument:
      return {grpc::StatusCode::INVALID_ARGUMENT, message};
    case Status::kNotFound:
      return {grpc::StatusCode::NOT_FOUND, message};
    case Status::kNotSupported:
      return {grpc::StatusCode::FAILED_PRECONDITION, message};
    case Status::kAborted:
      return {grpc::StatusCode::ABORTED, message};
    case Status::kCorruption:
      return {grpc::StatusCode::DATA_LOSS, message};
    case Status::kTimedOut:
      return {grpc::StatusCode::DEADLINE_EXCEEDED, message};
    default:
      return {grpc::StatusCode::INTERNAL, message};
  }
}

Status FromGrpc(const grpc::Status& status, const std::string& peer) {
  const std::string message = peer + ": " + status.error_message();
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      return Status::Aborted(peer + ": the leader ended the stream");
    case grpc::StatusCode::INVALID_ARGUMENT:
      return Status::InvalidArgument(message);
    case grpc::StatusCode::NOT_FOUND:
      return Status::NotFound(message);
    case grpc::StatusCode::FAILED_PRECONDITION:
      return Status::NotSupported(message);
    case grpc::StatusCode::ABORTED:
      return Status::Aborted(message);
    case grpc::StatusCode::DATA_LOSS:
      return Status::Corruption(message);
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return Status::TimedOut(message);
    case grpc::StatusCode::UNIMPLEMENTED:
      return Status::NotSupported(peer + " is not a Slipstream leader: " + status.error_message());
    case grpc::StatusCode::CANCELLED:
      return Status::TimedOut(peer + ": the stream was cancelled");
    default:
      return Status::IOError(message);
  }
}

}  // namespace slipstream::wire
