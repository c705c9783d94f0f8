//! Metrics of requests to buckets. A presign sends none.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;

use super::Metrics;

#[derive(Debug, Clone)]
pub struct BucketMetrics {
    duration: Histogram<f64>,
}

impl BucketMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let duration = metrics.seconds("presign_gateway.bucket.operation.duration", "Duration of a bucket operation.");
        Self { duration }
    }

    /// `operation` as the S3 API names it; `failure` is the kind of error, if it failed.
    pub fn record(&self, operation: &'static str, failure: Option<&'static str>, took: Duration) {
        let failure = failure.map(|failure| KeyValue::new("error.type", failure));
        let labels: Vec<_> = [KeyValue::new("operation", operation)].into_iter().chain(failure).collect();
        self.duration.record(took.as_secs_f64(), &labels);
    }
}
