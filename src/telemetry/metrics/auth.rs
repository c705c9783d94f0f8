//! Metrics of authentication: rejected credentials, and keys of JWT issuers.

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

use super::Metrics;

#[derive(Debug)]
pub struct AuthMetrics {
    failures: Counter<u64>,
}

impl AuthMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let failures = metrics.counter("presign_gateway.auth.failures", "Requests that failed authentication.");
        Self { failures }
    }

    pub fn failed(&self, method: &'static str, reason: &'static str) {
        self.failures.add(1, &[KeyValue::new("method", method), KeyValue::new("reason", reason)]);
    }
}

#[derive(Debug)]
pub struct JwksMetrics {
    fetches: Counter<u64>,
}

impl JwksMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let fetches = metrics.counter("presign_gateway.jwks.fetches", "Fetches of an issuer's keys.");
        for outcome in ["fetched", "failed"] {
            fetches.add(0, &[KeyValue::new("outcome", outcome)]);
        }
        Self { fetches }
    }

    pub fn fetched(&self, is_fetched: bool) {
        let outcome = if is_fetched { "fetched" } else { "failed" };
        self.fetches.add(1, &[KeyValue::new("outcome", outcome)]);
    }
}
