// TLS and mutual TLS, on the library's own server and on the host's.
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "catch2/catch.hpp"
#include "tests/e2e/certificates.h"
#include "tests/e2e/local_cluster.h"
#include "tests/e2e/mixed_load.h"
#include "tests/e2e/raw_follower.h"

namespace slipstream::testing {
namespace {

const std::string kHere = "IP:127.0.0.1";

std::shared_ptr<grpc::ServerCredentials> ServerCredentials(const Identity& identity,
                                                           const std::string& client_roots) {
  grpc::SslServerCredentialsOptions options(
      client_roots.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                           : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = client_roots;
  options.pem_key_cert_pairs = {{identity.key, identity.certificate}};
  return grpc::SslServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> ClientCredentials(const std::string& roots,
                                                            const Identity& identity = {}) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = roots;
  options.pem_cert_chain = identity.certificate;
  options.pem_private_key = identity.key;
  return grpc::SslCredentials(options);
}

// A leader that is reached by TLS alone.
struct SecureLeader {
  SecureLeader(const std::shared_ptr<grpc::ServerCredentials>& credentials, bool hosts_server) {
    LeaderOptions options = cluster.leader_options();
    if (hosts_server) {
      grpc::ServerBuilder builder;
      builder.AddListeningPort("127.0.0.1:0", credentials, &port);
      service = ReplicationServer::Register(&builder);
      host = builder.BuildAndStart();
      REQUIRE(host != nullptr);
      options.server = service;
    } else {
      options.server_options.credentials = credentials;
    }
    LocalLeader opened = cluster.StartLeader(options, LocalCluster::db_options());
    std::swap(leader.leader, opened.leader);
    std::swap(leader.families, opened.families);
    if (!hosts_server) port = leader.leader->port();
    RequireOk(MixedLoad(leader.db(), leader.families, 100, 1).Write(200));
  }
  ~SecureLeader() {
    leader.Close();
    if (service != nullptr) service->Stop();
    if (host != nullptr) host->Shutdown();
  }

  FollowerOptions options(std::shared_ptr<grpc::ChannelCredentials> credentials) const {
    FollowerOptions options = cluster.follower_options(port);
    options.credentials = std::move(credentials);
    return options;
  }
  void RequireServes(std::shared_ptr<grpc::ChannelCredentials> credentials) {
    LocalFollower follower = cluster.StartFollower(options(std::move(credentials)));
    RequireOk(MixedLoad(leader.db(), leader.families, 100, 2).Write(200));
    RequireEqual(leader, follower);
    CHECK(follower.follower->stats().reconnects == 0);
  }
  // Neither a follower nor a raw peer gets an answer, and both get the same for a database that
  // exists and for one that does not.
  void RequireTellsNothing(const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    for (const std::string database : {"test", "absent"}) {
      FollowerOptions refused = options(credentials);
      refused.database = database;
      refused.open_timeout_ms = 300;
      std::unique_ptr<Follower> follower;
      const rocksdb::Status s = Follower::Open(refused, rocksdb::Options(), &follower);
      INFO(s.ToString());
      CHECK(s.IsTimedOut());

      RawFollower raw(port, credentials);
      v1::Hello hello = RawFollower::GoodHello();
      hello.set_database(database);
      raw.SendHello(hello);
      v1::LeaderMessage message;
      CHECK_FALSE(raw.Read(&message));
      const grpc::Status end = raw.AwaitEnd();
      INFO(end.error_code() << " " << end.error_message());
      CHECK(end.error_code() == grpc::StatusCode::UNAVAILABLE);
      CHECK(end.error_message().find("database") == std::string::npos);
    }
    CHECK(leader.leader->followers().empty());
  }

  LocalCluster cluster;
  int port = 0;
  std::shared_ptr<ReplicationServer> service;
  std::unique_ptr<grpc::Server> host;
  LocalLeader leader;
};

}  // namespace

TEST_CASE("tls: a follower that knows the leader's authority is served", "[e2e]") {
  const CertificateAuthority authority;
  const bool hosts_server = GENERATE(false, true);
  SecureLeader leader(ServerCredentials(authority.Issue(kHere), ""), hosts_server);
  leader.RequireServes(ClientCredentials(authority.certificate()));
}

TEST_CASE("tls: a follower does not talk to a leader that it cannot identify", "[e2e]") {
  const CertificateAuthority authority, other;
  Identity identity;
  SECTION("self-signed") { identity = SelfSigned(kHere); }
  SECTION("of another authority") { identity = other.Issue(kHere); }
  SECTION("expired") { identity = authority.Issue(kHere, Validity::kExpired); }
  SECTION("not valid yet") { identity = authority.Issue(kHere, Validity::kNotYet); }
  SECTION("of another name") { identity = authority.Issue("DNS:elsewhere.example"); }
  SecureLeader leader(ServerCredentials(identity, ""), false);
  leader.RequireTellsNothing(ClientCredentials(authority.certificate()));
}

TEST_CASE("tls: a peer without encryption learns nothing", "[e2e]") {
  const CertificateAuthority authority;
  const bool hosts_server = GENERATE(false, true);
  SecureLeader leader(ServerCredentials(authority.Issue(kHere), ""), hosts_server);
  leader.RequireTellsNothing(nullptr);
}

TEST_CASE("tls: a leader without encryption is not talked to by one who expects it", "[e2e]") {
  const CertificateAuthority authority;
  SecureLeader leader(nullptr, false);
  leader.RequireTellsNothing(ClientCredentials(authority.certificate()));
}

TEST_CASE("mutual tls: a follower with a certificate of the authority is served", "[e2e]") {
  const CertificateAuthority authority;
  const bool hosts_server = GENERATE(false, true);
  SecureLeader leader(ServerCredentials(authority.Issue(kHere), authority.certificate()),
                      hosts_server);
  leader.RequireServes(ClientCredentials(authority.certificate(), authority.Issue("DNS:follower")));
}

TEST_CASE("mutual tls: a peer without a valid certificate learns nothing", "[e2e]") {
  const CertificateAuthority authority, other;
  const bool hosts_server = GENERATE(false, true);
  SecureLeader leader(ServerCredentials(authority.Issue(kHere), authority.certificate()),
                      hosts_server);
  const std::string& roots = authority.certificate();
  const std::vector<std::pair<std::string, std::shared_ptr<grpc::ChannelCredentials>>> peers{
      {"no certificate", ClientCredentials(roots)},
      {"self-signed", ClientCredentials(roots, SelfSigned("DNS:follower"))},
      {"of another authority", ClientCredentials(roots, other.Issue("DNS:follower"))},
      {"expired", ClientCredentials(roots, authority.Issue("DNS:follower", Validity::kExpired))},
      {"no encryption", nullptr},
  };
  for (const auto& [name, credentials] : peers) {
    INFO(name);
    leader.RequireTellsNothing(credentials);
  }
  // The leader is none the worse.
  leader.RequireServes(ClientCredentials(roots, authority.Issue("DNS:follower")));
}

}  // namespace slipstream::testing
