//! Metrics of the log: request lines that were omitted because the budget was used up.

use opentelemetry::KeyValue;
use opentelemetry::metrics::BoundCounter;

use crate::telemetry::LineKind;

use super::Metrics;

#[derive(Debug)]
pub struct LogMetrics {
    success: BoundCounter<u64>,
    client_error: BoundCounter<u64>,
}

impl LogMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let suppressed = metrics.counter("presign_gateway.log.suppressed", "Request log lines suppressed under load.");
        let bind = |outcome| suppressed.bind(&[KeyValue::new("outcome", outcome)]);
        Self { success: bind("success"), client_error: bind("client_error") }
    }

    pub(in crate::telemetry) fn suppressed(&self, kind: LineKind) {
        match kind {
            LineKind::Success => self.success.add(1),
            LineKind::ClientError => self.client_error.add(1),
        }
    }
}
