// Comparison of secrets.
#pragma once

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <array>
#include <string_view>

namespace slipstream::observe {

// Whether two secrets are the same, in a time that tells nothing of where they differ. It compares
// digests, so that nothing is told of their lengths either.
inline bool SameSecret(std::string_view a, std::string_view b) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest_a;
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest_b;
  SHA256(reinterpret_cast<const unsigned char*>(a.data()), a.size(), digest_a.data());
  SHA256(reinterpret_cast<const unsigned char*>(b.data()), b.size(), digest_b.data());
  return CRYPTO_memcmp(digest_a.data(), digest_b.data(), digest_a.size()) == 0;
}

}  // namespace slipstream::observe
