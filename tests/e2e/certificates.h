// Certificates made on the spot.
#pragma once

#include <memory>
#include <string>

namespace slipstream::testing {

// PEM texts.
struct Identity {
  std::string certificate;
  std::string key;
};

enum class Validity { kNow, kExpired, kNotYet };

// Signs certificates for an hour around now.
class CertificateAuthority {
 public:
  CertificateAuthority();
  ~CertificateAuthority();

  const std::string& certificate() const { return identity_.certificate; }

  // subject_name: as in OpenSSL's configuration, for example "IP:127.0.0.1".
  Identity Issue(const std::string& subject_name, Validity validity = Validity::kNow) const;

 private:
  struct Keys;
  std::unique_ptr<Keys> keys_;
  Identity identity_;
};

// Signed by itself alone.
Identity SelfSigned(const std::string& subject_name);

}  // namespace slipstream::testing
