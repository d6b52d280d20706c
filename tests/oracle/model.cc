#include "tests/oracle/model.h"

#include <functional>
#include <utility>

#include "tests/oracle/merge_operator.h"

namespace slipstream::oracle {

std::string EncodeColumns(const rocksdb::WideColumns& columns) {
  if (columns.size() == 1 && columns.front().name() == rocksdb::kDefaultWideColumnName) {
    return EncodePlain(columns.front().value().ToStringView());
  }
  std::string encoded = "e";
  for (const rocksdb::WideColumn& column : columns) {
    for (const rocksdb::Slice& part : {column.name(), column.value()}) {
      encoded += std::to_string(part.size()) + ":";
      encoded.append(part.data(), part.size());
    }
  }
  return encoded;
}

std::string EncodePlain(std::string_view value) {
  std::string encoded;
  encoded.reserve(value.size() + 1);
  encoded.push_back('v');
  encoded.append(value);
  return encoded;
}

std::string Describe(std::string_view encoded) {
  constexpr size_t kShown = 48;
  std::string text = std::to_string(encoded.size()) + " bytes, hash " +
                     std::to_string(std::hash<std::string_view>()(encoded)) + ", ";
  for (unsigned char c : encoded.substr(0, kShown)) {
    constexpr char kHex[] = "0123456789abcdef";
    if (c >= 0x20 && c < 0x7f) {
      text.push_back(static_cast<char>(c));
    } else {
      text += std::string("\\x") + kHex[c >> 4] + kHex[c & 15];
    }
  }
  if (encoded.size() > kShown) text += "...";
  return text;
}

void Model::AddFamily(const std::string& family) {
  absl::MutexLock lock(&mutex_);
  families_[family];
}

void Model::DropFamily(const std::string& family) {
  absl::MutexLock lock(&mutex_);
  families_.erase(family);
}

std::vector<std::string> Model::families() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (const auto& [name, family] : families_) names.push_back(name);
  return names;
}

void Model::Apply(const std::vector<Change>& changes) {
  absl::MutexLock lock(&mutex_);
  for (const Change& change : changes) ApplyLocked(change);
}

void Model::ApplyLocked(const Change& change) {
  Family& family = families_[change.family];
  switch (change.kind) {
    case Change::Kind::kPut:
      family[change.key] = change.value;
      return;
    case Change::Kind::kDelete:
      family.erase(change.key);
      return;
    case Change::Kind::kDeleteRange:
      if (change.key < change.value) {
        family.erase(family.lower_bound(change.key), family.lower_bound(change.value));
      }
      return;
    case Change::Kind::kCount: {
      uint64_t have = 0, more = 0;
      std::string& value = family[change.key];
      if (!value.empty()) DecodeCount(rocksdb::Slice(value.data() + 1, value.size() - 1), &have);
      DecodeCount(change.value, &more);
      value = EncodePlain(EncodeCount(have + more));
      return;
    }
    case Change::Kind::kAppend: {
      std::string& value = family[change.key];
      value += (value.empty() ? "v" : ",") + change.value;
      return;
    }
  }
}

std::optional<std::string> Model::Find(const std::string& family, const std::string& key) const {
  absl::MutexLock lock(&mutex_);
  auto f = families_.find(family);
  if (f == families_.end()) return std::nullopt;
  auto it = f->second.find(key);
  if (it == f->second.end()) return std::nullopt;
  return it->second;
}

std::vector<std::string> Model::Keys(const std::string& family, const std::string& prefix) const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> keys;
  auto f = families_.find(family);
  if (f == families_.end()) return keys;
  for (auto it = f->second.lower_bound(prefix);
       it != f->second.end() && it->first.starts_with(prefix); ++it) {
    keys.push_back(it->first);
  }
  return keys;
}

Model::Families Model::Copy() const {
  absl::MutexLock lock(&mutex_);
  return families_;
}

void Model::Restore(Families families) {
  absl::MutexLock lock(&mutex_);
  families_ = std::move(families);
}

void Model::Replace(const std::string& family, const std::string& begin, const std::string& end,
                    Family content) {
  absl::MutexLock lock(&mutex_);
  Family& f = families_[family];
  f.erase(f.lower_bound(begin), f.lower_bound(end));
  f.merge(content);
}

}  // namespace slipstream::oracle
