#include "lib/observe/http/metrics_text.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

namespace slipstream::observe {
namespace {

bool IsName(std::string_view name, std::string_view also) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           also.find(c) != std::string_view::npos;
  });
}

// The serializer writes a help text as it is.
std::string OneLine(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r' || c == '\\'; }, ' ');
  return text;
}

prometheus::ClientMetric::Histogram ToHistogram(const HistogramSnapshot& snapshot) {
  prometheus::ClientMetric::Histogram histogram;
  histogram.sample_sum = snapshot.sum;
  for (size_t i = 0; i < snapshot.counts.size(); ++i) {
    histogram.sample_count += snapshot.counts[i];
    const double bound =
        i < snapshot.bounds.size() ? snapshot.bounds[i] : std::numeric_limits<double>::infinity();
    histogram.bucket.push_back({histogram.sample_count, bound});
  }
  return histogram;
}

prometheus::ClientMetric ToMetric(MetricFamily::Type type, const MetricSample& sample) {
  prometheus::ClientMetric metric;
  for (const auto& [name, value] : sample.labels) {
    if (IsName(name, "_") && !name.starts_with("__")) metric.label.push_back({name, value});
  }
  switch (type) {
    case MetricFamily::Type::kCounter:
      metric.counter.value = sample.value;
      break;
    case MetricFamily::Type::kGauge:
      metric.gauge.value = sample.value;
      break;
    case MetricFamily::Type::kHistogram:
      metric.histogram = ToHistogram(sample.histogram);
      break;
  }
  return metric;
}

prometheus::MetricType ToType(MetricFamily::Type type) {
  switch (type) {
    case MetricFamily::Type::kCounter:
      return prometheus::MetricType::Counter;
    case MetricFamily::Type::kHistogram:
      return prometheus::MetricType::Histogram;
    case MetricFamily::Type::kGauge:
      break;
  }
  return prometheus::MetricType::Gauge;
}

}  // namespace

std::string MetricsText(const std::vector<MetricFamily>& families) {
  std::vector<prometheus::MetricFamily> converted;
  for (const MetricFamily& family : families) {
    if (!IsName(family.name, "_:")) continue;
    prometheus::MetricFamily to;
    to.name = family.name;
    to.help = OneLine(family.help);
    to.type = ToType(family.type);
    for (const MetricSample& sample : family.samples) {
      to.metric.push_back(ToMetric(family.type, sample));
    }
    converted.push_back(std::move(to));
  }
  return prometheus::TextSerializer().Serialize(converted);
}

}  // namespace slipstream::observe
