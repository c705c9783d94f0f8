//! The spans of requests.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use presign_gateway::admin::TenantChanges;
use presign_gateway::auth::api_key;
use presign_gateway::domain::randomness::Randomness;
use reqwest::Method;
use secrecy::ExposeSecret;

use super::{Watched, request_id, stack};
use crate::support::collector::{Collector, Kept, Span};
use crate::support::eventually;
use crate::support::proxy::Proxy;

const SERVER: &[&str] = &[
    "client.address",
    "error.type",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "network.protocol.version",
    "presign_gateway.reason",
    "presign_gateway.request_id",
    "presign_gateway.tenant",
    "url.path",
    "url.scheme",
];
const DATABASE: &[&str] = &["db.collection.name", "db.operation.name", "db.system.name", "error.type"];
const BUCKET: &[&str] = &["error.type", "rpc.method", "rpc.service", "rpc.system", "server.address"];

/// What a span may say of itself, by its name and kind.
fn allowed(span: &Span) -> &'static [&'static str] {
    match (span.kind, span.name.as_str()) {
        (SpanKind::Server, _) => SERVER,
        (SpanKind::Client, "HeadObject" | "DeleteObject" | "HeadBucket") => BUCKET,
        (SpanKind::Client, "fetch jwks") => &["error.type", "server.address"],
        (SpanKind::Client, name) if name.starts_with(|first: char| first.is_ascii_uppercase()) => DATABASE,
        (SpanKind::Internal, "authenticate") => &["presign_gateway.auth.method", "presign_gateway.auth.refusal"],
        (SpanKind::Internal, "limit") => &["presign_gateway.limit.decision"],
        (SpanKind::Internal, "credential" | "sign" | "record" | "record wait" | "record commit" | "sweeper round") => {
            &[]
        }
        (SpanKind::Internal, "record batch") => &["presign_gateway.recorder.rows"],
        (SpanKind::Internal, "sweep bucket") => &["presign_gateway.bucket", "presign_gateway.tenant"],
        (kind, name) => panic!("a span that nobody knows: {name} ({kind:?})"),
    }
}

/// No span and no attribute but those that are known.
pub fn assert_all_known(spans: &[Span]) {
    for span in spans {
        let allowed = allowed(span);
        let unknown: Vec<_> = span.attribute_names().into_iter().filter(|name| !allowed.contains(name)).collect();
        assert!(unknown.is_empty(), "{} has {unknown:?}", span.name);
        assert!(span.ended >= span.started, "{span:?}");
    }
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

fn within(inner: &Span, outer: &Span) -> bool {
    inner.started >= outer.started && inner.ended <= outer.ended
}

/// The parts of an issued upload, in order; each begins when the one before has ended, and all are within their parent.
const PARTS: [&str; 5] = ["authenticate", "limit", "credential", "sign", "record"];

async fn a_presign_is_one_trace(protocol: &str) {
    let watched = Watched::start(&[("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]).await;
    let collector = &watched.collector;
    let first = watched.span_of(&watched.presign().await).await;
    for (part, reads) in [("authenticate", "SELECT api_keys"), ("credential", "SELECT buckets")] {
        let read = collector.find(reads, |kept| kept.child(&kept.child(&first, part)?, reads)).await;
        assert_eq!(read.kind, SpanKind::Client);
        assert_eq!(read.attribute("db.system.name"), "postgresql");
        assert_eq!(read.attribute("db.operation.name"), "SELECT");
        assert_eq!(read.attribute("db.collection.name"), reads.trim_start_matches("SELECT "));
    }

    // By now all that it needs is in memory.
    let answer = watched.presign().await;
    let server = watched.span_of(&answer).await;
    assert_eq!((server.name.as_str(), server.kind), ("GET /oss/presign", SpanKind::Server));
    assert_eq!((server.parent_id.as_str(), server.status), ("", StatusCode::Unset));
    let said: Vec<_> = server.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("client.address", "127.0.0.1"),
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/oss/presign"),
        ("network.protocol.version", "1.1"),
        ("presign_gateway.request_id", request_id(&answer)),
        ("presign_gateway.tenant", "alpha"),
        ("url.path", "/oss/presign"),
        ("url.scheme", "http"),
    ];
    assert_eq!(said, expected);
    assert_eq!(collector.trace(&server.trace_id, 8).await.len(), 8);
    let (parts, record_parts) = {
        let kept = collector.kept();
        let parts = kept.children(&server);
        let record_parts = kept.children(parts.last().unwrap());
        (parts, record_parts)
    };
    assert_eq!(names(&parts), PARTS);
    assert_eq!(names(&record_parts), ["record wait", "record commit"]);
    for pair in parts.windows(2).chain(record_parts.windows(2)) {
        assert!(pair[0].ended <= pair[1].started, "{pair:#?}");
    }
    assert!(parts.iter().all(|part| within(part, &server)), "{parts:#?}");
    let record = &parts[4];
    assert!(record_parts.iter().all(|part| within(part, record)), "{record_parts:#?}");
    assert_eq!(parts[0].attribute("presign_gateway.auth.method"), "api_key");
    assert_eq!(parts[1].attribute("presign_gateway.limit.decision"), "admitted");

    let is_its_batch = |span: &Span| span.name == "record batch" && span.is_linked_to(record);
    let batch = collector.find("its batch", |kept| kept.spans.iter().find(|span| is_its_batch(span)).cloned()).await;
    assert_eq!((batch.kind, batch.parent_id.as_str(), batch.links.len()), (SpanKind::Internal, "", 1));
    assert_ne!(batch.trace_id, server.trace_id);
    assert_eq!(batch.attribute("presign_gateway.recorder.rows"), "1");
    let insert = collector.find("its statement", |kept| kept.child(&batch, "INSERT uploads")).await;
    assert_eq!((insert.kind, insert.attribute("db.collection.name")), (SpanKind::Client, "uploads"));
    assert!(within(&insert, &batch));
    assert_all_known(&collector.kept().spans);
    let by = if protocol == "grpc" { "grpc" } else { "http" };
    assert!(collector.kept().headers.iter().all(|(protocol, ..)| *protocol == by), "nothing comes by another way");
}

#[tokio::test]
async fn a_presign_is_one_trace_over_grpc() {
    Box::pin(a_presign_is_one_trace("grpc")).await;
}

#[tokio::test]
async fn a_presign_is_one_trace_over_http() {
    Box::pin(a_presign_is_one_trace("http/protobuf")).await;
}

#[tokio::test]
async fn requests_that_share_a_commit_are_all_linked_from_its_batch() {
    let watched = Watched::start(&[("PRESIGN__UPLOADS__RECORDER_WRITERS", "1")]).await;
    watched.presign().await;
    let answers = futures_util::future::join_all((0..24).map(|_| watched.presign())).await;
    let mut of_batches = 0;
    for answer in &answers {
        let server = watched.span_of(answer).await;
        let collector = &watched.collector;
        let record = collector.find("its record", |kept| kept.child(&server, "record")).await;
        let batches = |kept: &Kept| {
            let linked = kept.linked_to(&record);
            (!linked.is_empty()).then_some(linked)
        };
        let batches = collector.find("its batch", batches).await;
        assert_eq!(names(&batches), ["record batch"]);
        let rows: usize = batches[0].attribute("presign_gateway.recorder.rows").parse().unwrap();
        assert_eq!(rows, batches[0].links.len(), "each of them is sampled");
        of_batches = of_batches.max(rows);
    }
    assert!(of_batches > 1, "some came together");
}

/// Asserts how a request ended, as its span tells: only what is our fault is an error.
fn assert_ended(span: &Span, status: &str, reason: &str) {
    assert_eq!(span.attribute("http.response.status_code"), status);
    assert_eq!(span.attribute("presign_gateway.reason"), reason);
    assert_eq!(span.attributes.get("url.path"), None, "whatever a stranger asked for");
    if status.starts_with('5') {
        assert_eq!((span.status, span.attribute("error.type")), (StatusCode::Error, reason));
    } else {
        assert_eq!((span.status, span.attributes.get("error.type")), (StatusCode::Unset, None));
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told_and_only_our_own_faults_are_errors() {
    let stack = stack().await;
    let limited = TenantChanges { rate_per_second: Some(1), burst: Some(1), ..TenantChanges::default() };
    stack.tenants.update_tenant(&stack.beta(), limited, None).await.unwrap();
    let proxy = Proxy::to(&stack.database_url).await;
    let by_proxy = proxy.url(&stack.database_url);
    let settings = [("PRESIGN__UPLOADS__COMMIT_TIMEOUT_MS", "2000"), ("PRESIGN__DATABASE__ACQUIRE_TIMEOUT_MS", "1000")];
    let watched = Watched::on(stack, by_proxy, Collector::start(), &settings).await;
    let collector = &watched.collector;

    let missing = watched.span_of(&watched.call(Method::GET, "/nothing/here?secret=1").send().await).await;
    assert_ended(&missing, "404", "not_found");
    assert_eq!((missing.name.as_str(), missing.attributes.get("http.route")), ("GET", None));

    let made_up = Method::from_bytes(b"MADE-UP").unwrap();
    let made_up = watched.span_of(&watched.call(made_up, "/livez").send().await).await;
    assert_eq!(made_up.attribute("http.request.method"), "_OTHER", "not the stranger's own word");
    assert!(made_up.name.starts_with("HTTP"), "{}", made_up.name);

    let unknown = api_key::generate(&Randomness::System).text.expose_secret().to_owned();
    let refused = watched.call(Method::GET, "/oss/presign?ext=jpg").bearer(&unknown).send().await;
    let refused = watched.span_of(&refused).await;
    assert_ended(&refused, "401", "unauthenticated");
    let authenticate = collector.find("authenticate", |kept| kept.child(&refused, "authenticate")).await;
    assert_eq!(authenticate.attribute("presign_gateway.auth.refusal"), "unknown_api_key");
    assert_eq!(refused.attributes.get("presign_gateway.tenant"), None);

    let wrong = watched.call(Method::GET, "/oss/presign?ext=exe").bearer(&watched.stack.demo.alpha.api_key);
    let wrong = watched.span_of(&wrong.send().await).await;
    assert_ended(&wrong, "400", "invalid_ext");
    assert_eq!(wrong.attribute("presign_gateway.tenant"), "alpha");

    let of_beta = || watched.call(Method::GET, "/oss/presign?ext=jpg").bearer(&watched.stack.demo.beta.api_key).send();
    let over = async || Some(of_beta().await).filter(|answer| answer.status == 429);
    let over = watched.span_of(&eventually("beta's limit is reached", over).await).await;
    assert_ended(&over, "429", "rate_limited");
    let limit = collector.find("limit", |kept| kept.child(&over, "limit")).await;
    assert_eq!(limit.attribute("presign_gateway.limit.decision"), "refused");
    assert_eq!(names(&collector.kept().children(&over)), ["authenticate", "limit"]);

    watched.presign().await;
    proxy.cut();
    let failed = watched.presigning().send().await;
    failed.assert_error(503, "unavailable");
    let failed = watched.span_of(&failed).await;
    assert_ended(&failed, "503", "unavailable");
    let is_to_blame = |span: &&Span| span.kind == SpanKind::Client && span.status == StatusCode::Error;
    let statement = collector.find("what failed", |kept| kept.spans.iter().find(is_to_blame).cloned()).await;
    assert_ne!(statement.attribute("error.type"), "", "{statement:?}");
    assert_all_known(&collector.kept().spans);
}
