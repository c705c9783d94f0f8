//! Metrics of Postgres: <https://opentelemetry.io/docs/specs/semconv/database/database-metrics/>.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;

use super::Metrics;

#[derive(Debug, Clone)]
pub struct DatabaseMetrics {
    duration: Histogram<f64>,
}

impl DatabaseMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self { duration: metrics.seconds("db.client.operation.duration", "Duration of a database statement.") }
    }

    /// `failure` is the kind of error, if it failed.
    pub fn record(&self, operation: &'static str, table: &'static str, failure: Option<&'static str>, took: Duration) {
        let labels = [
            KeyValue::new("db.system.name", "postgresql"),
            KeyValue::new("db.operation.name", operation),
            KeyValue::new("db.collection.name", table),
        ];
        match failure {
            None => self.duration.record(took.as_secs_f64(), &labels),
            Some(failure) => {
                let labels: Vec<_> = labels.into_iter().chain([KeyValue::new("error.type", failure)]).collect();
                self.duration.record(took.as_secs_f64(), &labels);
            }
        }
    }
}
