//! The metrics that there are, with their labels.

use std::collections::BTreeMap;

use super::promql::Names;

/// A gauge or a counter has its own name, a histogram three.
enum Kind {
    Gauge,
    Counter,
    Histogram,
}

use Kind::{Counter, Gauge, Histogram};

const METRICS: &[(&str, Kind, &[&str])] = &[
    (
        "http_server_request_duration_seconds",
        Histogram,
        &["http_request_method", "http_route", "http_response_status_code", "url_scheme", "error_type"],
    ),
    (
        "db_client_operation_duration_seconds",
        Histogram,
        &["db_system_name", "db_operation_name", "db_collection_name", "error_type"],
    ),
    ("db_client_connection_count", Gauge, &["db_client_connection_pool_name", "db_client_connection_state"]),
    ("db_client_connection_max", Gauge, &["db_client_connection_pool_name"]),
    ("presign_gateway_uploads", Counter, &["kind", "outcome"]),
    ("presign_gateway_uploads_settled", Counter, &["state", "by"]),
    ("presign_gateway_recorder_queue_depth", Gauge, &[]),
    ("presign_gateway_recorder_queue_capacity", Gauge, &[]),
    ("presign_gateway_recorder_queue_wait_seconds", Histogram, &[]),
    ("presign_gateway_recorder_batch_size", Histogram, &[]),
    ("presign_gateway_recorder_commit_duration_seconds", Histogram, &["outcome"]),
    ("presign_gateway_limiter_decisions", Counter, &["limit", "decision", "tenant"]),
    ("presign_gateway_auth_failures", Counter, &["method", "reason"]),
    ("presign_gateway_cache_requests", Counter, &["cache", "result"]),
    ("presign_gateway_cache_entries", Gauge, &["cache"]),
    ("presign_gateway_jwks_issuers", Gauge, &["state"]),
    ("presign_gateway_jwks_age_seconds", Gauge, &["state"]),
    ("presign_gateway_jwks_fetches", Counter, &["outcome"]),
    ("presign_gateway_bucket_operation_duration_seconds", Histogram, &["operation", "error_type"]),
    ("presign_gateway_sweeper_lag_seconds", Gauge, &[]),
    ("presign_gateway_sweeper_round_duration_seconds", Histogram, &[]),
    ("presign_gateway_sweeper_put_back", Counter, &[]),
    ("presign_gateway_sweeper_given_up", Counter, &[]),
    ("presign_gateway_sweeper_failing_buckets", Gauge, &[]),
    ("presign_gateway_sealing_key_age_seconds", Gauge, &[]),
    ("presign_gateway_listening", Gauge, &[]),
    ("presign_gateway_http_connections", Gauge, &["listener"]),
    ("presign_gateway_log_left_out", Counter, &["outcome"]),
    ("presign_gateway_build_info", Gauge, &["version"]),
    ("otel_sdk_processor_span_processed", Counter, &["error_type"]),
    ("otel_sdk_processor_log_processed", Counter, &["error_type"]),
    ("target_info", Gauge, &["service_name", "service_version", "service_instance_id"]),
    // Prometheus's own.
    ("up", Gauge, &[]),
    ("ALERTS", Gauge, &["alertname", "alertstate"]),
];

/// The labels of each series by its name.
pub struct Catalogue(BTreeMap<String, Vec<String>>);

impl Catalogue {
    pub fn load() -> Self {
        let mut series = BTreeMap::new();
        for (name, kind, labels) in METRICS {
            let labels: Vec<_> = labels.iter().map(|label| (*label).to_owned()).collect();
            let suffixes: &[&str] = match kind {
                Gauge => &[""],
                Counter => &["_total"],
                Histogram => &["_bucket", "_sum", "_count"],
            };
            for suffix in suffixes {
                let own = (*suffix == "_bucket").then(|| "le".to_owned());
                series.insert(format!("{name}{suffix}"), labels.iter().cloned().chain(own).collect());
            }
        }
        Self(series)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What a query names that is not there.
    pub fn missing(&self, names: &Names, recorded: &[String]) -> Vec<String> {
        let mut missing = Vec::new();
        // Those that Prometheus gives to each series.
        let mut known = vec!["job".to_owned(), "instance".to_owned()];
        for selector in &names.selectors {
            if recorded.contains(&selector.metric) {
                continue;
            }
            let Some(labels) = self.0.get(&selector.metric) else {
                missing.push(selector.metric.clone());
                continue;
            };
            let is_there = |label: &String| labels.contains(label) || ["job", "instance"].contains(&label.as_str());
            let wrong = selector.labels.iter().filter(|label| !is_there(label));
            missing.extend(wrong.map(|label| format!("{}{{{label}}}", selector.metric)));
            known.extend(labels.iter().cloned());
        }
        missing
            .extend(names.grouping.iter().filter(|label| !known.contains(label)).map(|label| format!("by ({label})")));
        missing
    }
}
