//! Who it is that speaks, and whether it speaks at all.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use reqwest::Method;

use super::{Watched, serve};
use crate::support::collector::{Attributes, Collector, Kept};

/// All that is said with each span, each metric and each line of the log.
fn resources(kept: &Kept) -> [BTreeSet<Attributes>; 3] {
    [
        kept.spans.iter().map(|span| span.resource.clone()).collect(),
        kept.metric_resources.iter().cloned().collect(),
        kept.logs.iter().map(|record| record.resource.clone()).collect(),
    ]
}

#[tokio::test]
async fn every_signal_says_of_which_process_of_which_service_it_is() {
    let watched = Watched::start(&[]).await;
    watched.presign().await;
    let named = [
        ("OTEL_SERVICE_NAME", "uploads"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,team=a%20b,service.name=not-this-one"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=one%20two,authorization=Basic%20abc"),
    ];
    let receiver = Collector::start();
    let other = serve(&watched.workbench, &receiver, &named).await;
    let url = format!("{}/oss/presign?ext=jpg", other.url);
    watched.stack.call(Method::GET, url).bearer(&watched.stack.demo.alpha.api_key).send().await.url();
    other.signal(Signal::SIGTERM);
    assert!(other.ended().await.success());
    let (_stack, collector) = watched.stop().await;

    let mut instances = BTreeSet::new();
    for (collector, name, more) in [(&collector, "presign-gateway", false), (&receiver, "uploads", true)] {
        let kept = collector.kept();
        let [of_spans, of_metrics, of_logs] = resources(&kept);
        assert_eq!(of_spans.len(), 1);
        assert_eq!((&of_spans, &of_spans), (&of_metrics, &of_logs));
        let said = of_spans.first().unwrap();
        let text = |name: &str| said.get(name).map_or("", String::as_str);
        assert_eq!((text("service.name"), text("service.version")), (name, env!("CARGO_PKG_VERSION")));
        assert!(!text("service.instance.id").is_empty());
        instances.insert(text("service.instance.id").to_owned());
        let expected = if more { ("test", "a b") } else { ("", "") };
        assert_eq!((text("deployment.environment.name"), text("team")), expected);
    }
    assert_eq!(instances.len(), 2, "each process is another");
    let sent = |name: &str, value: &str| ("http", name.to_owned(), value.to_owned());
    let headers = receiver.kept().headers.clone();
    assert!(headers.contains(&sent("x-tenant", "one two")), "{headers:?}");
    assert!(headers.contains(&sent("authorization", "Basic abc")), "{headers:?}");
}

#[tokio::test]
async fn nothing_is_sent_where_it_is_disabled() {
    let watched = Watched::start(&[("OTEL_SDK_DISABLED", "true")]).await;
    let answer = watched.presign().await;
    assert_eq!(watched.recorded_trace_id(&answer).await, None);
    let (_stack, collector) = watched.stop().await;
    assert_eq!(collector.kept().attempts, 0);
}
