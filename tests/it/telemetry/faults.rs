//! The collector away, frozen, slow, or refusing: no request is the worse for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use presign_gateway::admin::TenantChanges;
use tokio::task::JoinSet;

use super::{Watched, request_id, scraped, serve, stack};
use crate::support::collector::{Collector, Kept, Treat};
use crate::support::within;

/// No presign takes as long as this, on a machine that does much else; what waited for an export would take [`EXPORT`].
const PATIENCE: Duration = Duration::from_secs(3);
const EXPORT: Duration = Duration::from_secs(4);

/// Presigns that run side by side; each must succeed. The time that the slowest one took.
async fn presign_many(watched: &Watched, count: usize) -> Duration {
    let left = Arc::new(AtomicUsize::new(count));
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        let (client, left) = (watched.stack.client.clone(), Arc::clone(&left));
        let url = format!("{}/oss/presign?ext=jpg", watched.server.url);
        let api_key = watched.stack.demo.alpha.api_key.clone();
        clients.spawn(async move {
            let mut slowest = Duration::ZERO;
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let started = Instant::now();
                let answer = client.get(&url).bearer_auth(&api_key).timeout(PATIENCE).send().await.unwrap();
                let (status, text) = (answer.status(), answer.text().await.unwrap());
                assert_eq!(status, 200, "{text}");
                slowest = slowest.max(started.elapsed());
            }
            slowest
        });
    }
    clients.join_all().await.into_iter().max().unwrap()
}

fn dropped(scrape: &str) -> f64 {
    let full = [("error_type", "queue_full")];
    scraped(scrape, "otel_sdk_processor_span_processed_total", &full).unwrap_or_default()
}

/// A presign from now on reaches the collector.
async fn delivers_again(watched: &Watched, after: &str) {
    let told = async || {
        let answer = watched.presigning().send().await;
        answer.url();
        let arrived = |kept: &Kept| kept.server_span(request_id(&answer)).map(drop);
        let soon = tokio::time::timeout(Duration::from_secs(2), watched.collector.find("its span", arrived));
        soon.await.ok()
    };
    within(Duration::from_secs(40), &format!("it delivers again after it was {after}"), told).await;
}

impl Watched {
    /// What the collector does not take is counted.
    async fn loses(&self, when: &str) {
        let lost = async || {
            let scrape = self.scrape().await;
            let lost =
                |signal| scraped(&scrape, "presign_gateway_telemetry_lost_total", &[("signal", signal)]).unwrap();
            (lost("traces") > 0.0 && lost("logs") > 0.0).then_some(())
        };
        within(Duration::from_secs(40), &format!("what is lost {when} is counted"), lost).await;
    }
}

async fn no_request_is_the_worse_for_it(protocol: &str) {
    let stack = stack().await;
    let unlimited =
        TenantChanges { rate_per_second: Some(1_000_000), burst: Some(1_000_000), ..TenantChanges::default() };
    stack.change_alpha(unlimited).await;
    let settings = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", &EXPORT.as_millis().to_string()),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "256"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "128"),
        ("PRESIGN__TELEMETRY__LEVEL", "info"),
    ];
    let database_url = stack.database_url.clone();
    let watched = Watched::on(stack, database_url, Collector::closed(), &settings).await;
    let mut slowest = presign_many(&watched, 500).await;
    let memory = watched.server.memory_kb() / 1024;
    assert_eq!(watched.collector.kept().attempts, 0, "nobody was there");
    watched.loses("while it is away").await;
    watched.collector.open();
    delivers_again(&watched, "away from the start").await;

    for (what, treat) in
        [("frozen", Treat::Freeze), ("slow", Treat::Slow(Duration::from_millis(3500))), ("refusing", Treat::Refuse)]
    {
        let before = dropped(&watched.scrape().await);
        watched.collector.set(treat);
        slowest = slowest.max(presign_many(&watched, 600).await);
        // Far more spans than can wait; one that refuses takes them off our hands.
        let dropped = dropped(&watched.scrape().await) - before;
        if treat == Treat::Refuse {
            watched.loses(what).await;
        } else {
            assert!(dropped > 0.0, "{what}: what is dropped is counted");
        }
        watched.collector.set(Treat::Keep);
        delivers_again(&watched, what).await;
    }
    watched.collector.close().await;
    slowest = slowest.max(presign_many(&watched, 500).await);
    watched.collector.open();
    delivers_again(&watched, "killed").await;
    assert!(slowest < PATIENCE, "{slowest:?}");
    let now = watched.server.memory_kb() / 1024;
    assert!(now < memory + 64, "{memory} MB, then {now}");
    let issued = scraped(&watched.scrape().await, "presign_gateway_uploads_total", &[("outcome", "issued")]).unwrap();
    assert!(issued >= 2800.0, "{issued}");
    watched.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_fails_over_grpc_costs_no_request_anything() {
    no_request_is_the_worse_for_it("grpc").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_fails_over_http_costs_no_request_anything() {
    no_request_is_the_worse_for_it("http/protobuf").await;
}

#[tokio::test]
async fn shutdown_flushes_and_a_frozen_collector_blocks_nothing() {
    // Nothing would be sent by itself within the time of a test.
    let lazy = [
        ("OTEL_BSP_SCHEDULE_DELAY", "600000"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "600000"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "600000"),
    ];
    let watched = Watched::start(&lazy).await;
    let frozen = Collector::start();
    frozen.set(Treat::Freeze);
    for protocol in ["grpc", "http/protobuf"] {
        let settings = [&lazy[..], &[("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]].concat();
        let other = serve(&watched.workbench, &frozen, &settings).await;
        let url = format!("{}/oss/presign?ext=jpg", other.url);
        watched.stack.call(reqwest::Method::GET, url).bearer(&watched.stack.demo.alpha.api_key).send().await.url();
        let told = Instant::now();
        other.signal(Signal::SIGTERM);
        assert!(other.ended().await.success());
        // Five seconds for telemetry; the rest is for a slow machine.
        assert!(told.elapsed() < Duration::from_secs(9), "{protocol}: {:?}", told.elapsed());
    }
    assert!(frozen.kept().attempts > 0, "it was tried");

    let answer = watched.presign().await;
    let id = request_id(&answer).to_owned();
    assert_eq!(watched.collector.kept().spans.len(), 0);
    let (_stack, collector) = watched.stop().await;
    let kept = collector.kept();
    let server = kept.server_span(&id).unwrap();
    assert!(kept.child(&server, "record").is_some());
    assert!(kept.logged("stopped").len() == 1, "the last word, too");
    let issued = [("outcome", "issued")];
    assert_eq!(kept.total("presign_gateway.uploads", &issued), Some(1.0));
}
