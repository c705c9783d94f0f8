//! The spans of what reaches out: to buckets, to issuers; and of what nobody asked for.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use presign_gateway::admin::{NewJwtIssuer, NewVerification};
use presign_gateway::domain::caller::{Scope, Scopes};
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::domain::jwt_issuer::{JwksUrl, JwtAlgorithm};
use reqwest::Method;
use serde_json::json;

use super::traces::assert_all_known;
use super::{Watched, stack};
use crate::support::collector::{Collector, Kept, Span};
use crate::support::jwks_server::{Publish, Publisher};
use crate::support::tokens::{self, IssuerKey};
use crate::v1::id_in;

#[tokio::test]
async fn calls_to_a_bucket_are_within_the_request_that_makes_them() {
    let watched = Watched::start(&[]).await;
    let (stack, collector) = (&watched.stack, &watched.collector);
    let issued = watched.presign().await;
    let id = id_in(issued.object_key());
    let complete = async || {
        let call = watched.call(Method::POST, &format!("/v1/uploads/{id}/complete"));
        call.bearer(&stack.demo.alpha.api_key).json(&json!({})).send().await
    };
    let too_early = complete().await;
    too_early.assert_error(409, "not_arrived");
    stack.client.put(issued.url()).body("x").send().await.unwrap();
    let completed = complete().await;
    completed.data(200);
    let call = watched.call(Method::DELETE, &format!("/v1/uploads/{id}")).bearer(&stack.demo.alpha.api_key);
    let deleted = call.send().await;
    assert!(deleted.status.is_success(), "{}", deleted.text);

    let route = "/v1/uploads/{id}/complete";
    for (answer, name, called) in [
        (&too_early, format!("POST {route}"), "HeadObject"),
        (&completed, format!("POST {route}"), "HeadObject"),
        (&deleted, "DELETE /v1/uploads/{id}".to_owned(), "DeleteObject"),
    ] {
        let server = watched.span_of(answer).await;
        assert_eq!(server.name, name);
        let within_it = |kept: &Kept| kept.trace(&server.trace_id).into_iter().find(|span| span.name == called);
        let call = collector.find(called, within_it).await;
        assert_eq!(call.kind, SpanKind::Client);
        let said = ["rpc.system", "rpc.service", "rpc.method", "server.address"].map(|name| call.attribute(name));
        assert_eq!(said, ["aws-api", "S3", called, "127.0.0.1"]);
        let failed = std::ptr::eq(answer, &raw const too_early);
        assert_eq!(call.attribute("error.type"), if failed { "not_found" } else { "" });
    }
    assert_all_known(&collector.kept().spans);
}

#[tokio::test]
async fn jwks_fetch_is_its_own_trace_linked_to_the_request() {
    let key = IssuerKey::es256();
    let publisher = Publisher::start(Publish::Text(key.jwks())).await;
    let stack = stack().await;
    let jwks_url = JwksUrl::parse(&publisher.url(), &AllowedHosts::any()).unwrap();
    let issuer = NewJwtIssuer {
        issuer: tokens::ISSUER.to_owned(),
        audience: tokens::AUDIENCE.to_owned(),
        algorithm: JwtAlgorithm::Es256,
        verification: NewVerification::JwksUrl(jwks_url),
        leeway_seconds: 60,
        scopes: Scopes::default().with(Scope::UploadsIssue),
        scopes_claim: "scope".to_owned(),
    };
    stack.tenants.add_jwt_issuer(&stack.alpha(), issuer, &stack.keyring).await.unwrap();
    let database_url = stack.database_url.clone();
    let watched = Watched::on(stack, database_url, Collector::start(), &[]).await;
    let token = key.token(Some("first"), &tokens::claims());
    let answer = watched.call(Method::GET, "/oss/presign?ext=jpg").bearer(&token).send().await;
    answer.url();
    let server = watched.span_of(&answer).await;
    let fetch = watched.collector.find("fetch jwks", |kept| kept.named("fetch jwks").pop()).await;
    assert_eq!((fetch.kind, fetch.parent_id.as_str()), (SpanKind::Client, ""));
    assert_eq!(fetch.attribute("server.address"), "127.0.0.1");
    assert_ne!(fetch.trace_id, server.trace_id);
    let asked = fetch.links.iter().find(|link| link.trace_id == server.trace_id);
    assert!(asked.is_some(), "{fetch:#?}");
    let authenticate = watched.collector.find("authenticate", |kept| kept.child(&server, "authenticate")).await;
    assert_eq!(authenticate.attribute("presign_gateway.auth.method"), "jwt");
    assert_all_known(&watched.collector.kept().spans);

    // Keys that cannot be fetched, of a gateway that has none yet.
    publisher.set(Publish::Status(500));
    let other = super::serve(&watched.workbench, &watched.collector, &[]).await;
    let url = format!("{}/oss/presign?ext=jpg", other.url);
    watched.stack.call(Method::GET, url).bearer(&token).send().await.assert_error(503, "unavailable");
    let failed = |kept: &Kept| kept.named("fetch jwks").into_iter().find(|span| span.status == StatusCode::Error);
    let failed = watched.collector.find("a fetch that failed", failed).await;
    assert_ne!(failed.attribute("error.type"), "");
}

#[tokio::test]
async fn a_round_of_the_sweeper_is_a_trace_of_its_own() {
    let watched = Watched::start(&[("PRESIGN__UPLOADS__SWEEP_SECONDS", "1")]).await;
    watched.presign().await;
    let due =
        "UPDATE uploads SET issued_at = now() - interval '1 hour', url_expires_at = now() - interval '10 minutes',
                                  check_at = now() - interval '5 minutes'";
    sqlx::query(due).execute(&mut watched.stack.connect().await).await.unwrap();
    let collector = &watched.collector;
    let call = collector.find("a call of the sweeper", |kept| kept.named("HeadObject").pop()).await;
    let of_call = |span: &Span| (&span.trace_id, &span.id) == (&call.trace_id, &call.parent_id);
    let bucket = collector.find("its bucket", |kept| kept.spans.iter().find(|span| of_call(span)).cloned()).await;
    assert_eq!(bucket.name, "sweep bucket");
    let said = ["presign_gateway.tenant", "presign_gateway.bucket"].map(|name| bucket.attribute(name));
    assert_eq!(said, ["alpha", "default"]);
    let of_bucket = |span: &Span| (&span.trace_id, &span.id) == (&bucket.trace_id, &bucket.parent_id);
    let round = collector.find("its round", |kept| kept.spans.iter().find(|span| of_bucket(span)).cloned()).await;
    assert_eq!((round.name.as_str(), round.kind, round.parent_id.as_str()), ("sweeper round", SpanKind::Internal, ""));
    assert_all_known(&collector.kept().spans);
    let expired = [("state", "expired"), ("by", "sweeper")];
    let counted = |kept: &Kept| (kept.total("presign_gateway.uploads.settled", &expired) == Some(1.0)).then_some(());
    collector.find("it is counted", counted).await;
}
