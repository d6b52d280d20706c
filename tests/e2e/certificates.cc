#include "tests/e2e/certificates.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "catch2/catch.hpp"

namespace slipstream::testing {
namespace {

struct Free {
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

Identity TextsOf(X509* certificate, EVP_PKEY* key) {
  Identity identity;
  Owned<BIO> out(BIO_new(BIO_s_mem()));
  REQUIRE(PEM_write_bio_X509(out.get(), certificate) == 1);
  identity.certificate = TextOf(out.get());
  out.reset(BIO_new(BIO_s_mem()));
  REQUIRE(PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  identity.key = TextOf(out.get());
  return identity;
}

void AddExtension(X509* certificate, int nid, const std::string& value) {
  Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str()));
  REQUIRE(extension != nullptr);
  REQUIRE(X509_add_ext(certificate, extension.get(), -1) == 1);
}

Owned<EVP_PKEY> NewKey() {
  Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  REQUIRE(key != nullptr);
  return key;
}

// Without a signature.
Owned<X509> NewCertificate(EVP_PKEY* key, const std::string& common_name, Validity validity) {
  constexpr long kHour = 3600;
  const long shift = validity == Validity::kNow       ? 0
                     : validity == Validity::kExpired ? -3 * kHour
                                                      : 3 * kHour;
  static long serial = 0;
  Owned<X509> certificate(X509_new());
  X509* c = certificate.get();
  X509_set_version(c, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(c), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(c), shift - kHour);
  X509_gmtime_adj(X509_getm_notAfter(c), shift + kHour);
  X509_set_pubkey(c, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  return certificate;
}

}  // namespace

struct CertificateAuthority::Keys {
  Owned<EVP_PKEY> key;
  Owned<X509> certificate;
};

CertificateAuthority::CertificateAuthority() : keys_(std::make_unique<Keys>()) {
  keys_->key = NewKey();
  keys_->certificate = NewCertificate(keys_->key.get(), "authority", Validity::kNow);
  X509* c = keys_->certificate.get();
  X509_set_issuer_name(c, X509_get_subject_name(c));
  AddExtension(c, NID_basic_constraints, "critical,CA:TRUE");
  REQUIRE(X509_sign(c, keys_->key.get(), EVP_sha256()) > 0);
  identity_ = TextsOf(c, keys_->key.get());
}

CertificateAuthority::~CertificateAuthority() = default;

Identity CertificateAuthority::Issue(const std::string& subject_name, Validity validity) const {
  const Owned<EVP_PKEY> key = NewKey();
  const Owned<X509> certificate = NewCertificate(key.get(), "peer", validity);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(keys_->certificate.get()));
  AddExtension(certificate.get(), NID_subject_alt_name, subject_name);
  REQUIRE(X509_sign(certificate.get(), keys_->key.get(), EVP_sha256()) > 0);
  return TextsOf(certificate.get(), key.get());
}

Identity SelfSigned(const std::string& subject_name) {
  const Owned<EVP_PKEY> key = NewKey();
  const Owned<X509> certificate = NewCertificate(key.get(), "peer", Validity::kNow);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  AddExtension(certificate.get(), NID_subject_alt_name, subject_name);
  REQUIRE(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0);
  return TextsOf(certificate.get(), key.get());
}

}  // namespace slipstream::testing
