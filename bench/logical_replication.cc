#include "bench/logical_replication.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <iostream>

#include "bench/cpu_time.h"
#include "lib/host/timer_slack.h"
#include "rocksdb/transaction_log.h"
#include "rocksdb/write_batch.h"

namespace slipstream::bench {

using rocksdb::Status;

namespace {

// How often the source looks for more when it has sent everything, in microseconds: as often as
// the secondary of the same benchmarks.
constexpr uint64_t kPollUs = 1000;
constexpr size_t kSendBytes = 64 << 10;

struct BatchHeader {
  uint64_t sequence;
  uint64_t bytes;
};

Status SystemError(const char* what) { return Status::IOError(what, strerror(errno)); }

bool SendAll(int fd, const std::string& data) {
  for (size_t done = 0; done < data.size();) {
    const ssize_t n = send(fd, data.data() + done, data.size() - done, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

void SendAtOnce(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

}  // namespace

LogicalSource::~LogicalSource() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
  if (listener_ >= 0) close(listener_);
}

Status LogicalSource::Open(rocksdb::DB* db) {
  db_ = db;
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener_ < 0) return SystemError("socket");
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_, 1) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return SystemError("listening socket");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
  return Status::OK();
}

void LogicalSource::Run() {
  WakeThisThreadInTime();
  while (!stopping_) {
    pollfd p{listener_, POLLIN, 0};
    if (poll(&p, 1, 100) <= 0) continue;
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    SendAtOnce(fd);
    Serve(fd);
    close(fd);
  }
}

void LogicalSource::Serve(int fd) {
  uint64_t next = 0;
  if (recv(fd, &next, sizeof(next), MSG_WAITALL) != sizeof(next)) return;
  std::unique_ptr<rocksdb::TransactionLogIterator> it;
  std::string out;
  while (!stopping_) {
    if (db_->GetLatestSequenceNumber() < next) {
      SleepUs(kPollUs);
      continue;
    }
    if (it != nullptr && it->status().ok()) {
      it->Next();
    } else if (!db_->GetUpdatesSince(next, &it).ok()) {
      it.reset();
      SleepUs(kPollUs);
      continue;
    }
    for (; it->Valid(); it->Next()) {
      const rocksdb::BatchResult batch = it->GetBatch();
      const std::string& data = batch.writeBatchPtr->Data();
      const BatchHeader header{batch.sequence, data.size()};
      out.append(reinterpret_cast<const char*>(&header), sizeof(header));
      out.append(data);
      next = batch.sequence + static_cast<uint64_t>(batch.writeBatchPtr->Count());
      if (out.size() < kSendBytes) continue;
      if (!SendAll(fd, out)) return;
      out.clear();
    }
    if (!SendAll(fd, out)) return;
    out.clear();
  }
}

LogicalReplica::~LogicalReplica() {
  if (fd_ >= 0) shutdown(fd_, SHUT_RDWR);
  if (thread_.joinable()) thread_.join();
  if (fd_ >= 0) close(fd_);
}

Status LogicalReplica::Open(rocksdb::DB* db, int port) {
  db_ = db;
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return SystemError("socket");
  const sockaddr_in address = Loopback(port);
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return SystemError("connect");
  }
  SendAtOnce(fd_);
  const uint64_t next = db_->GetLatestSequenceNumber() + 1;
  if (!SendAll(fd_, std::string(reinterpret_cast<const char*>(&next), sizeof(next)))) {
    return SystemError("send");
  }
  thread_ = std::thread([this] { Run(); });
  return Status::OK();
}

void LogicalReplica::Run() {
  std::string data;
  std::string buffer(1 << 20, '\0');
  for (;;) {
    const ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    data.append(buffer.data(), static_cast<size_t>(n));
    size_t used = 0;
    if (!Apply(data, &used)) return;
    data.erase(0, used);
  }
}

// Returns false after an error.
bool LogicalReplica::Apply(const std::string& data, size_t* used) {
  BatchHeader header;
  while (data.size() - *used >= sizeof(header)) {
    memcpy(&header, data.data() + *used, sizeof(header));
    if (data.size() - *used - sizeof(header) < header.bytes) break;
    rocksdb::WriteBatch batch(data.substr(*used + sizeof(header), header.bytes));
    const Status s = db_->Write(rocksdb::WriteOptions(), &batch);
    if (!s.ok()) {
      std::cerr << "logical replica: " << s.ToString() << "\n";
      return false;
    }
    *used += sizeof(header) + header.bytes;
  }
  return true;
}

}  // namespace slipstream::bench
