//! Metrics of the sweeper's rounds.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram};

use super::Metrics;

#[derive(Debug)]
pub struct SweeperMetrics {
    lag: Gauge<f64>,
    round: Histogram<f64>,
    rescheduled: Counter<u64>,
    abandoned: Counter<u64>,
    failing: Gauge<u64>,
}

impl SweeperMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let meter = &metrics.0.meter;
        let lag = meter.f64_gauge("presign_gateway.sweeper.lag").with_unit("s");
        let failing = meter.u64_gauge("presign_gateway.sweeper.failing_buckets");
        Self {
            lag: lag.with_description("How long the oldest due upload had been due when the last round began.").build(),
            round: metrics.seconds("presign_gateway.sweeper.round.duration", "Duration of a sweeper round."),
            rescheduled: metrics.counter("presign_gateway.sweeper.rescheduled", "Uploads whose check was rescheduled."),
            abandoned: metrics.counter("presign_gateway.sweeper.abandoned", "Uploads whose checks were abandoned."),
            failing: failing.with_description("Failing buckets in backoff.").build(),
        }
    }

    /// Counts a round that failed because the database did not answer.
    pub fn broke_off(&self, took: Duration) {
        self.round.record(took.as_secs_f64(), &[KeyValue::new("outcome", "failed")]);
    }

    /// Counts a completed round.
    pub fn round(&self, lag: Duration, took: Duration, rescheduled: u32, abandoned: u32, failing_buckets: usize) {
        self.lag.record(lag.as_secs_f64(), &[]);
        self.round.record(took.as_secs_f64(), &[KeyValue::new("outcome", "completed")]);
        self.rescheduled.add(rescheduled.into(), &[]);
        self.abandoned.add(abandoned.into(), &[]);
        self.failing.record(failing_buckets.try_into().unwrap_or(u64::MAX), &[]);
    }
}
