//! Metrics, as a collector gets them; and that Prometheus gets the same.

use std::time::Duration;

use presign_gateway::admin::TenantChanges;
use presign_gateway::auth::api_key;
use presign_gateway::domain::randomness::Randomness;
use reqwest::Method;
use secrecy::ExposeSecret;

use super::{Watched, scraped, stack};
use crate::support::collector::{Collector, Kept};

const REQUEST: &[&str] =
    &["http.request.method", "http.route", "http.response.status_code", "url.scheme", "error.type"];
const DATABASE: &[&str] = &["db.system.name", "db.operation.name", "db.collection.name", "error.type"];
const POOL: &[&str] = &["db.client.connection.pool.name", "db.client.connection.state"];

/// Each metric, its unit, and the labels that it may have.
const METRICS: &[(&str, &str, &[&str])] = &[
    ("http.server.request.duration", "s", REQUEST),
    ("db.client.operation.duration", "s", DATABASE),
    ("db.client.connection.count", "", POOL),
    ("db.client.connection.max", "", POOL),
    ("presign_gateway.uploads", "", &["kind", "outcome"]),
    ("presign_gateway.uploads.settled", "", &["state", "by"]),
    ("presign_gateway.recorder.queue.depth", "", &[]),
    ("presign_gateway.recorder.queue.capacity", "", &[]),
    ("presign_gateway.recorder.queue.wait", "s", &[]),
    ("presign_gateway.recorder.batch.size", "", &[]),
    ("presign_gateway.recorder.commit.duration", "s", &["outcome"]),
    ("presign_gateway.limiter.decisions", "", &["limit", "decision", "tenant"]),
    ("presign_gateway.auth.failures", "", &["method", "reason"]),
    ("presign_gateway.cache.requests", "", &["cache", "result"]),
    ("presign_gateway.cache.entries", "", &["cache"]),
    ("presign_gateway.jwks.issuers", "", &["state"]),
    ("presign_gateway.jwks.age", "s", &["state"]),
    ("presign_gateway.jwks.fetches", "", &["outcome"]),
    ("presign_gateway.bucket.operation.duration", "s", &["operation", "error.type"]),
    ("presign_gateway.sweeper.lag", "s", &[]),
    ("presign_gateway.sweeper.round.duration", "s", &["outcome"]),
    ("presign_gateway.sweeper.rescheduled", "", &[]),
    ("presign_gateway.sweeper.abandoned", "", &[]),
    ("presign_gateway.sweeper.failing_buckets", "", &[]),
    ("presign_gateway.sealing_key.age", "s", &[]),
    ("presign_gateway.listening", "", &[]),
    ("presign_gateway.http.connections", "", &["listener"]),
    ("presign_gateway.log.suppressed", "", &["outcome"]),
    ("presign_gateway.telemetry.lost", "", &["signal"]),
    ("presign_gateway.build.info", "", &["version"]),
];

/// What was counted comes to this.
type Expected = (&'static str, Vec<(&'static str, &'static str)>, u64);

/// What some requests come to; beta was served so many times before its limit was reached.
fn expected(of_beta: u64) -> Vec<Expected> {
    let limit = "presign_gateway.limiter.decisions";
    let failures = "presign_gateway.auth.failures";
    vec![
        ("presign_gateway.uploads", vec![("kind", "origin"), ("outcome", "issued")], 3),
        ("presign_gateway.uploads", vec![("kind", "none"), ("outcome", "issued")], 1 + of_beta),
        (limit, vec![("limit", "tenant"), ("decision", "admitted"), ("tenant", "alpha")], 4),
        (limit, vec![("limit", "tenant"), ("decision", "admitted"), ("tenant", "beta")], of_beta),
        (limit, vec![("limit", "tenant"), ("decision", "refused"), ("tenant", "beta")], 2),
        (failures, vec![("method", "api_key"), ("reason", "unknown_api_key")], 2),
        (failures, vec![("method", "none"), ("reason", "missing")], 1),
        ("presign_gateway.recorder.queue.capacity", vec![], 4096),
        ("presign_gateway.listening", vec![], 1),
        ("presign_gateway.build.info", vec![("version", env!("CARGO_PKG_VERSION"))], 1),
    ]
}

/// A presign's route, as a label.
const PRESIGN: (&str, &str) = ("http.route", "/oss/presign");

/// Four presigns of alpha's, so many of beta's until it was refused twice, and some that were refused.
async fn some_requests(watched: &Watched) -> u64 {
    let presign = |query: &str, api_key: &str| {
        let path = format!("/oss/presign?{query}");
        watched.call(Method::GET, &path).bearer(api_key).send()
    };
    let demo = &watched.stack.demo;
    for _ in 0..3 {
        presign("ext=jpg&type=origin", &demo.alpha.api_key).await.url();
    }
    presign("ext=jpg", &demo.alpha.api_key).await.url();
    let (mut served, mut refused) = (0, 0);
    while refused < 2 {
        let status = presign("ext=jpg", &demo.beta.api_key).await.status.as_u16();
        assert!([200, 429].contains(&status));
        if status == 200 { served += 1 } else { refused += 1 }
    }
    for _ in 0..2 {
        let unknown = api_key::generate(&Randomness::System).text.expose_secret().to_owned();
        presign("ext=jpg", &unknown).await.assert_error(401, "unauthenticated");
    }
    watched.call(Method::GET, "/oss/presign?ext=jpg").send().await.assert_error(401, "unauthenticated");
    let made_up = Method::from_bytes(b"MADE-UP").unwrap();
    watched.call(made_up, "/made/up").send().await;
    served
}

fn assert_known(kept: &Kept) {
    for (_, name, labels) in kept.points.keys().filter(|(_, name, _)| !name.starts_with("otel.sdk.")) {
        let (_, unit, allowed) = METRICS.iter().find(|(known, ..)| known == name).unwrap_or_else(|| panic!("{name}"));
        let unknown: Vec<_> = labels.keys().filter(|label| !allowed.contains(&label.as_str())).collect();
        assert!(unknown.is_empty(), "{name} has {unknown:?}");
        assert_eq!(kept.series(name, &[])[0].1.unit, *unit, "{name}");
        assert!(labels.values().all(|value| !value.contains("MADE-UP") && !value.contains("made/up")), "{labels:?}");
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a test are small")]
fn as_number(count: u64) -> f64 {
    count as f64
}

#[tokio::test]
async fn a_collector_and_prometheus_are_told_what_happened() {
    let stack = stack().await;
    let limited = TenantChanges { rate_per_second: Some(1), burst: Some(1), ..TenantChanges::default() };
    stack.tenants.update_tenant(&stack.beta(), limited, None).await.unwrap();
    let database_url = stack.database_url.clone();
    let watched = Watched::on(stack, database_url, Collector::start(), &[]).await;
    let of_beta = some_requests(&watched).await;
    watched.collector.metrics_again(1).await;
    assert_told(&watched.collector.kept(), of_beta);
    let text = watched.scrape().await;
    for (name, labels, count) in expected(of_beta) {
        let name = name.replace('.', "_");
        let found = scraped(&text, &name, &labels).or_else(|| scraped(&text, &format!("{name}_total"), &labels));
        assert_eq!(found, Some(as_number(count)), "{name} {labels:?}");
    }
}

fn assert_told(kept: &Kept, of_beta: u64) {
    for (name, labels, count) in expected(of_beta) {
        assert_eq!(kept.total(name, &labels), Some(as_number(count)), "{name} {labels:?}");
    }
    let issued = 4 + of_beta;
    let answered =
        |status| kept.count("http.server.request.duration", &[PRESIGN, ("http.response.status_code", status)]);
    assert_eq!((answered("200"), answered("401"), answered("429")), (issued, 3, 2));
    let made_up = [("http.request.method", "_OTHER"), ("http.route", "")];
    assert_eq!(kept.count("http.server.request.duration", &made_up), 1);
    assert_eq!(kept.total("presign_gateway.recorder.batch.size", &[]), Some(as_number(issued)), "rows in all");
    let batches = kept.count("presign_gateway.recorder.batch.size", &[]);
    assert_eq!(kept.count("presign_gateway.recorder.queue.wait", &[]), batches);
    assert_eq!(kept.count("presign_gateway.recorder.commit.duration", &[("outcome", "committed")]), batches);
    let inserts = [("db.operation.name", "INSERT"), ("db.collection.name", "uploads")];
    assert_eq!(kept.count("db.client.operation.duration", &inserts), batches);
    let cache = |cache, result| {
        let labels = [("cache", cache), ("result", result)];
        kept.total("presign_gateway.cache.requests", &labels).unwrap_or_default()
    };
    // Each of the two tenants is read once, and each unknown API key whenever it comes.
    assert_eq!((cache("credentials", "miss"), cache("credentials", "hit")), (2.0, as_number(issued - 2)));
    assert_eq!((cache("api_keys", "miss"), cache("api_keys", "hit")), (4.0, as_number(issued)));
    for pool in ["general", "recorder"] {
        let pool = [("db.client.connection.pool.name", pool)];
        assert!(kept.total("db.client.connection.count", &pool).is_some(), "{pool:?}");
        assert!(kept.total("db.client.connection.max", &pool).unwrap() >= 1.0);
    }
    let duration = kept.series("http.server.request.duration", &[PRESIGN])[0].1;
    assert!(duration.bounds.first().is_some_and(|first| *first <= 0.005), "seconds: {:?}", duration.bounds);
    assert_known(kept);
}

#[tokio::test]
async fn no_signal_is_sent_that_is_not_wanted() {
    let none = [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "none")];
    let watched = Watched::start(&none).await;
    let answer = watched.presign().await;
    assert_eq!(watched.recorded_trace_id(&answer).await, None, "a trace that nobody can look at");
    let collector = &watched.collector;
    let labels = [("outcome", "issued")];
    let told = |kept: &Kept| kept.total("presign_gateway.uploads", &labels).filter(|count| *count >= 1.0);
    collector.find_within(Duration::from_secs(20), "metrics", told).await;
    let (_stack, collector) = watched.stop().await;
    let kept = collector.kept();
    assert!(kept.spans.is_empty() && kept.logs.is_empty(), "{:?} {:?}", kept.spans, kept.logs);
}
