#include "lib/observe/stacks/symbol_index.h"

#include <gelf.h>

#include <algorithm>

namespace slipstream::observe {
namespace {

// Of functions without a size, which are written in assembler, and of any program's symbols.
constexpr uint64_t kMaxUnsizedBytes = 4096;
constexpr int kMaxSymbols = 4'000'000;

bool IsFunction(const GElf_Sym& symbol, GElf_Word section) {
  if (section == SHN_UNDEF || section == SHN_ABS) return false;
  const int type = GELF_ST_TYPE(symbol.st_info);
  return type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE;
}

}  // namespace

SymbolIndex::SymbolIndex(Dwfl_Module* module) {
  const int count = std::min(dwfl_module_getsymtab(module), kMaxSymbols);
  for (int i = 0; i < count; ++i) {
    GElf_Sym symbol;
    GElf_Addr address = 0;
    GElf_Word section = 0;
    Elf* elf = nullptr;
    Dwarf_Addr bias = 0;
    const char* name = dwfl_module_getsym_info(module, i, &symbol, &address, &section, &elf, &bias);
    if (name == nullptr || *name == '\0' || !IsFunction(symbol, section)) continue;
    symbols_.push_back({address, address + symbol.st_size, name});
  }
  // Of several names of one function, the one that covers most.
  std::sort(symbols_.begin(), symbols_.end(), [](const Symbol& a, const Symbol& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  symbols_.shrink_to_fit();
}

const char* SymbolIndex::Find(uint64_t address) const {
  auto it = std::upper_bound(symbols_.begin(), symbols_.end(), address,
                             [](uint64_t a, const Symbol& symbol) { return a < symbol.begin; });
  // A label inside a function hides it; a few steps back it is.
  constexpr int kMaxSteps = 16;
  const char* unsized = nullptr;
  for (int step = 0; step < kMaxSteps && it != symbols_.begin(); ++step) {
    --it;
    if (address < it->end) return it->name;
    if (it->begin == it->end && unsized == nullptr && address - it->begin < kMaxUnsizedBytes) {
      unsized = it->name;
    }
  }
  return unsized;
}

}  // namespace slipstream::observe
