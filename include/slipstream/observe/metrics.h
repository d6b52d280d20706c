// Metrics: numbers with names and labels, as Prometheus knows them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace slipstream::observe {

// Counts of observed values by size, at one moment.
struct HistogramSnapshot {
  // Upper ends of the buckets, ascending. A value belongs to the first bucket whose bound is not
  // less than it.
  std::vector<double> bounds;
  // One for each bound, and one more for what is above the last. Not cumulative.
  std::vector<uint64_t> counts;
  double sum = 0;  // of all values, in their unit
};

// One value of a metric, and what it belongs to.
struct MetricSample {
  std::vector<std::pair<std::string, std::string>> labels;  // name, value
  double value = 0;                                         // of a counter or gauge
  HistogramSnapshot histogram;                              // of a histogram
};

// A metric with all its samples. Names end with their unit: _seconds, _bytes; counters with _total.
struct MetricFamily {
  enum class Type { kCounter, kGauge, kHistogram };

  std::string name;
  std::string help;  // one sentence
  Type type = Type::kGauge;
  std::vector<MetricSample> samples;
};

// The family of that name in `families`, added if there is none. So that several sources of one
// process add their samples to the same family, which must have the same help and type everywhere.
// Lifetime: the result is valid until `families` is changed.
MetricFamily* FamilyOf(std::vector<MetricFamily>* families, std::string_view name,
                       std::string_view help, MetricFamily::Type type);

// Counts values in buckets whose bounds are fixed.
//
// Threads: all methods may be called from any thread, calls may overlap; none blocks. An Observe
// costs two additions to memory that threads share.
class Histogram {
 public:
  // bounds: as HistogramSnapshot::bounds. Those that are not above the one before are left out.
  explicit Histogram(const std::vector<double>& bounds);
  Histogram(const Histogram&) = delete;
  Histogram& operator=(const Histogram&) = delete;

  // NaN is ignored.
  void Observe(double value);

  // Values that are observed meanwhile may be in the counts and not in the sum, or the other way
  // round.
  HistogramSnapshot Snapshot() const;

  // For durations in seconds: 10 microseconds to a minute, three bounds for each power of ten.
  static std::vector<double> DurationBounds();

 private:
  const std::vector<double> bounds_;
  const std::unique_ptr<std::atomic<uint64_t>[]> counts_;  // one more than bounds
  std::atomic<double> sum_{0};
};

}  // namespace slipstream::observe
