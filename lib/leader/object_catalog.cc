#include "lib/leader/object_catalog.h"

#include "lib/core/coding.h"
#include "lib/core/log_record_reader.h"
#include "lib/core/log_record_writer.h"

namespace slipstream {
namespace {

using rocksdb::FileOptions;
using rocksdb::IOOptions;
using rocksdb::Slice;
using rocksdb::Status;

constexpr char kMagic[] = "slipstream objects";
constexpr uint32_t kVersion = 1;

enum class Op : uint8_t {
  kHeader = 1,
  kEpoch = 2,
  kCreate = 3,
  kCommit = 4,
  kRemove = 5,
  kDeleted = 6,
  kKept = 7,  // a sequence number
  kNotKept = 8,
};

std::string Record(Op op, std::initializer_list<uint64_t> fields) {
  std::string record(1, static_cast<char>(op));
  for (uint64_t field : fields) PutVarint64(&record, field);
  return record;
}

std::string CreateRecord(const ObjectInfo& o) {
  return Record(Op::kCreate, {static_cast<uint64_t>(o.file), o.number, o.epoch});
}

}  // namespace

// The open journal file: records in the log format, one append each.
class ObjectCatalog::Journal {
 public:
  Journal(std::unique_ptr<rocksdb::FSWritableFile> file) : file_(std::move(file)) {}
  ~Journal() { file_->Close(IOOptions(), nullptr).PermitUncheckedError(); }

  Status Add(const std::string& record, bool sync) {
    std::string bytes;
    writer_.AddRecord(record, &bytes);
    Status s = file_->Append(bytes, IOOptions(), nullptr);
    if (s.ok() && sync) s = file_->Sync(IOOptions(), nullptr);
    failed_ = !s.ok();
    return s;
  }
  // A part of the last record may be in the file: nothing may follow it.
  bool failed() const { return failed_; }

 private:
  const std::unique_ptr<rocksdb::FSWritableFile> file_;
  LogRecordWriter writer_;
  bool failed_ = false;
};

ObjectCatalog::ObjectCatalog(std::shared_ptr<rocksdb::FileSystem> fs, std::string directory,
                             std::string database)
    : fs_(std::move(fs)), directory_(std::move(directory)), database_(std::move(database)) {}

ObjectCatalog::~ObjectCatalog() = default;

Status ObjectCatalog::Open(std::shared_ptr<rocksdb::FileSystem> fs, const std::string& directory,
                           const std::string& database, std::unique_ptr<ObjectCatalog>* out) {
  std::unique_ptr<ObjectCatalog> catalog(new ObjectCatalog(std::move(fs), directory, database));
  Status s = catalog->Load();
  if (s.ok()) {
    absl::MutexLock lock(&catalog->mutex_);
    s = catalog->Rewrite();
  }
  if (s.ok()) *out = std::move(catalog);
  return s;
}

Status ObjectCatalog::Load() {
  const std::string path = directory_ + "/" + kFileName;
  std::unique_ptr<rocksdb::FSSequentialFile> file;
  rocksdb::IOStatus io = fs_->NewSequentialFile(path, FileOptions(), &file, nullptr);
  if (io.IsNotFound() || io.IsPathNotFound()) return Status::OK();
  if (!io.ok()) return io;

  absl::MutexLock lock(&mutex_);
  // A crash may have torn the last record: what it said had not returned to anybody, so the reader,
  // which reports nothing for an incomplete record, is right to leave it out.
  LogRecordReader reader(path);
  std::string scratch(64 << 10, '\0');
  for (;;) {
    Slice piece;
    io = file->Read(scratch.size(), IOOptions(), &piece, scratch.data(), nullptr);
    if (!io.ok()) return io;
    if (piece.empty()) return Status::OK();
    Status s = reader.Feed(piece, [this](Slice record, uint64_t) {
      mutex_.AssertHeld();
      return Replay(record);
    });
    if (s.IsCorruption()) {
      s = Status::Corruption(s.getState(), "restore " + path +
                                               " from a backup of this directory; README.md says "
                                               "what to do without one");
    }
    if (!s.ok()) return s;
  }
}

Status ObjectCatalog::Replay(Slice record) {
  const std::string path = directory_ + "/" + kFileName;
  if (record.empty()) return Status::Corruption(path + ": empty record");
  const Op op = static_cast<Op>(record[0]);
  record.remove_prefix(1);
  if (op == Op::kHeader) {
    Slice magic, name;
    uint64_t version = 0;
    if (!GetLengthPrefixedSlice(&record, &magic) || magic != Slice(kMagic) ||
        !GetVarint64(&record, &version) || !GetLengthPrefixedSlice(&record, &name)) {
      return Status::Corruption(path + ": not a journal of objects");
    }
    if (version != kVersion) {
      return Status::NotSupported(path + ": version " + std::to_string(version) + ", expected " +
                                  std::to_string(kVersion));
    }
    if (name.ToString() != database_) {
      return Status::InvalidArgument(directory_ + " belongs to database \"" + name.ToString() +
                                     "\", not \"" + database_ + "\"");
    }
    return Status::OK();
  }
  uint64_t f[4] = {0, 0, 0, 0};
  for (uint64_t& field : f) {
    if (!record.empty() && !GetVarint64(&record, &field)) {
      return Status::Corruption(path + ": malformed record");
    }
  }
  switch (op) {
    case Op::kEpoch:
      epochs_.push_back({f[0], f[1]});
      return Status::OK();
    case Op::kKept:
      kept_ = f[0];
      return Status::OK();
    case Op::kNotKept:
      kept_.reset();
      return Status::OK();
    case Op::kCreate:
      CreateLocked({static_cast<FrameFile>(f[0]), f[1], f[2], 0});
      return Status::OK();
    case Op::kCommit:
      if (auto it = objects_.find(f[0]); it != objects_.end()) it->second.size = f[1];
      return Status::OK();
    case Op::kRemove:
      RemoveLocked(f[0], Position{f[1], f[2], 0});
      return Status::OK();
    case Op::kDeleted:
      if (auto it = removed_.find({f[0], f[1]}); it != removed_.end()) {
        pinned_bytes_ -= it->second.object.size;
        removed_.erase(it);
      }
      return Status::OK();
    case Op::kHeader:
      break;
  }
  return Status::Corruption(path + ": record of unknown type " +
                            std::to_string(static_cast<int>(op)));
}

Status ObjectCatalog::Rewrite() {
  constexpr size_t kEpochsKept = 1000;
  const std::string path = directory_ + "/" + kFileName;
  const std::string temporary = path + ".tmp";
  std::unique_ptr<rocksdb::FSWritableFile> file;
  Status s = fs_->NewWritableFile(temporary, FileOptions(), &file, nullptr);
  if (!s.ok()) return s;
  auto journal = std::make_unique<Journal>(std::move(file));

  std::string header(1, static_cast<char>(Op::kHeader));
  PutLengthPrefixedSlice(&header, kMagic);
  PutVarint64(&header, kVersion);
  PutLengthPrefixedSlice(&header, database_);
  s = journal->Add(header, false);

  if (epochs_.size() > kEpochsKept) epochs_.erase(epochs_.begin(), epochs_.end() - kEpochsKept);
  for (const EpochStart& e : epochs_) {
    if (s.ok()) s = journal->Add(Record(Op::kEpoch, {e.epoch, e.sequence}), false);
  }
  if (s.ok() && kept_) s = journal->Add(Record(Op::kKept, {*kept_}), false);
  for (const auto& [key, removed] : removed_) {
    const ObjectInfo& o = removed.object;
    if (s.ok()) s = journal->Add(CreateRecord(o), false);
    if (s.ok()) s = journal->Add(Record(Op::kCommit, {o.number, o.size}), false);
    if (s.ok()) {
      s = journal->Add(Record(Op::kRemove, {o.number, removed.at.epoch, removed.at.offset}), false);
    }
  }
  for (const auto& [number, o] : objects_) {
    if (s.ok()) s = journal->Add(CreateRecord(o), false);
    if (s.ok() && o.size > 0) s = journal->Add(Record(Op::kCommit, {number, o.size}), false);
  }
  // The sync makes all of it durable before the rename lets go of the old journal.
  if (s.ok()) s = journal->Add(Record(Op::kDeleted, {0, 0}), true);
  if (s.ok()) s = fs_->RenameFile(temporary, path, IOOptions(), nullptr);
  if (s.ok()) {
    std::unique_ptr<rocksdb::FSDirectory> directory;
    s = fs_->NewDirectory(directory_, IOOptions(), &directory, nullptr);
    if (s.ok()) s = directory->Fsync(IOOptions(), nullptr);
  }
  if (s.ok()) journal_ = std::move(journal);
  return s;
}

Status ObjectCatalog::Write(const std::string& record, bool sync) {
  if (journal_->failed()) {
    Status s = Rewrite();
    if (!s.ok()) return s;
  }
  return journal_->Add(record, sync);
}

void ObjectCatalog::RemoveLocked(uint64_t number, const Position& at) {
  auto it = objects_.find(number);
  if (it == objects_.end()) return;
  pinned_bytes_ += it->second.size;
  removed_[{number, it->second.epoch}] = Removed{it->second, at};
  objects_.erase(it);
}

void ObjectCatalog::CreateLocked(const ObjectInfo& object) {
  const uint64_t number = object.number;
  auto it = objects_.find(number);
  // Within an epoch the new object has the name of the old one on the storage: nothing that has
  // this name may be deleted as removed.
  if (it != objects_.end() && it->second.epoch != object.epoch) {
    RemoveLocked(number, Position{object.epoch, 0, 0});
  }
  if (auto same = removed_.find({number, object.epoch}); same != removed_.end()) {
    pinned_bytes_ -= same->second.object.size;
    removed_.erase(same);
  }
  objects_[number] = ObjectInfo{object.file, number, object.epoch, 0};
}

Status ObjectCatalog::Create(const ObjectInfo& object) {
  absl::MutexLock lock(&mutex_);
  Status s = Write(CreateRecord(object), false);
  if (!s.ok()) return s;
  CreateLocked(object);
  return s;
}

Status ObjectCatalog::Commit(uint64_t number, uint64_t size) {
  absl::MutexLock lock(&mutex_);
  auto it = objects_.find(number);
  if (it == objects_.end()) {
    return Status::NotFound("object catalogue: no object " + std::to_string(number));
  }
  Status s = Write(Record(Op::kCommit, {number, size}), true);
  if (s.ok()) it->second.size = size;
  return s;
}

Status ObjectCatalog::Remove(uint64_t number, const Position& at) {
  absl::MutexLock lock(&mutex_);
  if (objects_.count(number) == 0) {
    return Status::NotFound("object catalogue: no object " + std::to_string(number));
  }
  // A record that could not be written is made good by the next one: the journal is then written
  // anew. RocksDB does not ask again for the removal of a file.
  Write(Record(Op::kRemove, {number, at.epoch, at.offset}), false).PermitUncheckedError();
  RemoveLocked(number, at);
  return Status::OK();
}

Status ObjectCatalog::Deleted(const ObjectInfo& object) {
  absl::MutexLock lock(&mutex_);
  auto it = removed_.find({object.number, object.epoch});
  if (it == removed_.end()) return Status::OK();
  Status s = Write(Record(Op::kDeleted, {object.number, object.epoch}), false);
  if (!s.ok()) return s;
  pinned_bytes_ -= it->second.object.size;
  removed_.erase(it);
  return s;
}

Status ObjectCatalog::AddEpoch(const EpochStart& start) {
  absl::MutexLock lock(&mutex_);
  Status s = Write(Record(Op::kEpoch, {start.epoch, start.sequence}), true);
  if (s.ok()) epochs_.push_back(start);
  return s;
}

void ObjectCatalog::NoteKept(uint64_t sequence) {
  absl::MutexLock lock(&mutex_);
  if (kept_ && sequence <= *kept_) return;
  // It is set either way: where the record failed, the journal is written anew by the next one.
  Write(Record(Op::kKept, {sequence}), false).PermitUncheckedError();
  kept_ = sequence;
}

Status ObjectCatalog::ForgetKept() {
  absl::MutexLock lock(&mutex_);
  if (!kept_) return Status::OK();
  Status s = Write(Record(Op::kNotKept, {}), false);
  if (s.ok()) kept_.reset();
  return s;
}

std::optional<uint64_t> ObjectCatalog::kept() const {
  absl::MutexLock lock(&mutex_);
  return kept_;
}

std::optional<ObjectInfo> ObjectCatalog::Find(uint64_t number) const {
  absl::MutexLock lock(&mutex_);
  auto it = objects_.find(number);
  if (it == objects_.end()) return std::nullopt;
  return it->second;
}

std::vector<ObjectInfo> ObjectCatalog::Objects() const {
  absl::MutexLock lock(&mutex_);
  std::vector<ObjectInfo> objects;
  objects.reserve(objects_.size());
  for (const auto& [number, object] : objects_) objects.push_back(object);
  return objects;
}

std::vector<EpochStart> ObjectCatalog::epochs() const {
  absl::MutexLock lock(&mutex_);
  return epochs_;
}

std::vector<ObjectCatalog::Removed> ObjectCatalog::Reclaimable(
    const std::optional<Position>& pin) const {
  absl::MutexLock lock(&mutex_);
  std::vector<Removed> reclaimable;
  for (const auto& [key, removed] : removed_) {
    if (!pin || removed.at <= *pin) reclaimable.push_back(removed);
  }
  return reclaimable;
}

std::pair<uint64_t, uint64_t> ObjectCatalog::pinned() const {
  absl::MutexLock lock(&mutex_);
  return {removed_.size(), pinned_bytes_};
}

}  // namespace slipstream
