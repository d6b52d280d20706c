// The chat command over real sockets.
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "lib/observe/http/chat_command.h"
#include "slipstream/observe/http_server.h"
#include "tests/unit/raw_http.h"

namespace slipstream::observe {
namespace {

const std::string kForm = "Content-Type: application/x-www-form-urlencoded\r\n";

class LeaderSource : public Source {
 public:
  void AppendMetrics(std::vector<MetricFamily>*) const override {}
  HealthReport Health() const override { return {true, "", 0, 0}; }
  ReplicationReport Replication() const override {
    ReplicationReport report;
    report.database = "orders";
    report.role = "leader";
    for (const std::string endpoint : {"10.0.0.2:9090", "", "10.0.0.3:9090", "10.0.0.2:9090"}) {
      FollowerReport follower;
      follower.observe_endpoint = endpoint;
      report.followers.push_back(follower);
    }
    return report;
  }
};

class ServedChat {
 public:
  explicit ServedChat(const std::string& secret = "", const std::string& page_url = "") {
    HttpServerOptions options;
    options.environments = {{"staging", {"a:1", "b:2"}},
                            {"production", {"leader:9090", "other:9090"}},
                            {"odd", {"x&y=z,#"}}};
    options.chat_signing_secret = secret;
    options.page_url = page_url;
    REQUIRE(HttpServer::Start(options, &server).ok());
    server->AddSource(std::make_shared<LeaderSource>());
  }
  // What the chat shows.
  std::string Say(const std::string& form) {
    const RawReply reply = Fetch(server->port(), "POST", "/pm", kForm, form);
    REQUIRE(reply.status == 200);
    CHECK(reply.Json()["response_type"] == "ephemeral");
    return reply.Json()["text"];
  }

  std::unique_ptr<HttpServer> server;
};

TEST_CASE("http chat: an environment is answered with the page of its endpoints", "[unit]") {
  ServedChat served;
  CHECK(served.Say("text=staging") == "http://127.0.0.1/?host=a:1,b:2");
  CHECK(served.Say("token=x&text=+staging%20&user_name=y") == "http://127.0.0.1/?host=a:1,b:2");
  CHECK(served.Say("text=odd") == "http://127.0.0.1/?host=x%26y%3Dz%2C%23");
  const std::string known = "odd, orders, production, staging";
  CHECK(served.Say("text=nowhere").find(known) != std::string::npos);
  CHECK(served.Say("text=").find(known) != std::string::npos);
  CHECK(served.Say("x").find(known) != std::string::npos);
}

TEST_CASE("http chat: what the sources know is in it", "[unit]") {
  ServedChat served("", "http://leader:9090/");
  const std::string followers = ",10.0.0.2:9090,10.0.0.3:9090";
  CHECK(served.Say("text=orders") == "http://leader:9090/?host=leader:9090" + followers);
  CHECK(served.Say("text=production") ==
        "http://leader:9090/?host=leader:9090,other:9090" + followers);
  CHECK(served.Say("text=staging") == "http://leader:9090/?host=a:1,b:2");
}

TEST_CASE("http chat: the signature is that of Slack's documentation", "[unit]") {
  // The example there.
  CHECK(ChatSignature(
            "8f742231b10e8888abcd99yyyzzz85a5", "1531420618",
            "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&"
            "channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&"
            "command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2F"
            "commands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"
            "trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c") ==
        "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503");
}

TEST_CASE("http chat: with a secret only signed requests of now are answered", "[unit]") {
  ServedChat served("secret");
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  const std::string form = "text=staging";
  const auto status = [&](const std::string& timestamp, const std::string& signature) {
    const std::string headers = kForm + "X-Slack-Request-Timestamp: " + timestamp +
                                "\r\nX-Slack-Signature: " + signature + "\r\n";
    return Fetch(served.server->port(), "POST", "/pm", headers, form).status;
  };
  const auto signed_at = [&](int64_t when, const std::string& secret, const std::string& body) {
    const std::string timestamp = std::to_string(when);
    return status(timestamp, ChatSignature(secret, timestamp, body));
  };
  CHECK(signed_at(now, "secret", form) == 200);
  CHECK(signed_at(now - 290, "secret", form) == 200);
  CHECK(signed_at(now - 310, "secret", form) == 401);
  CHECK(signed_at(now + 310, "secret", form) == 401);
  CHECK(signed_at(now, "Secret", form) == 401);
  CHECK(signed_at(now, "secret", "text=production") == 401);
  CHECK(status(std::to_string(now), "") == 401);
  CHECK(status("", ChatSignature("secret", "", form)) == 401);
  CHECK(status("x", ChatSignature("secret", "x", form)) == 401);
  CHECK(Fetch(served.server->port(), "POST", "/pm", kForm, form).status == 401);
}

TEST_CASE("http chat: other verbs and other forms are refused", "[unit]") {
  ServedChat served;
  const RawReply reply = Fetch(served.server->port(), "GET", "/pm?text=staging");
  CHECK(reply.status == 405);
  CHECK(reply.Header("Allow") == "POST, OPTIONS");
  for (const std::string type : {"application/json", "multipart/form-data; boundary=x", ""}) {
    CHECK(Fetch(served.server->port(), "POST", "/pm",
                type.empty() ? "" : "Content-Type: " + type + "\r\n", "text=staging")
              .status == 415);
  }
}

}  // namespace
}  // namespace slipstream::observe
