#include "lib/observe/stacks/process_image.h"

#include <cxxabi.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>
#include <utility>

namespace slipstream::observe {
namespace {

using rocksdb::Status;

constexpr char kMaps[] = "/proc/self/maps";
constexpr size_t kMaxFrames = 100'000;  // remembered
constexpr size_t kMaxNameBytes = 1024;

// libdw takes it from the callbacks for as long as it lives.
char* debug_info_path = nullptr;
const Dwfl_Callbacks kCallbacks = {
    .find_elf = dwfl_linux_proc_find_elf,
    // What is on this machine. The standard look-up may ask servers.
    .find_debuginfo = dwfl_build_id_find_debuginfo,
    .section_address = nullptr,
    .debuginfo_path = &debug_info_path,
};

Status IOError(const char* what) {
  const char* why = dwfl_errmsg(-1);
  return Status::IOError(what, why == nullptr ? "no reason given" : why);
}

std::string Demangle(std::string_view symbol) {
  const std::string unversioned(symbol.substr(0, symbol.find('@')));
  const char* name = unversioned.c_str();
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free);
  std::string_view all = text == nullptr ? name : text.get();
  return std::string(all.substr(0, kMaxNameBytes));
}

// The mappings of code, one line each.
std::string ReadModules() {
  std::ifstream in(kMaps);
  std::string modules;
  std::string line;
  while (std::getline(in, line)) {
    // "begin-end rwxp offset device inode path"
    const size_t space = line.find(' ');
    if (space != std::string::npos && line.size() > space + 3 && line[space + 3] == 'x') {
      modules += line;
      modules += '\n';
    }
  }
  return modules;
}

}  // namespace

struct ProcessImage::Unwinding {
  const RawStack* raw;
  size_t max_frames;
  std::vector<uint64_t>* addresses;
  // To libdw, a stack that cannot be read has ended.
  bool missed_memory = false;
};

const Dwfl_Thread_Callbacks ProcessImage::kThreadCallbacks = {
    .next_thread = NextThread,
    .get_thread = GetThread,
    .memory_read = ReadMemory,
    .set_initial_registers = SetRegisters,
    .detach = nullptr,
    .thread_detach = nullptr,
};

ProcessImage::ProcessImage() = default;
ProcessImage::~ProcessImage() = default;

Status ProcessImage::Refresh() {
  std::string modules = ReadModules();
  if (modules.empty()) return Status::IOError(kMaps, "cannot be read");
  if (dwfl_ != nullptr && modules == modules_) return Status::OK();
  frames_.clear();
  symbols_.clear();
  dwfl_.reset();
  const Status s = Load();
  if (s.ok()) {
    modules_ = std::move(modules);
  } else {
    dwfl_.reset();
  }
  return s;
}

Status ProcessImage::Load() {
  dwfl_.reset(dwfl_begin(&kCallbacks));
  if (dwfl_ == nullptr) return IOError("thread stacks: dwfl_begin");
  dwfl_report_begin(dwfl_.get());
  const int error = dwfl_linux_proc_report(dwfl_.get(), getpid());
  if (error > 0) return Status::IOError(kMaps, std::strerror(error));
  if (error < 0) return IOError(kMaps);
  if (dwfl_report_end(dwfl_.get(), nullptr, nullptr) != 0) return IOError("thread stacks: modules");
  if (!dwfl_attach_state(dwfl_.get(), nullptr, getpid(), &kThreadCallbacks, this)) {
    return IOError("thread stacks: dwfl_attach_state");
  }
  return Status::OK();
}

bool ProcessImage::GetThread(Dwfl*, pid_t, void* image, void** unwinding) {
  *unwinding = static_cast<ProcessImage*>(image)->unwinding_;
  return true;
}

// Threads are asked for by name alone.
pid_t ProcessImage::NextThread(Dwfl*, void*, void**) { return 0; }

bool ProcessImage::SetRegisters(Dwfl_Thread* thread, void* unwinding) {
  const StackRegisters& registers = static_cast<Unwinding*>(unwinding)->raw->registers;
  return dwfl_thread_state_registers(thread, 0, static_cast<unsigned>(registers.size()),
                                     registers.data());
}

bool ProcessImage::ReadMemory(Dwfl*, Dwarf_Addr address, Dwarf_Word* word, void* image) {
  Unwinding* unwinding = static_cast<ProcessImage*>(image)->unwinding_;
  uint64_t value = 0;
  if (!unwinding->raw->Read(address, &value)) {
    unwinding->missed_memory = true;
    return false;
  }
  *word = value;
  return true;
}

int ProcessImage::TakeFrame(Dwfl_Frame* frame, void* argument) {
  auto* unwinding = static_cast<Unwinding*>(argument);
  Dwarf_Addr address = 0;
  bool is_activation = false;
  if (!dwfl_frame_pc(frame, &address, &is_activation)) return DWARF_CB_ABORT;
  if (unwinding->addresses->size() >= unwinding->max_frames) return DWARF_CB_ABORT;
  // What a call returns to may be another line, or another function.
  unwinding->addresses->push_back(is_activation ? address : address - 1);
  return DWARF_CB_OK;
}

bool ProcessImage::Unwind(const RawStack& raw, size_t max_frames,
                          std::vector<uint64_t>* addresses) {
  addresses->clear();
  Unwinding unwinding{&raw, max_frames, addresses, false};
  unwinding_ = &unwinding;
  const int result = dwfl_getthread_frames(dwfl_.get(), getpid(), TakeFrame, &unwinding);
  unwinding_ = nullptr;
  return result == 0 && !unwinding.missed_memory;
}

const SymbolIndex& ProcessImage::SymbolsOf(Dwfl_Module* module) {
  const auto it = symbols_.find(module);
  return it != symbols_.end() ? it->second : symbols_.emplace(module, module).first->second;
}

StackFrame ProcessImage::LookUp(uint64_t address) {
  StackFrame frame;
  frame.address = address;
  Dwfl_Module* module = dwfl_addrmodule(dwfl_.get(), address);
  if (module == nullptr) return frame;
  Dwarf_Addr begin = 0;
  const char* name =
      dwfl_module_info(module, nullptr, &begin, nullptr, nullptr, nullptr, nullptr, nullptr);
  if (name != nullptr) frame.module = name;
  frame.module_offset = address - begin;
  const char* function = SymbolsOf(module).Find(address);
  if (function != nullptr) frame.function = Demangle(function);
  Dwfl_Line* line = dwfl_module_getsrc(module, address);
  if (line != nullptr) {
    const char* file = dwfl_lineinfo(line, nullptr, &frame.line, nullptr, nullptr, nullptr);
    if (file != nullptr) frame.file = file;
  }
  return frame;
}

const StackFrame& ProcessImage::Describe(uint64_t address) {
  const auto it = frames_.find(address);
  if (it != frames_.end()) return it->second;
  if (frames_.size() >= kMaxFrames) frames_.clear();
  return frames_.emplace(address, LookUp(address)).first->second;
}

}  // namespace slipstream::observe
