#include "bench/memtable_round.h"

#include <atomic>
#include <filesystem>
#include <memory>
#include <thread>
#include <utility>

#include "bench/cpu_time.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "rocksdb/write_batch.h"
#include "slipstream/leader.h"
#include "slipstream/replay_memtable.h"
#include "slipstream/shared_storage.h"

namespace slipstream::bench {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

constexpr size_t kKeyBytes = 16;
constexpr uint64_t kScanLength = 100;
constexpr int kWriters[] = {1, 2, 4};
constexpr int kBatches[] = {1, 100};

std::string LeaderMeasure(int writers, int batch) {
  return "leader_" + std::to_string(writers) + "_writers_batch_" + std::to_string(batch);
}

std::string PlainMeasure(int batch) { return "plain_1_writers_batch_" + std::to_string(batch); }

uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void PutBigEndian(uint64_t value, char* to) {
  for (int i = 0; i < 8; ++i) to[i] = static_cast<char>(value >> (56 - 8 * i));
}

// Keys by their number, made beforehand.
class Keys {
 public:
  Keys(uint64_t count, uint64_t seed, bool ascending) : bytes_(count * kKeyBytes, '\0') {
    for (uint64_t i = 0; i < count; ++i) {
      char* key = bytes_.data() + i * kKeyBytes;
      const uint64_t random = Mix((seed << 40) + i);
      PutBigEndian(ascending ? seed : random, key);
      PutBigEndian(ascending ? i : Mix(random + 1), key + 8);
    }
  }
  uint64_t size() const { return bytes_.size() / kKeyBytes; }
  Slice operator[](uint64_t i) const { return {bytes_.data() + i * kKeyBytes, kKeyBytes}; }
  Slice Random(uint64_t n) const { return (*this)[Mix(n) % size()]; }

 private:
  std::string bytes_;
};

// The database of a memtable that is never flushed.
Status OpenForMemtable(const std::string& path, Memtable memtable,
                       std::unique_ptr<rocksdb::DB>* db) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = 64ull << 30;
  options.arena_block_size = 1 << 20;
  options.allow_concurrent_memtable_write = false;
  options.avoid_flush_during_shutdown = true;
  Status s = memtable == Memtable::kReplay ? UseReplayMemTable(&options) : Status::OK();
  rocksdb::DB* opened = nullptr;
  if (s.ok()) s = rocksdb::DB::Open(options, path, &opened);
  db->reset(opened);
  return s;
}

// Writes keys [begin, end) in batches.
Status Write(rocksdb::DB* db, bool wal, const Keys& keys, uint64_t begin, uint64_t end,
             uint64_t batch_size, const std::string& value) {
  rocksdb::WriteOptions write;
  write.disableWAL = !wal;
  rocksdb::WriteBatch batch;
  Status s;
  for (uint64_t i = begin; s.ok() && i < end;) {
    batch.Clear();
    for (const uint64_t stop = std::min(end, i + batch_size); s.ok() && i < stop; ++i) {
      s = batch.Put(keys[i], value);
    }
    if (s.ok()) s = db->Write(write, &batch);
  }
  return s;
}

// CPU of the calling thread over `count` calls, for each of them.
class CpuPer {
 public:
  explicit CpuPer(uint64_t count) : count_(static_cast<double>(count)), begin_(ThreadCpuNs()) {}
  double Ns() const { return static_cast<double>(ThreadCpuNs() - begin_) / count_; }
  double Us() const { return Ns() / 1000; }

 private:
  const double count_;
  const uint64_t begin_;
};

class Round {
 public:
  Round(const MemtableSettings& settings, Memtable memtable, std::string directory,
        const std::function<void(const std::string&)>& progress, MemtableResult* result)
      : settings_(settings),
        memtable_(memtable),
        directory_(std::move(directory)),
        progress_(progress),
        result_(*result),
        value_(settings.value_bytes, 'v') {}

  Status Run() {
    std::error_code error;
    std::filesystem::create_directories(directory_, error);
    if (error) return Status::IOError(directory_, error.message());
    Status s;
    if (settings_.memtable) {
      s = Insert(Keys(settings_.keys, settings_.seed, settings_.ascending));
    }
    if (s.ok() && settings_.leader) s = Leaders();
    return s;
  }

 private:
  Status Insert(const Keys& keys);
  Status Reads(rocksdb::DB* db, const Keys& keys);
  Status Gets(rocksdb::DB* db, const Keys& keys, const Keys& absent);
  Status ShortScans(rocksdb::DB* db, const Keys& keys);
  Status FullScans(rocksdb::DB* db);
  Status Beside(rocksdb::DB* db, const Keys& keys);
  Status BesideWriter(rocksdb::DB* db, const Keys& added, const std::string& reads,
                      const std::function<Status(uint64_t)>& read);
  Status Leaders();
  Status LeaderRun(const Keys& keys, int writers, int batch);
  Status PlainRun(const Keys& keys, int batch);
  Status WriteAtOnce(rocksdb::DB* db, const Keys& keys, int writers, int batch,
                     const std::string& name);

  const MemtableSettings& settings_;
  const Memtable memtable_;
  const std::string directory_;
  const std::function<void(const std::string&)>& progress_;
  MemtableResult& result_;
  const std::string value_;
};

Status Round::Insert(const Keys& keys) {
  Status s;
  for (const int batch : kBatches) {
    progress_("insert, batches of " + std::to_string(batch));
    std::unique_ptr<rocksdb::DB> db;
    s = OpenForMemtable(directory_ + "/insert" + std::to_string(batch), memtable_, &db);
    if (!s.ok()) return s;
    const CpuPer cpu(keys.size());
    s = Write(db.get(), false, keys, 0, keys.size(), static_cast<uint64_t>(batch), value_);
    if (!s.ok()) return s;
    result_["insert_batch_" + std::to_string(batch)] = cpu.Us();
    if (batch == 1) continue;
    uint64_t bytes = 0;
    db->GetIntProperty(rocksdb::DB::Properties::kCurSizeActiveMemTable, &bytes);
    result_["bytes_per_key"] = static_cast<double>(bytes) / static_cast<double>(keys.size());
    s = Reads(db.get(), keys);
  }
  return s;
}

Status Round::Reads(rocksdb::DB* db, const Keys& keys) {
  const Keys absent(keys.size(), settings_.seed + 1000, settings_.ascending);
  Status s = Gets(db, keys, absent);
  if (s.ok()) s = ShortScans(db, keys);
  if (s.ok()) s = FullScans(db);
  if (s.ok()) s = Beside(db, keys);
  return s;
}

Status Round::Gets(rocksdb::DB* db, const Keys& keys, const Keys& absent) {
  progress_("Get");
  const uint64_t count = keys.size();
  rocksdb::PinnableSlice value;
  for (const bool hit : {true, false}) {
    const Keys& from = hit ? keys : absent;
    const CpuPer cpu(count);
    for (uint64_t n = 0; n < count; ++n) {
      value.Reset();
      const Status s = db->Get({}, db->DefaultColumnFamily(), from.Random(n), &value);
      if (s.ok() != hit) return Status::Corruption("Get: " + s.ToString());
    }
    result_[hit ? "get_hit" : "get_miss"] = cpu.Us();
  }
  return Status::OK();
}

Status Round::ShortScans(rocksdb::DB* db, const Keys& keys) {
  progress_("short scans");
  const uint64_t count = std::max<uint64_t>(keys.size() / 40, 1);
  uint64_t bytes = 0;
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator({}));
  for (const bool forward : {true, false}) {
    const CpuPer cpu(count);
    for (uint64_t n = 0; n < count; ++n) {
      const Slice key = keys.Random(n);
      if (forward)
        it->Seek(key);
      else
        it->SeekForPrev(key);
      for (uint64_t i = 0; i < kScanLength && it->Valid(); ++i) {
        bytes += it->value().size();
        if (forward)
          it->Next();
        else
          it->Prev();
      }
    }
    result_[forward ? "seek_100_next" : "seek_for_prev_100_prev"] = cpu.Us();
  }
  return bytes > 0 ? it->status() : Status::Corruption("the scans found nothing");
}

Status Round::FullScans(rocksdb::DB* db) {
  progress_("full scans");
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator({}));
  for (const bool forward : {true, false}) {
    uint64_t found = 0;
    const CpuPer cpu(settings_.keys);
    if (forward) {
      for (it->SeekToFirst(); it->Valid(); it->Next()) ++found;
    } else {
      for (it->SeekToLast(); it->Valid(); it->Prev()) ++found;
    }
    result_[forward ? "scan_forward" : "scan_backward"] = cpu.Ns();
    if (found != settings_.keys) return Status::Corruption("a full scan found another number");
  }
  return it->status();
}

// A reader and the writer at the same time.
Status Round::Beside(rocksdb::DB* db, const Keys& keys) {
  const uint64_t count = std::max<uint64_t>(keys.size() / 4, 1);
  rocksdb::PinnableSlice value;
  progress_("Get beside the writer");
  Status s = BesideWriter(db, Keys(count, settings_.seed + 2000, settings_.ascending),
                          "get_beside_insert", [&](uint64_t n) {
                            value.Reset();
                            return db->Get({}, db->DefaultColumnFamily(), keys.Random(n), &value);
                          });
  if (!s.ok()) return s;
  progress_("scans beside the writer");
  return BesideWriter(db, Keys(count, settings_.seed + 2500, settings_.ascending),
                      "scan_beside_insert", [&](uint64_t n) {
                        const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator({}));
                        it->Seek(keys.Random(n));
                        for (uint64_t i = 0; i < kScanLength && it->Valid(); ++i) it->Next();
                        return it->status();
                      });
}

// reads: name of what a read costs, in microseconds of CPU.
Status Round::BesideWriter(rocksdb::DB* db, const Keys& added, const std::string& reads,
                           const std::function<Status(uint64_t)>& read) {
  std::atomic<bool> ended{false};
  Status written;
  double insert_us = 0;
  std::thread writer([&] {
    const CpuPer cpu(added.size());
    written = Write(db, false, added, 0, added.size(), 100, value_);
    insert_us = cpu.Us();
    ended.store(true);
  });
  uint64_t done = 0;
  Status s;
  const CpuPer cpu(1);
  while (s.ok() && (done == 0 || !ended.load(std::memory_order_relaxed))) s = read(done++);
  result_[reads] = cpu.Us() / static_cast<double>(done);
  writer.join();
  // Of the writer beside Gets, which is the first one.
  result_.emplace("insert_beside_get", insert_us);
  return s.ok() ? written : s;
}

Status Round::Leaders() {
  const Keys keys(settings_.leader_keys, settings_.seed + 3000, settings_.ascending);
  Status s;
  for (const int writers : kWriters) {
    for (const int batch : kBatches) {
      if (s.ok()) s = LeaderRun(keys, writers, batch);
    }
  }
  for (const int batch : kBatches) {
    if (s.ok()) s = PlainRun(keys, batch);
  }
  return s;
}

rocksdb::Options SteadyOptions() {
  rocksdb::Options options;
  options.create_if_missing = true;
  // Small, so that flushes and compactions go on.
  options.write_buffer_size = 8 << 20;
  options.max_bytes_for_level_base = 32 << 20;
  options.avoid_flush_during_shutdown = true;
  return options;
}

Status Round::LeaderRun(const Keys& keys, int writers, int batch) {
  const std::string name = LeaderMeasure(writers, batch);
  progress_(name);
  const std::string path = directory_ + "/" + name;
  LeaderOptions leader_options;
  leader_options.database = "bench";
  leader_options.replay_memtable = memtable_ == Memtable::kReplay;
  leader_options.server_options.listen_address = "127.0.0.1:0";
  std::error_code error;
  std::filesystem::create_directories(path + "/storage", error);
  Status s = NewDirectoryStorage(path + "/storage", &leader_options.storage);
  std::unique_ptr<Leader> leader;
  if (s.ok()) s = Leader::Open(leader_options, SteadyOptions(), path + "/db", &leader);
  if (!s.ok()) return s;
  s = WriteAtOnce(leader->db(), keys, writers, batch, name);
  const Status closed = leader->Close();
  std::filesystem::remove_all(path, error);
  return s.ok() ? closed : s;
}

Status Round::PlainRun(const Keys& keys, int batch) {
  const std::string name = PlainMeasure(batch);
  progress_(name);
  const std::string path = directory_ + "/" + name;
  rocksdb::Options options = SteadyOptions();
  Status s;
  if (memtable_ == Memtable::kReplay) {
    options.allow_concurrent_memtable_write = false;
    s = UseReplayMemTable(&options);
  }
  rocksdb::DB* opened = nullptr;
  if (s.ok()) s = rocksdb::DB::Open(options, path, &opened);
  const std::unique_ptr<rocksdb::DB> db(opened);
  return s.ok() ? WriteAtOnce(db.get(), keys, 1, batch, name) : s;
}

Status Round::WriteAtOnce(rocksdb::DB* db, const Keys& keys, int writers, int batch,
                          const std::string& name) {
  std::vector<Status> statuses(static_cast<size_t>(writers));
  std::vector<std::thread> threads;
  const uint64_t begin_ns = NowNs();
  for (size_t w = 0; w < statuses.size(); ++w) {
    const uint64_t begin = keys.size() * w / statuses.size();
    const uint64_t end = keys.size() * (w + 1) / statuses.size();
    threads.emplace_back([&, w, begin, end] {
      statuses[w] = Write(db, true, keys, begin, end, static_cast<uint64_t>(batch), value_);
    });
  }
  for (std::thread& t : threads) t.join();
  result_[name] = static_cast<double>(NowNs() - begin_ns) / 1000 / static_cast<double>(keys.size());
  for (const Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return Status::OK();
}

}  // namespace

const char* NameOf(Memtable memtable) {
  return memtable == Memtable::kSkipList ? "skip list" : "replay memtable";
}

std::vector<MemtableMeasure> MeasuresOf(const MemtableSettings& settings) {
  std::vector<MemtableMeasure> all;
  if (settings.memtable) {
    all = {
        {"insert_batch_1", "insert, batches of 1", "CPU us a key", 2},
        {"insert_batch_100", "insert, batches of 100", "CPU us a key", 2},
        {"bytes_per_key", "memory", "bytes a key", 1},
        {"get_hit", "Get, present", "CPU us", 2},
        {"get_miss", "Get, absent", "CPU us", 2},
        {"seek_100_next", "Seek and 100 Next", "CPU us", 1},
        {"seek_for_prev_100_prev", "SeekForPrev and 100 Prev", "CPU us", 1},
        {"scan_forward", "full scan", "CPU ns a key", 0},
        {"scan_backward", "full scan backwards", "CPU ns a key", 0},
        {"insert_beside_get", "insert, batches of 100, beside a reader", "CPU us a key", 2},
        {"get_beside_insert", "Get beside that writer", "CPU us", 2},
        {"scan_beside_insert", "Seek and 100 Next beside a writer", "CPU us", 1},
    };
  }
  if (!settings.leader) return all;
  for (const int writers : kWriters) {
    for (const int batch : kBatches) {
      all.push_back({LeaderMeasure(writers, batch),
                     "leader, " + std::to_string(writers) +
                         (writers == 1 ? " writer" : " writers") + ", batches of " +
                         std::to_string(batch),
                     "wall us a key", 2});
    }
  }
  for (const int batch : kBatches) {
    all.push_back({PlainMeasure(batch), "plain, 1 writer, batches of " + std::to_string(batch),
                   "wall us a key", 2});
  }
  return all;
}

Status RunMemtableRound(const MemtableSettings& settings, Memtable memtable,
                        const std::string& directory,
                        const std::function<void(const std::string&)>& progress,
                        MemtableResult* result) {
  return Round(settings, memtable, directory, progress, result).Run();
}

}  // namespace slipstream::bench
