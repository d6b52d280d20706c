// A thread's registers and stack, as they were when it was interrupted.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>

namespace slipstream::observe {

// In the order of DWARF's numbers: rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15, and rip in
// the place of the return address.
using StackRegisters = std::array<uint64_t, 17>;

struct RawStack {
  StackRegisters registers{};
  uint64_t begin = 0;  // the address of the first byte
  std::string bytes;
  bool cut = false;  // the stack has more

  // False if the word is not in the copy.
  bool Read(uint64_t address, uint64_t* word) const {
    if (address < begin || bytes.size() < sizeof(*word)) return false;
    if (address - begin > bytes.size() - sizeof(*word)) return false;
    std::memcpy(word, bytes.data() + (address - begin), sizeof(*word));
    return true;
  }
};

}  // namespace slipstream::observe
