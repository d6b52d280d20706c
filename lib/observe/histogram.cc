#include <algorithm>
#include <cmath>
#include <cstddef>

#include "slipstream/observe/metrics.h"

namespace slipstream::observe {
namespace {

std::vector<double> Ascending(const std::vector<double>& bounds) {
  std::vector<double> ascending;
  for (const double bound : bounds) {
    if (!std::isnan(bound) && (ascending.empty() || bound > ascending.back())) {
      ascending.push_back(bound);
    }
  }
  return ascending;
}

}  // namespace

Histogram::Histogram(const std::vector<double>& bounds)
    : bounds_(Ascending(bounds)),
      counts_(std::make_unique<std::atomic<uint64_t>[]>(bounds_.size() + 1)) {}

void Histogram::Observe(double value) {
  if (std::isnan(value)) return;
  const size_t bucket = static_cast<size_t>(
      std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin());
  counts_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

HistogramSnapshot Histogram::Snapshot() const {
  HistogramSnapshot snapshot;
  snapshot.bounds = bounds_;
  snapshot.counts.reserve(bounds_.size() + 1);
  for (size_t i = 0; i <= bounds_.size(); ++i) {
    snapshot.counts.push_back(counts_[i].load(std::memory_order_relaxed));
  }
  snapshot.sum = sum_.load(std::memory_order_relaxed);
  return snapshot;
}

std::vector<double> Histogram::DurationBounds() {
  return {10e-6, 25e-6,  50e-6,  100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3,
          50e-3, 100e-3, 250e-3, 500e-3, 1,      2.5,    5,    10,     25,   60};
}

}  // namespace slipstream::observe
