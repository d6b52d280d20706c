#include "slipstream/observe/metrics.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace slipstream::observe {
namespace {

TEST_CASE("histogram: a value belongs to the first bucket that reaches up to it", "[unit]") {
  Histogram histogram({1, 10, 100});
  for (const double value : {-1.0, 0.0, 1.0}) histogram.Observe(value);
  for (const double value : {1.5, 10.0}) histogram.Observe(value);
  histogram.Observe(100.0);
  for (const double value : {100.5, 1e9, 1e9, 1e9}) histogram.Observe(value);

  const HistogramSnapshot snapshot = histogram.Snapshot();
  CHECK(snapshot.bounds == std::vector<double>{1, 10, 100});
  CHECK(snapshot.counts == std::vector<uint64_t>{3, 2, 1, 4});
  CHECK(snapshot.sum == Approx(3e9 + 212.0));
}

TEST_CASE("histogram: what is no number counts nowhere", "[unit]") {
  Histogram histogram({1});
  histogram.Observe(std::nan(""));
  histogram.Observe(std::numeric_limits<double>::infinity());
  CHECK(histogram.Snapshot().counts == std::vector<uint64_t>{0, 1});
  CHECK(std::isinf(histogram.Snapshot().sum));
}

TEST_CASE("histogram: bounds that do not ascend are left out", "[unit]") {
  Histogram histogram({2, 1, std::nan(""), 2, 3});
  CHECK(histogram.Snapshot().bounds == std::vector<double>{2, 3});
  CHECK(histogram.Snapshot().counts.size() == 3);
  Histogram none({});
  none.Observe(7);
  CHECK(none.Snapshot().counts == std::vector<uint64_t>{1});
}

TEST_CASE("histogram: bounds for durations ascend from 10 microseconds to a minute", "[unit]") {
  const std::vector<double> bounds = Histogram::DurationBounds();
  CHECK(bounds.front() == 10e-6);
  CHECK(bounds.back() == 60);
  CHECK(Histogram(bounds).Snapshot().bounds == bounds);
}

TEST_CASE("histogram: no value of several threads is lost", "[unit]") {
  constexpr int kThreads = 4;
  constexpr int kValues = 20000;
  Histogram histogram({0, 1, 2});
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&histogram, i] {
      for (int n = 0; n < kValues; ++n) histogram.Observe(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(histogram.Snapshot().counts == std::vector<uint64_t>(4, kValues));
  CHECK(histogram.Snapshot().sum == kValues * (0 + 1 + 2 + 3));
}

TEST_CASE("metrics: sources add to one family of a name", "[unit]") {
  std::vector<MetricFamily> families;
  FamilyOf(&families, "a_total", "A.", MetricFamily::Type::kCounter)->samples.push_back({});
  FamilyOf(&families, "b_bytes", "B.", MetricFamily::Type::kGauge);
  FamilyOf(&families, "a_total", "A.", MetricFamily::Type::kCounter)->samples.push_back({});
  REQUIRE(families.size() == 2);
  CHECK(families[0].samples.size() == 2);
  CHECK(families[0].help == "A.");
  CHECK(families[0].type == MetricFamily::Type::kCounter);
  CHECK(families[1].name == "b_bytes");
}

}  // namespace
}  // namespace slipstream::observe
