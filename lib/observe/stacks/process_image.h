// The program and the libraries of this process: unwinds stacks and names addresses by their files,
// never by memory, so that a library may be unloaded meanwhile.
#pragma once

#include <elfutils/libdwfl.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/observe/stacks/raw_stack.h"
#include "lib/observe/stacks/symbol_index.h"
#include "rocksdb/status.h"
#include "slipstream/observe/thread_stacks.h"

namespace slipstream::observe {

// Threads: one at a time.
class ProcessImage {
 public:
  ProcessImage();
  ~ProcessImage();

  // Looks whether libraries were loaded or unloaded since it was called last, and begins anew if
  // so. Returns IOError.
  [[nodiscard]] rocksdb::Status Refresh();

  // Addresses of code, the innermost first: where the thread is, and the calls that have not
  // returned. True if they are all up to the thread's beginning.
  // REQUIRES: Refresh has returned OK.
  bool Unwind(const RawStack& raw, size_t max_frames, std::vector<uint64_t>* addresses);

  // REQUIRES: Refresh has returned OK.
  const StackFrame& Describe(uint64_t address);

 private:
  struct DwflEnd {
    void operator()(Dwfl* dwfl) const { dwfl_end(dwfl); }
  };
  struct Unwinding;

  rocksdb::Status Load();
  StackFrame LookUp(uint64_t address);
  const SymbolIndex& SymbolsOf(Dwfl_Module* module);

  static const Dwfl_Thread_Callbacks kThreadCallbacks;
  static bool GetThread(Dwfl* dwfl, pid_t tid, void* image, void** unwinding);
  static pid_t NextThread(Dwfl* dwfl, void* image, void** unwinding);
  static bool SetRegisters(Dwfl_Thread* thread, void* unwinding);
  static bool ReadMemory(Dwfl* dwfl, Dwarf_Addr address, Dwarf_Word* word, void* image);
  static int TakeFrame(Dwfl_Frame* frame, void* unwinding);

  std::string modules_;  // the lines of /proc/self/maps that dwfl_ was made from
  std::unique_ptr<Dwfl, DwflEnd> dwfl_;
  Unwinding* unwinding_ = nullptr;
  std::map<Dwfl_Module*, SymbolIndex> symbols_;
  std::unordered_map<uint64_t, StackFrame> frames_;
};

}  // namespace slipstream::observe
