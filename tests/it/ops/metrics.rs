//! `/metrics` of the operators' listener, after requests whose number is known.

use std::time::Duration;

use presign_gateway::admin::TenantChanges;
use presign_gateway::domain::jwt_issuer::JwtAlgorithm;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::oss::jwt::published;
use crate::support::eventually;
use crate::support::jwks_server::{Publish, Publisher};
use crate::support::postgres;
use crate::support::proxy::Proxy;
use crate::support::scrape::Scrape;
use crate::support::stack::{Setup, TestStack};
use crate::support::tokens::{IssuerKey, claims};

const REQUESTS: &str = "http_server_request_duration_seconds_count";
const UPLOADS: &str = "presign_gateway_uploads_total";
const DECISIONS: &str = "presign_gateway_limiter_decisions_total";
const CACHE: &str = "presign_gateway_cache_requests_total";
const SETTLED: &str = "presign_gateway_uploads_settled_total";

/// One that keeps in memory what it has read, as an operator's does.
fn remembering() -> Setup {
    Setup::new().set("AUTH__CACHE_SECONDS", "30").set("VAULT__CACHE_SECONDS", "30")
}

#[tokio::test]
async fn each_request_is_counted_once_by_what_came_of_it() {
    let stack = remembering().start().await;
    for _ in 0..3 {
        stack.presign("ext=jpg&type=origin").await.url();
    }
    stack.presign("ext=mp4&type=video").await.url();
    stack.presign("ext=exe").await.assert_error(400, "invalid_ext");
    stack.presign_as("pgw_nobody_nothing").await.assert_error(401, "unauthenticated");
    stack.get("/oss/presign?ext=jpg").send().await.assert_error(401, "unauthenticated");

    let scrape = Scrape::of(&stack).await;
    let status =
        |status| scrape.count(REQUESTS, &[("http_route", "/oss/presign"), ("http_response_status_code", status)]);
    assert_eq!([status("200"), status("400"), status("401")], [4, 1, 2]);
    let issued = |kind| scrape.count(UPLOADS, &[("kind", kind), ("outcome", "issued")]);
    assert_eq!([issued("origin"), issued("video"), issued("thumb")], [3, 1, 0]);
    let admitted = [("limit", "tenant"), ("tenant", "alpha"), ("decision", "admitted")];
    assert_eq!(scrape.value(DECISIONS, &admitted), Some(5));
    let failed = |reason| scrape.count("presign_gateway_auth_failures_total", &[("reason", reason)]);
    assert_eq!([failed("missing"), failed("malformed")], [1, 1]);
    for cache in ["api_keys", "tenants", "credentials"] {
        let result = |result| scrape.count(CACHE, &[("cache", cache), ("result", result)]);
        assert_eq!(result("miss"), 1, "{cache}");
        assert_eq!(result("hit"), if cache == "credentials" { 3 } else { 4 }, "{cache}");
    }
    assert_eq!(scrape.count("presign_gateway_recorder_batch_size_sum", &[]), 4, "rows");
    let committed = [("outcome", "committed")];
    assert_eq!(scrape.count("presign_gateway_recorder_commit_duration_seconds_count", &committed), 4, "one by one");
    assert_eq!(scrape.count("presign_gateway_recorder_queue_wait_seconds_count", &[]), 4);
    let inserts = [("db_operation_name", "INSERT"), ("db_collection_name", "uploads")];
    assert_eq!(scrape.count("db_client_operation_duration_seconds_count", &inserts), 4);
}

#[tokio::test]
async fn what_callers_make_up_makes_no_label() {
    let stack = TestStack::start().await;
    for invented in ["/made/up/path", "/v1/uploads/not-an-id", "/oss/presign?ext=invented"] {
        let method = Method::from_bytes(b"INVENTED").unwrap();
        stack.get(invented).method(method).send().await;
        stack.get(invented).bearer("pgw_invented_invented").send().await;
    }
    let scrape = Scrape::of(&stack).await;
    assert!(scrape.count(REQUESTS, &[("http_request_method", "_OTHER")]) >= 3);
    let all: Vec<_> = scrape.names().into_iter().flat_map(|name| scrape.samples(name).collect::<Vec<_>>()).collect();
    let requests: Vec<_> = scrape.samples(REQUESTS).chain(all).collect();
    for sample in requests {
        assert!(!["made", "not-an-id", "INVENTED", "invented"].iter().any(|word| sample.contains(word)), "{sample}");
    }
}

#[tokio::test]
async fn tenants_over_the_label_limit_share_one_label() {
    let stack = Setup::new().set("TELEMETRY__TENANT_LABELS", "1").start().await;
    stack.presign("ext=jpg").await.url();
    stack.presign_as(&stack.demo.beta.api_key).await.url();
    stack.presign("ext=jpg").await.url();
    let scrape = Scrape::of(&stack).await;
    let admitted = |tenant| scrape.count(DECISIONS, &[("tenant", tenant), ("decision", "admitted")]);
    assert_eq!([admitted("alpha"), admitted("beta"), admitted("_other")], [2, 0, 1]);
}

#[tokio::test]
async fn a_tenant_over_its_limit_is_seen_by_name() {
    let stack = remembering().start().await;
    let limit = TenantChanges { rate_per_second: Some(1), burst: Some(1), ..TenantChanges::default() };
    stack.change_alpha(limit).await;
    stack.presign("ext=jpg").await.url();
    stack.presign("ext=jpg").await.assert_error(429, "rate_limited");
    let scrape = Scrape::of(&stack).await;
    let decided = |decision| scrape.value(DECISIONS, &[("tenant", "alpha"), ("decision", decision)]);
    assert_eq!((decided("admitted"), decided("refused")), (Some(1), Some(1)));
}

#[tokio::test]
async fn unreachable_database_shows_in_metrics() {
    let direct = postgres::fresh_database().await;
    let proxy = Proxy::to(&direct).await;
    let stack = remembering().database(&direct, proxy.url(&direct)).start().await;
    stack.presign("ext=jpg&type=thumb").await.url();
    proxy.cut();
    stack.presign("ext=jpg&type=thumb").await.assert_error(503, "unavailable");

    let scrape = Scrape::of(&stack).await;
    let failed = [("http_response_status_code", "503"), ("error_type", "unavailable")];
    assert_eq!(scrape.count(REQUESTS, &failed), 1);
    assert_eq!(scrape.count(UPLOADS, &[("kind", "thumb"), ("outcome", "not_committed")]), 1);
    assert_eq!(scrape.count("presign_gateway_recorder_commit_duration_seconds_count", &[("outcome", "failed")]), 1);
    let inserts = [("db_operation_name", "INSERT"), ("error_type", "unavailable")];
    assert_eq!(scrape.count("db_client_operation_duration_seconds_count", &inserts), 1);
}

#[tokio::test]
async fn a_request_whose_client_does_not_wait_is_counted_all_the_same() {
    let direct = postgres::fresh_database().await;
    let proxy = Proxy::to(&direct).await;
    let stack = remembering().database(&direct, proxy.url(&direct)).start().await;
    stack.presign("ext=jpg").await.url();
    proxy.freeze();
    let impatient =
        stack.client.get(format!("{}/oss/presign?ext=jpg", stack.url)).bearer_auth(&stack.demo.alpha.api_key);
    impatient.timeout(Duration::from_millis(200)).send().await.unwrap_err();
    let cancelled = [("http_route", "/oss/presign"), ("error_type", "cancelled")];
    eventually("it is counted", async || (Scrape::of(&stack).await.count(REQUESTS, &cancelled) == 1).then_some(()))
        .await;
}

#[tokio::test]
async fn the_same_request_again_issues_nothing_new() {
    let stack = TestStack::start().await;
    for _ in 0..2 {
        let asked = stack.post("/v1/uploads").header("idempotency-key", "one-of-mine");
        asked.json(&json!({ "ext": "jpg" })).send().await.data(201);
    }
    let scrape = Scrape::of(&stack).await;
    let outcome = |outcome| scrape.count(UPLOADS, &[("kind", "none"), ("outcome", outcome)]);
    assert_eq!((outcome("issued"), outcome("replayed")), (1, 1));
    assert_eq!(
        scrape.value::<u64>(UPLOADS, &[("outcome", "credential_sealed")]),
        Some(0),
        "there before the first one"
    );
}

#[tokio::test]
async fn keys_of_an_issuer_are_seen_to_be_fetched_and_to_fail() {
    let key = IssuerKey::es256();
    let publisher = Publisher::start(Publish::Text(key.jwks())).await;
    let stack = published::stack(JwtAlgorithm::Es256, &publisher, &[]).await;
    stack.presign_as(&key.token(Some("first"), &claims())).await.url();
    let scrape = Scrape::of(&stack).await;
    let issuers = |scrape: &Scrape, state| scrape.count("presign_gateway_jwks_issuers", &[("state", state)]);
    let fetches =
        |scrape: &Scrape, outcome| scrape.count("presign_gateway_jwks_fetches_total", &[("outcome", outcome)]);
    assert_eq!((issuers(&scrape, "fresh"), fetches(&scrape, "fetched")), (1, 1));

    publisher.set(Publish::Text("no keys at all".to_owned()));
    stack.presign_as(&key.token(Some("second"), &claims())).await.assert_error(503, "unavailable");
    let scrape = Scrape::of(&stack).await;
    assert_eq!((issuers(&scrape, "failing"), issuers(&scrape, "fresh")), (1, 0));
    assert_eq!(fetches(&scrape, "failed"), 1);
    assert!(scrape.value::<f64>("presign_gateway_jwks_age_seconds", &[("state", "failing")]).unwrap() > 0.0);
}

#[tokio::test]
async fn what_becomes_of_uploads_is_counted_when_it_is_found_out() {
    let stack = TestStack::start().await;
    let issued = stack.issue(&json!({ "ext": "jpg" })).await;
    let issued = issued.data(201);
    let (id, url) = (issued["id"].as_str().unwrap(), issued["url"].as_str().unwrap());
    let put = issued["headers"]
        .as_object()
        .unwrap()
        .iter()
        .fold(stack.client.put(url), |put, (name, value)| put.header(name, value.as_str().unwrap()));
    assert_eq!(put.body("a picture").send().await.unwrap().status(), 200);
    for _ in 0..2 {
        stack.post(&format!("/v1/uploads/{id}/complete")).json(&json!({})).send().await.data(200);
    }
    stack
        .get(&format!("/v1/uploads/{id}"))
        .method(Method::DELETE)
        .bearer(&stack.demo.alpha.api_key)
        .send()
        .await
        .data(200);
    let scrape = Scrape::of(&stack).await;
    assert_eq!(scrape.value(SETTLED, &[("state", "uploaded"), ("by", "complete")]), Some(1), "not the second time");
    assert_eq!(scrape.value(SETTLED, &[("state", "deleted"), ("by", "delete")]), Some(1));
    let calls = |operation| {
        scrape.count("presign_gateway_bucket_operation_duration_seconds_count", &[("operation", operation)])
    };
    assert_eq!((calls("HeadObject"), calls("DeleteObject")), (2, 1));
}

#[tokio::test]
async fn each_of_a_batch_is_counted() {
    let stack = TestStack::start().await;
    let batch = json!({ "uploads": [{ "ext": "jpg" }, { "ext": "jpg", "type": "thumb" }, { "ext": "png" }] });
    stack.post("/v1/uploads/batch").json(&batch).send().await;
    let scrape = Scrape::of(&stack).await;
    let issued = |kind| scrape.count(UPLOADS, &[("kind", kind), ("outcome", "issued")]);
    assert_eq!((issued("none"), issued("thumb")), (2, 1));
    assert_eq!(scrape.count(DECISIONS, &[("tenant", "alpha"), ("decision", "admitted")]), 1, "one request");
}

#[tokio::test]
async fn under_load_lines_are_left_out_and_counted() {
    let stack = Setup::new().set("TELEMETRY__REQUEST_LINES_PER_SECOND", "1").start().await;
    for _ in 0..20 {
        stack.get("/livez").send().await;
    }
    let left_out = Scrape::of(&stack).await.count("presign_gateway_log_suppressed_total", &[("outcome", "success")]);
    assert!((1..20).contains(&left_out), "{left_out}");
    assert_eq!(
        Scrape::of(&stack).await.count("presign_gateway_log_suppressed_total", &[("outcome", "client_error")]),
        0
    );
}

#[tokio::test]
async fn metrics_can_be_turned_off() {
    let stack = Setup::new().set("TELEMETRY__METRICS", "false").start().await;
    stack.presign("ext=jpg").await.url();
    assert_eq!(stack.client.get(format!("{}/metrics", stack.ops_url)).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn every_metric_is_in_the_documentation() {
    let stack = TestStack::start().await;
    stack.presign("ext=jpg").await.url();
    let scrape = Scrape::of(&stack).await;
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let documented = std::fs::read_to_string(file).unwrap();
    assert!(scrape.names().len() >= 20, "{:?}", scrape.names());
    for name in scrape.names() {
        assert!(documented.contains(&format!("`{name}`")), "docs/metrics.md lacks {name}");
    }
}

#[tokio::test]
async fn the_age_of_the_sealing_key_is_known_by_the_date_in_its_id() {
    let stack = TestStack::start().await;
    let age = |scrape: &Scrape| scrape.value::<f64>("presign_gateway_sealing_key_age_seconds", &[]);
    assert_eq!(age(&Scrape::of(&stack).await), None, "its id is no date");
    for id in ["k20260101:", "k20260101-0a1b2c:"] {
        let dated = stack.sealing_key.expose_secret().replacen("test:", id, 1);
        let another = stack.another(&[("VAULT__KEYS", &dated)]).await;
        assert!(age(&Scrape::at(&stack, &another.ops_url).await).unwrap() > 86_400.0, "{id}");
    }
}
