// Which files RocksDB writes, looks for and removes when it opens and closes a database.

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "rocksdb/db.h"
#include "tests/assumptions/open_database.h"
#include "tests/assumptions/recorded_options.h"
#include "tests/assumptions/scratch_dir.h"

namespace slipstream {
namespace {

using Kind = FileEvent::Kind;

rocksdb::Status PutUnlogged(const OpenDatabase& db, size_t family, const std::string& key) {
  rocksdb::WriteOptions unlogged;
  unlogged.disableWAL = true;
  return db->Put(unlogged, db.family(family), key, "value");
}

// Makes a closed database of `ssts` files, one key in each, and nothing in its WAL.
void MakeDatabase(const ScratchDir& directory, int ssts) {
  const RecordedOptions recorded;
  OpenDatabase db(recorded.Leader(), directory.path());
  REQUIRE(db.status().ToString() == "OK");
  for (int i = 0; i < ssts; i++) {
    REQUIRE(db->Put(rocksdb::WriteOptions(), std::to_string(i), "value").ToString() == "OK");
    REQUIRE(db->Flush(rocksdb::FlushOptions()).ToString() == "OK");
  }
}

TEST_CASE("files: Close flushes what was written without the WAL", "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  OpenDatabase db(recorded.Leader(), directory.path());
  REQUIRE(db.status().ToString() == "OK");
  REQUIRE(PutUnlogged(db, 0, "key").ToString() == "OK");
  db.Close();
  CHECK(recorded.files()->Names(Kind::kCreate, ".sst").size() == 1);
}

TEST_CASE("files: Close flushes nothing that is in the WAL", "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  OpenDatabase db(recorded.Leader(), directory.path());
  REQUIRE(db.status().ToString() == "OK");
  REQUIRE(db->Put(rocksdb::WriteOptions(), "key", "value").ToString() == "OK");
  db.Close();
  CHECK(recorded.files()->Names(Kind::kCreate, ".sst").empty());
}

TEST_CASE("files: with avoid_flush_during_shutdown, Close flushes nothing", "[assumptions]") {
  const RecordedOptions recorded;
  const ScratchDir directory;
  rocksdb::Options options = recorded.Leader();
  options.avoid_flush_during_shutdown = true;
  OpenDatabase db(options, directory.path());
  REQUIRE(db.status().ToString() == "OK");
  REQUIRE(PutUnlogged(db, 0, "key").ToString() == "OK");
  db.Close();
  CHECK(recorded.files()->Names(Kind::kCreate, ".sst").empty());
}

TEST_CASE("files: a generation writes no SST when it is opened, written to and closed",
          "[assumptions]") {
  const std::vector<std::string> families = {rocksdb::kDefaultColumnFamilyName, "other"};
  const RecordedOptions leader_options;
  const ScratchDir directory;
  const ScratchDir image;
  rocksdb::Options options = leader_options.Leader();
  options.create_missing_column_families = true;
  OpenDatabase leader(options, directory.path(), families);
  REQUIRE(leader.status().ToString() == "OK");
  for (size_t family = 0; family < families.size(); family++) {
    REQUIRE(leader->Put(rocksdb::WriteOptions(), leader.family(family), "flushed", "value")
                .ToString() == "OK");
    REQUIRE(leader->Flush(rocksdb::FlushOptions(), leader.family(family)).ToString() == "OK");
    REQUIRE(leader->Put(rocksdb::WriteOptions(), leader.family(family), "in the WAL", "value")
                .ToString() == "OK");
  }
  image.CopyFilesOf(directory);

  const RecordedOptions recorded;
  OpenDatabase generation(recorded.Generation(), image.path(), families);
  REQUIRE(generation.status().ToString() == "OK");
  for (size_t family = 0; family < families.size(); family++) {
    REQUIRE(PutUnlogged(generation, family, "applied").ToString() == "OK");
    CHECK(generation.Contents(family).size() == 3);
  }
  generation.Close();
  CHECK(recorded.files()->Names(Kind::kCreate, ".sst").empty());
  CHECK(recorded.files()->Names(Kind::kDelete, ".sst").empty());
}

TEST_CASE("files: without avoid_flush_during_recovery, opening flushes the WAL", "[assumptions]") {
  const RecordedOptions leader_options;
  const ScratchDir directory;
  const ScratchDir image;
  OpenDatabase leader(leader_options.Leader(), directory.path());
  REQUIRE(leader.status().ToString() == "OK");
  REQUIRE(leader->Put(rocksdb::WriteOptions(), "key", "value").ToString() == "OK");
  image.CopyFilesOf(directory);

  const RecordedOptions recorded;
  rocksdb::Options options = recorded.Generation();
  options.avoid_flush_during_recovery = false;
  const OpenDatabase recovered(options, image.path());
  REQUIRE(recovered.status().ToString() == "OK");
  CHECK(recorded.files()->Names(Kind::kCreate, ".sst").size() == 1);
}

TEST_CASE("files: opening removes SSTs, manifests and temporary files that it does not know",
          "[assumptions]") {
  const ScratchDir directory;
  MakeDatabase(directory, 1);
  const std::string known = directory.FilesEndingWith(".sst").at(0);
  const std::vector<std::string> unknown = {"000001.sst", "000900.sst", "MANIFEST-000001",
                                            "000901.dbtmp"};
  for (const std::string& name : unknown) std::ofstream(directory.file(name)) << "unknown";
  std::ofstream(directory.file("not-a-name-of-rocksdb")) << "unknown";

  const RecordedOptions recorded;
  OpenDatabase db(recorded.Generation(), directory.path());
  REQUIRE(db.status().ToString() == "OK");
  for (const std::string& name : unknown) {
    INFO(name);
    CHECK_FALSE(std::filesystem::exists(directory.file(name)));
  }
  CHECK(std::filesystem::exists(directory.file(known)));
  CHECK(std::filesystem::exists(directory.file("not-a-name-of-rocksdb")));
}

TEST_CASE("files: opening asks for the size of each SST, or else that the listing names it",
          "[assumptions]") {
  const ScratchDir directory;
  MakeDatabase(directory, 1);
  const std::string sst = directory.FilesEndingWith(".sst").at(0);
  const RecordedOptions recorded;
  recorded.files()->HideFromListings(sst);
  rocksdb::Options options = recorded.Generation();

  options.skip_checking_sst_file_sizes_on_db_open = false;
  {
    const OpenDatabase db(options, directory.path());
    REQUIRE(db.status().ToString() == "OK");
  }
  CHECK(recorded.files()->Names(Kind::kGetFileSize, ".sst") == std::vector<std::string>{sst});

  recorded.files()->ForgetEvents();
  options.skip_checking_sst_file_sizes_on_db_open = true;
  const OpenDatabase db(options, directory.path());
  CHECK_THAT(db.status().ToString(), Catch::Contains("Missing sst file " + sst));
  CHECK(recorded.files()->Names(Kind::kGetFileSize, ".sst").empty());
}

TEST_CASE("files: a table that is not there is looked for under the name .ldb", "[assumptions]") {
  const ScratchDir directory;
  MakeDatabase(directory, 1);
  const std::string sst = directory.FilesEndingWith(".sst").at(0);
  const std::string ldb = sst.substr(0, sst.size() - 4) + ".ldb";
  std::filesystem::rename(directory.file(sst), directory.file(ldb));

  const RecordedOptions recorded;
  const OpenDatabase db(recorded.Generation(), directory.path());
  REQUIRE(db.status().ToString() == "OK");
  CHECK(db.Contents(0).size() == 1);
  std::vector<std::string> opened = recorded.files()->Names(Kind::kOpenForRead, "");
  std::erase_if(opened, [](const std::string& name) { return name == "CURRENT"; });
  CHECK(opened == std::vector<std::string>{sst, ldb});
}

TEST_CASE("files: with bounded max_open_files, opening a database opens 16 tables",
          "[assumptions]") {
  constexpr size_t kTables = 20;
  const ScratchDir directory;
  MakeDatabase(directory, kTables);
  const RecordedOptions recorded;
  rocksdb::Options options = recorded.Generation();

  options.max_open_files = 1000;
  {
    const OpenDatabase db(options, directory.path());
    REQUIRE(db.status().ToString() == "OK");
    CHECK(recorded.files()->Names(Kind::kOpenForRead, ".sst").size() == 16);
    CHECK(db.Contents(0).size() == kTables);
    CHECK(recorded.files()->Names(Kind::kOpenForRead, ".sst").size() == kTables);
  }

  recorded.files()->ForgetEvents();
  options.max_open_files = -1;
  const OpenDatabase db(options, directory.path());
  REQUIRE(db.status().ToString() == "OK");
  CHECK(recorded.files()->Names(Kind::kOpenForRead, ".sst").size() == kTables);
}

}  // namespace
}  // namespace slipstream
