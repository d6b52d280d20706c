// The functions of one module by address. libdw's own look-up goes through the whole symbol table.
#pragma once

#include <elfutils/libdwfl.h>

#include <cstdint>
#include <vector>

namespace slipstream::observe {

class SymbolIndex {
 public:
  // `module` outlives it.
  explicit SymbolIndex(Dwfl_Module* module);

  // The mangled name of the function that `address` is in; null if not known.
  const char* Find(uint64_t address) const;

 private:
  struct Symbol {
    uint64_t begin;
    uint64_t end;
    const char* name;
  };
  std::vector<Symbol> symbols_;  // by begin
};

}  // namespace slipstream::observe
