//! Promise 3, of all that is exported.

use presign_gateway::auth::api_key;
use presign_gateway::domain::randomness::Randomness;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::json;

use super::{Watched, request_id, stack};
use crate::support::canary;
use crate::support::collector::Collector;
use crate::support::proxy::Proxy;
use crate::v1::id_in;

/// Requests with everything that must not be told, in all the places where a caller could put it.
async fn requests_with_secrets(watched: &Watched) {
    let demo = &watched.stack.demo;
    let issued = watched.presign().await;
    let id = id_in(issued.object_key());
    let unknown = api_key::generate(&Randomness::System).text.expose_secret().to_owned();
    canary::watch(&unknown);
    let nearly = format!("{}x", &watched.stack.token[..watched.stack.token.len() - 1]);
    canary::watch(&nearly);
    for credential in [&watched.stack.token, &unknown, &nearly, &demo.operator_key] {
        watched.call(Method::GET, "/oss/presign?ext=jpg").bearer(credential).send().await;
        watched.call(Method::GET, &format!("/oss/presign?ext=jpg&api_key={credential}")).send().await;
        watched.call(Method::GET, &format!("/{credential}/x?token={credential}")).send().await;
        watched.call(Method::GET, "/oss/presign?ext=jpg").header("x-api-key", credential).send().await;
        watched
            .call(Method::GET, "/livez")
            .header("traceparent", credential)
            .header("tracestate", credential)
            .send()
            .await;
        watched.call(Method::GET, "/livez").header("x-request-id", &format!("{credential}{credential}")).send().await;
        watched.call(Method::GET, "/livez").header("x-request-id", credential).send().await;
        let body = json!({ "ext": credential, credential.as_str(): 1 });
        watched.call(Method::POST, "/v1/uploads").bearer(&demo.alpha.api_key).json(&body).send().await;
    }
    let asked = json!({ "ext": "jpg", "size": 1, "metadata": { "color": "blue" } });
    watched.call(Method::POST, "/v1/uploads").bearer(&demo.alpha.api_key).json(&asked).send().await;
    watched.stack.client.put(issued.url()).body("x").send().await.unwrap();
    for (method, path) in [
        (Method::POST, format!("/v1/uploads/{id}/complete")),
        (Method::GET, format!("/v1/uploads/{id}/download")),
        (Method::GET, format!("/v1/uploads/{id}/url")),
        (Method::DELETE, format!("/v1/uploads/{id}")),
    ] {
        let call = watched.call(method.clone(), &path).bearer(&demo.alpha.api_key);
        if method == Method::POST { call.json(&json!({})) } else { call }.send().await;
    }
    let url = format!("{}/admin/v1/tenants/alpha/buckets", watched.server.ops_url);
    let bucket = json!({
        "alias": "other", "endpoint": watched.stack.s3_url, "region": "us-east-1", "bucket": "no-such-bucket",
        "access_key_id": "AKID", "secret_access_key": "a-canary-among-the-secrets",
    });
    canary::watch("a-canary-among-the-secrets");
    watched.stack.call(Method::POST, url).bearer(&demo.operator_key).json(&bucket).send().await;
}

#[tokio::test]
async fn no_secret_is_in_anything_that_is_exported() {
    let stack = stack().await;
    let proxy = Proxy::to(&stack.database_url).await;
    let by_proxy = proxy.url(&stack.database_url);
    let database: url::Url = by_proxy.expose_secret().parse().unwrap();
    canary::watch(database.password().unwrap());
    canary::watch("the-collectors-own-token");
    let settings = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=the-collectors-own-token"),
        ("PRESIGN__TELEMETRY__TRUSTED_CALLERS", "127.0.0.1"),
        ("PRESIGN__TELEMETRY__REQUEST_LINES_PER_SECOND", "0"),
        ("PRESIGN__DATABASE__ACQUIRE_TIMEOUT_MS", "2000"),
        ("PRESIGN__AUTH__FAILURES_BURST", "1000"),
    ];
    let watched = Watched::on(stack, by_proxy, Collector::start(), &settings).await;
    requests_with_secrets(&watched).await;
    // Errors of the database, too.
    proxy.cut();
    let failed = watched.presigning().send().await;
    failed.assert_error(503, "unavailable");
    watched.span_of(&failed).await;
    watched.collector.metrics_again(1).await;
    let scraped = watched.scrape().await;
    assert_eq!(canary::find(&scraped), None);
    let id = request_id(&failed).to_owned();
    let (stack, collector) = watched.stop().await;
    let kept = collector.kept();
    assert!(kept.server_span(&id).is_some() && kept.logs.len() > 20 && !kept.points.is_empty(), "all was looked at");
    let token = ("grpc", "authorization".to_owned(), "the-collectors-own-token".to_owned());
    assert!(kept.headers.contains(&token), "it was used");
    drop(kept);
    assert_eq!(collector.secret(), None);
    assert_eq!(canary::find("a text with pgw_ in it").as_deref(), Some("pgw_"), "and it would have been found");
    drop(stack);
}
