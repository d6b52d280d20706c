#include "lib/follower/image.h"

#include <algorithm>
#include <utility>

#include "lib/core/batch_gatherer.h"
#include "lib/core/coding.h"
#include "lib/core/file_name.h"
#include "lib/core/wal_trimmer.h"
#include "lib/follower/dropped_families.h"

namespace slipstream {
namespace {

// Of a WAL: less is not worth it.
constexpr uint64_t kLeastTrimmedBytes = 4096;

using rocksdb::Slice;
using rocksdb::Status;

std::string NameOf(const LogFileId& id) {
  return id.file == FrameFile::kWal ? WalName(id.number) : ManifestName(id.number);
}

Status Unexpected(const LogFileId& id, const std::string& what, uint64_t found, uint64_t expected) {
  return Status::Corruption("image: " + NameOf(id) + ": " + what + " " + std::to_string(found) +
                            ", expected " + std::to_string(expected));
}

}  // namespace

Image::Image(const ImageBegin& begin, const Welcome& welcome)
    : position_(begin.cut),
      db_identity_(welcome.db_identity),
      wal_recovery_mode_(welcome.wal_recovery_mode),
      current_manifest_(begin.current_manifest),
      objects_(std::make_shared<ObjectMap>()),
      two_phase_commit_(welcome.two_phase_commit),
      newest_recovered_wal_(welcome.newest_recovered_wal),
      last_wal_sequence_(welcome.recovered_sequence),
      missing_(welcome.recovered_transactions.begin(), welcome.recovered_transactions.end()) {
  Announce(begin.files);
  for (const LogFileSize& file : begin.files) NewFile(file.id);
}

void Image::Announce(const std::vector<LogFileSize>& files) {
  announced_.clear();
  for (const LogFileSize& file : files) announced_[file.id] = file.size;
}

std::unique_ptr<Image> Image::Completing(std::unique_ptr<Image> held, const ImageBegin& begin) {
  if (held == nullptr || held->position_.epoch != begin.cut.epoch) return nullptr;
  std::unique_ptr<Image> image = std::move(held);
  image->complete_ = false;
  image->position_ = begin.cut;
  image->current_manifest_ = begin.current_manifest;
  // Objects are announced anew, in whole; generations keep the map that they were opened with.
  image->objects_ = std::make_shared<ObjectMap>();
  image->Announce(begin.files);
  const std::map<LogFileId, uint64_t>& announced = image->announced_;
  std::vector<LogFileId> gone;
  for (const auto& [id, file] : image->files_) {
    auto it = announced.find(id);
    if (it == announced.end()) {
      gone.push_back(id);
    } else if (file.size > it->second) {
      return nullptr;
    }
  }
  for (const LogFileId& id : gone) {
    image->Remove(id);
    // How its transactions ended may have been in what was not received of other WALs.
    if (id.file == FrameFile::kWal) image->prepared_.Forget(id.number);
  }
  for (const auto& [id, size] : announced) {
    if (image->files_.count(id) == 0) image->NewFile(id);
  }
  return image;
}

Image::LogFile* Image::NewFile(const LogFileId& id) {
  LogFile& file = files_[id];
  file.data = std::make_shared<ImageFile>();
  file.reader = std::make_unique<LogRecordReader>(NameOf(id));
  if (id.file == FrameFile::kManifest) {
    file.manifest = std::make_unique<ManifestState>(NameOf(id));
  }
  return &file;
}

void Image::Remove(const LogFileId& id) {
  auto it = files_.find(id);
  if (it == files_.end()) return;
  bytes_ -= it->second.data->size() + it->second.rewritten.bytes();
  if (id.file == FrameFile::kWal) needed_wal_bytes_known_ = false;
  files_.erase(it);
}

Status Image::CheckAnnounced(const Frame& frame) const {
  if (frame.type == FrameType::kObjectAdded || frame.type == FrameType::kColumnFamily) {
    return Status::OK();
  }
  if (frame.type != FrameType::kLogAppend) {
    return Status::Corruption(
        "image: a frame of type " + std::to_string(static_cast<int>(frame.type)) +
        " in a transfer, expected bytes of log files, objects and column families alone");
  }
  const LogFileId id{frame.file, frame.number};
  auto it = announced_.find(id);
  if (it == announced_.end()) {
    return Status::Corruption("image: bytes of " + NameOf(id) + ", which was not announced");
  }
  if (frame.argument > it->second || frame.payload.size() > it->second - frame.argument) {
    return Status::Corruption("image: " + NameOf(id) + ": bytes up to offset " +
                              std::to_string(frame.argument + frame.payload.size()) +
                              ", announced were " + std::to_string(it->second));
  }
  return Status::OK();
}

Status Image::Apply(const Frame& frame, const RecordSink& sink, Effect* effect) {
  switch (frame.type) {
    case FrameType::kLogAppend:
      return Append(frame, sink, effect);
    case FrameType::kLogRemoved:
      Remove({frame.file, frame.number});
      return Status::OK();
    case FrameType::kCurrentSet: {
      if (files_.count({FrameFile::kManifest, frame.number}) == 0) {
        return Status::Corruption("image: CURRENT names MANIFEST " + std::to_string(frame.number) +
                                  ", which was not received");
      }
      // A new manifest may hold an edit that was never in the old one.
      effect->manifest_moved = true;
      effect->barrier = current_manifest_ != 0 && current_manifest_ != frame.number;
      current_manifest_ = frame.number;
      needed_wal_bytes_known_ = false;
      return Status::OK();
    }
    case FrameType::kObjectAdded:
      if (frame.payload.size() != sizeof(uint64_t)) {
        return Status::Corruption("image: object " + std::to_string(frame.number) +
                                  " without the epoch of its writer");
      }
      objects_->Add(
          {frame.file, frame.number, DecodeFixed64(frame.payload.data()), frame.argument});
      return Status::OK();
    case FrameType::kObjectRemoved:
      objects_->Remove(frame.number, position_);
      return Status::OK();
    case FrameType::kColumnFamily:  // of no consequence for the log files
      return Status::OK();
    case FrameType::kUnspecified:
      break;
  }
  return Status::Corruption("image: frame of unknown type");
}

Status Image::Append(const Frame& frame, const RecordSink& sink, Effect* effect) {
  const LogFileId id{frame.file, frame.number};
  if (id.file != FrameFile::kWal && id.file != FrameFile::kManifest) {
    return Status::Corruption("image: bytes of a file that is no log file");
  }
  auto it = files_.find(id);
  LogFile* file = it != files_.end() ? &it->second : NewFile(id);
  if (file->size != frame.argument) {
    return Unexpected(id, "bytes at offset", frame.argument, file->size);
  }
  if (file->trimmed) {
    return Status::Corruption("image: bytes of " + NameOf(id) + ", which a newer WAL has followed");
  }
  file->data->Append(frame.payload);
  file->size += frame.payload.size();
  bytes_ += frame.payload.size();
  if (id.file == FrameFile::kManifest) return ReadManifest(file, frame, effect);
  // What comes in is of the newest WAL, which nothing has been flushed of.
  needed_wal_bytes_ += frame.payload.size();
  return ReadWal(file, frame, sink);
}

uint64_t Image::OldestNeededWal() const {
  const LogFile* manifest = CurrentManifest();
  return manifest == nullptr ? 0 : manifest->manifest->min_log_number_to_keep();
}

Status Image::ReadWal(LogFile* file, const Frame& frame, const RecordSink& sink) {
  if (two_phase_commit_ && !complete_ && frame.number < OldestNeededWal()) {
    // RocksDB does not read it. It deletes such files in any order, and those that it recovered
    // from very late: the end of a transaction may be gone while its section is still there.
    file->unneeded = true;
    return Status::OK();
  }
  if (frame.number <= newest_recovered_wal_) {
    ReadRecoveredWal(file, frame);
    return Status::OK();
  }
  const auto add_record = [&](Slice record, uint64_t end) {
    Status s = two_phase_commit_ ? Rewrite(file, frame.number, &record) : Status::OK();
    BatchHeader header;
    if (s.ok()) s = DecodeBatchHeader(record, &header);
    if (!s.ok()) return s;
    // The record that RocksDB writes after a recovery from a damaged WAL is empty, and begins with
    // the number that comes next.
    if (header.sequence > 0) {
      // A WAL that RocksDB went on with after a write into it had failed: recovery from it, in a
      // generation, would fail an assertion.
      if (header.count > 0 && header.sequence <= newest_record_) {
        return Status::Corruption(
            "image: " + NameOf({frame.file, frame.number}) + " has a record with sequence number " +
            std::to_string(header.sequence) + " behind " + std::to_string(newest_record_));
      }
      last_wal_sequence_ = header.sequence + header.count - 1;
      newest_record_ = std::max(newest_record_, last_wal_sequence_);
    }
    const LogFile* manifest = CurrentManifest();
    if (manifest != nullptr && manifest->manifest->column_families().size() == 1) {
      file->usage.AddOf(0, header, record);
    } else {
      file->usage.Add(header, record);
    }
    return sink(record, end);
  };
  // Without them, RocksDB takes the keys behind for ones without a timestamp, and appends one.
  const auto add_timestamp_sizes = [&](Slice sizes, uint64_t) {
    const uint64_t before = file->rewritten.bytes();
    file->rewritten.AddTimestampSizes(sizes);
    bytes_ += file->rewritten.bytes() - before;
    return Status::OK();
  };
  return file->reader->Feed(frame.payload, add_record, add_timestamp_sizes);
}

void Image::ReadRecoveredWal(LogFile* file, const Frame& frame) {
  if (file->damaged || missing_.empty()) return;
  Status s = file->reader->Feed(frame.payload, [&](Slice record, uint64_t) {
    return prepared_.TakeOver(record, frame.number, &missing_);
  });
  // What an earlier process left half written is RocksDB's to judge: the leader says what it made
  // of it.
  file->damaged = !s.ok();
}

Status Image::Rewrite(LogFile* file, uint64_t wal, Slice* record) {
  const auto unknown =
      complete_ ? PreparedTransactions::Unknown::kRefused : PreparedTransactions::Unknown::kLeftOut;
  const Slice original = *record;
  Status s = prepared_.Apply(original, wal, unknown, &rewritten_record_, record);
  if (!s.ok()) return s;
  const uint64_t before = file->rewritten.bytes();
  file->rewritten.Add(*file->data, file->reader->record_boundary(), *record,
                      record->data() != original.data());
  bytes_ += file->rewritten.bytes() - before;
  return s;
}

Status Image::ReadManifest(LogFile* file, const Frame& frame, Effect* effect) {
  const bool current = frame.number == current_manifest_;
  return file->reader->Feed(frame.payload, [&](Slice record, uint64_t end) {
    VersionEditSummary edit;
    Status s = DecodeVersionEdit(record, &edit);
    if (s.ok()) s = file->manifest->Apply(edit);
    if (!s.ok()) return s;
    s = RewriteManifest(file, edit, record, end);
    if (!s.ok()) return s;
    if (file->manifest->pending_edits() == 0) {
      file->complete_size = end;
      file->rewritten_complete_size = file->rewritten.bytes();
    }
    needed_wal_bytes_known_ = false;
    // What a follower held before it was away may have ended since, in a WAL that is gone.
    if (current && !complete_) prepared_.ForgetBefore(OldestNeededWal());
    if (current) {
      const EditKind kind = ClassifyEdit(edit);
      effect->manifest_moved |= kind != EditKind::kHousekeeping;
      effect->barrier |= kind == EditKind::kBarrier;
    }
    return s;
  });
}

Status Image::RewriteManifest(LogFile* file, const VersionEditSummary& edit, Slice record,
                              uint64_t end) {
  const uint64_t before = file->rewritten.bytes();
  Status s;
  if (NeedsHiding(*file->manifest, edit)) {
    s = HideDroppedColumnFamilies(*file->data, end, *file->manifest, &file->rewritten);
  } else {
    file->rewritten.Add(*file->data, file->reader->record_boundary(), record, /*changed=*/false);
  }
  bytes_ = bytes_ + file->rewritten.bytes() - before;
  return s;
}

const Image::LogFile* Image::CurrentManifest() const {
  auto it = files_.find({FrameFile::kManifest, current_manifest_});
  return it == files_.end() ? nullptr : &it->second;
}

Status Image::Complete() {
  for (const auto& [id, wanted] : announced_) {
    auto it = files_.find(id);
    const uint64_t size = it == files_.end() ? 0 : it->second.size;
    if (size != wanted) return Unexpected(id, "size", size, wanted);
  }
  announced_.clear();
  // Numbers that were consumed by writes without content (empty range deletes) stand in WALs alone,
  // and those are removed with the flush of what was written before. A number that is far away is
  // not of that kind: RocksDB takes it from files that it imports.
  constexpr uint64_t kMostUnexplained = 1 << 16;
  if (const uint64_t last = last_sequence();
      position_.sequence > last && position_.sequence - last <= kMostUnexplained) {
    last_wal_sequence_ = position_.sequence;
  }
  const LogFile* manifest = CurrentManifest();
  if (manifest == nullptr || manifest->manifest->applied_edits() == 0) {
    return Status::Corruption("image: CURRENT names MANIFEST " + std::to_string(current_manifest_) +
                              ", which is missing or empty");
  }
  Status s = two_phase_commit_ ? CheckTransactions() : Status::OK();
  complete_ = s.ok();
  return s;
}

Status Image::CheckTransactions() const {
  // If the WAL is gone, RocksDB has no need for the transaction any more.
  for (const RecoveredTransaction& transaction : missing_) {
    const LogFileId id{FrameFile::kWal, transaction.wal};
    if (files_.count(id) == 0 || transaction.wal < OldestNeededWal()) continue;
    return Status::Corruption("image: " + NameOf(id) + ": no prepared transaction \"" +
                              transaction.name + "\", which the leader recovered from it");
  }
  // Generations do without the WALs that the leader recovered from.
  for (const auto& [id, file] : files_) {
    if (id.file != FrameFile::kWal || id.number > newest_recovered_wal_) continue;
    for (const auto& [number, family] : CurrentManifest()->manifest->column_families()) {
      if (family.log_number > id.number) continue;
      return Status::Corruption("image: column family \"" + family.name + "\" needs " + NameOf(id) +
                                " still, expected its data to be in SST files: with " +
                                "allow_2pc RocksDB flushes what it recovers");
    }
  }
  return Status::OK();
}

uint64_t Image::last_sequence() const {
  const LogFile* manifest = CurrentManifest();
  return std::max(last_wal_sequence_,
                  manifest == nullptr ? 0 : manifest->manifest->last_sequence());
}

std::vector<LogFileSize> Image::Sizes() const {
  std::vector<LogFileSize> sizes;
  sizes.reserve(files_.size());
  for (const auto& [id, file] : files_) sizes.push_back({id, file.size});
  return sizes;
}

uint64_t Image::NeededBytesOf(const LogFileId& id, const LogFile& file) const {
  if (file.unneeded) return 0;
  const LogFile* manifest = CurrentManifest();
  // Of what the leader recovered from RocksDB alone knows what it is.
  if (id.number <= newest_recovered_wal_) return two_phase_commit_ ? 0 : file.size;
  if (manifest == nullptr) return file.size;
  return file.usage.NeededBytes(manifest->manifest->column_families(), id.number);
}

uint64_t Image::NeededWalBytes() {
  if (std::exchange(needed_wal_bytes_known_, true)) return needed_wal_bytes_;
  needed_wal_bytes_ = 0;
  for (const auto& [id, file] : files_) {
    if (id.file == FrameFile::kWal) needed_wal_bytes_ += NeededBytesOf(id, file);
  }
  return needed_wal_bytes_;
}

// Of this epoch, cut behind the last whole record; what the leader recovered from is left as
// RocksDB found it.
ImageCut::File Image::CutWal(const LogFileId& id, const LogFile& file, uint64_t newest_wal) const {
  ImageCut::File cut{id, file.data, file.data->size()};
  if (id.number <= newest_recovered_wal_) return cut;
  if (file.rewritten.data() != nullptr) {
    cut.data = file.rewritten.data();
    cut.size = cut.data->size();
  } else if (!file.trimmed) {
    cut.size = file.reader->record_boundary();
  }
  cut.needed_bytes = NeededBytesOf(id, file);
  cut.first_sequence = file.usage.first_sequence();
  cut.next_sequence = file.usage.next_sequence();
  // To trim costs as much as there is, so it has to halve what there is.
  cut.trim = id.number < newest_wal && file.usage.known() && cut.size > kLeastTrimmedBytes &&
             cut.needed_bytes < cut.size / 2;
  return cut;
}

ImageCut::File Image::CutManifest(const LogFileId& id, const LogFile& file) {
  if (file.rewritten.data() == nullptr) return {id, file.data, file.complete_size};
  return {id, file.rewritten.data(), file.rewritten_complete_size};
}

ImageCut Image::Cut() const {
  ImageCut cut;
  cut.position = position_;
  cut.position.sequence = last_sequence();
  cut.db_identity = db_identity_;
  cut.wal_recovery_mode = wal_recovery_mode_;
  cut.current_manifest = current_manifest_;
  cut.objects = objects_;
  uint64_t newest_wal = 0;
  for (const auto& [id, file] : files_) {
    if (id.file == FrameFile::kWal && file.size > 0) newest_wal = std::max(newest_wal, id.number);
  }
  for (const auto& [id, file] : files_) {
    if (id.file == FrameFile::kManifest) {
      if (id.number == current_manifest_) cut.files.push_back(CutManifest(id, file));
      continue;
    }
    // With two-phase commit nothing that the leader recovered from counts but prepared sections,
    // which are known.
    if (file.unneeded || (two_phase_commit_ && id.number <= newest_recovered_wal_)) continue;
    cut.files.push_back(CutWal(id, file, newest_wal));
    cut.wal_bytes += NeededBytesOf(id, file);
  }
  if (const LogFile* manifest = CurrentManifest(); manifest != nullptr) {
    cut.column_families = manifest->manifest->column_families();
  }
  return cut;
}

void Image::Adopt(TrimmedWal trimmed) {
  auto it = files_.find(trimmed.id);
  if (it == files_.end()) return;
  LogFile& file = it->second;
  const auto& original = file.rewritten.data() != nullptr ? file.rewritten.data() : file.data;
  if (original != trimmed.original) return;
  bytes_ -= file.data->size() + file.rewritten.bytes();
  bytes_ += trimmed.data->size();
  file.data = std::move(trimmed.data);
  file.rewritten = RewrittenLog();
  file.usage = std::move(trimmed.usage);
  file.trimmed = true;
}

std::vector<TrimmedWal> TrimWals(ImageCut* cut) {
  std::vector<TrimmedWal> trimmed;
  for (ImageCut::File& file : cut->files) {
    if (!std::exchange(file.trim, false)) continue;
    TrimmedWal wal{file.id, file.data, std::make_shared<ImageFile>(), WalUsage()};
    if (file.needed_bytes == 0) {
      wal.data->Append(EmptyWal(file.first_sequence, file.next_sequence));
      wal.usage.AddOf(0, BatchHeader{file.first_sequence, 0}, Slice());
      wal.usage.AddOf(0, BatchHeader{file.next_sequence, 0}, Slice());
    } else {
      WalTrimmer trimmer(NameOf(file.id), file.id.number, &cut->column_families);
      Status s;
      std::string piece(256 << 10, '\0');
      std::string out;
      for (uint64_t offset = 0; s.ok() && offset < file.size;) {
        const size_t n = file.data->Read(
            offset, std::min<uint64_t>(piece.size(), file.size - offset), piece.data());
        s = trimmer.Feed(Slice(piece.data(), n), &out);
        wal.data->Append(out);
        out.clear();
        offset += n;
      }
      if (!s.ok()) continue;
      trimmer.Finish(&out);
      wal.data->Append(out);
      wal.usage = trimmer.usage();
    }
    file.data = wal.data;
    file.size = wal.data->size();
    trimmed.push_back(std::move(wal));
  }
  return trimmed;
}

}  // namespace slipstream
