//! Metrics of the caches: hits and misses.

use opentelemetry::KeyValue;
use opentelemetry::metrics::BoundCounter;

use super::Metrics;

#[derive(Debug)]
pub struct CacheMetrics {
    pub name: &'static str,
    pub hits: BoundCounter<u64>,
    pub misses: BoundCounter<u64>,
    /// Misses that could not be read either.
    pub failures: BoundCounter<u64>,
}

impl CacheMetrics {
    pub(super) fn new(metrics: &Metrics, name: &'static str) -> Self {
        let requests = metrics.counter("presign_gateway.cache.requests", "Cache lookups.");
        let bind = |result| requests.bind(&[KeyValue::new("cache", name), KeyValue::new("result", result)]);
        Self { name, hits: bind("hit"), misses: bind("miss"), failures: bind("failure") }
    }
}
