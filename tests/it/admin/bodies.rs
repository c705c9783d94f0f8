//! Bodies that are no good, whatever the route.

use axum::body::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::Method;
use serde_json::json;

use crate::support::stack::{Answer, Setup, TestStack};

async fn post(stack: &TestStack, content_type: &str, body: &str) -> Answer {
    stack.admin(Method::POST, "/tenants").header("content-type", content_type).text(body.to_owned()).send().await
}

#[tokio::test]
async fn what_is_no_json_is_refused_with_the_place() {
    let stack = TestStack::start().await;
    for (body, place) in
        [("{", "line 1"), ("{\n\"slug\": }", "line 2"), ("{\"slug\":\"ab\"} {}", "line 1"), ("\u{0}", "line 1")]
    {
        let answer = post(&stack, "application/json", body).await;
        answer.assert_error(400, "malformed_body");
        assert!(answer.message().contains(place), "{body:?}: {}", answer.message());
    }
    for body in ["[]", "null", "7", "\"slug\"", "{\"slug\":{}}", "{\"slug\":null}"] {
        assert_eq!(post(&stack, "application/json", body).await.reason(), "invalid_field", "{body}");
    }
    post(&stack, "application/json", "{\"slug\":\"ab\",\"slug\":\"ac\"}").await.assert_field(
        400,
        "invalid_field",
        "slug",
    );
}

#[tokio::test]
async fn what_says_that_it_is_no_json_is_not_read() {
    let stack = TestStack::start().await;
    post(&stack, "application/x-www-form-urlencoded", "{\"slug\":\"ab\"}")
        .await
        .assert_error(415, "unsupported_media_type");
    post(&stack, "application/json; charset=utf-8", "{\"slug\":\"ab\"}").await.data(201);
    let merge = stack.admin(Method::PATCH, "/tenants/ab").header("content-type", "application/merge-patch+json");
    merge.text(json!({ "name": "x" }).to_string()).send().await.data(200);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_declared_or_not() {
    let stack = Setup::new().set("SERVER__MAX_BODY_BYTES", "1000").start().await;
    let long = json!({ "slug": "ab", "name": "x".repeat(1000) }).to_string();
    post(&stack, "application/json", &long).await.assert_error(413, "body_too_large");
    let frame = Ok::<_, std::io::Error>(Frame::data(Bytes::from(long)));
    let undeclared = StreamBody::new(futures_util::stream::iter([frame]));
    let chunked =
        stack.client.post(format!("{}/admin/v1/tenants", stack.ops_url)).bearer_auth(&stack.demo.operator_key);
    let chunked = chunked.header("content-type", "application/json").body(reqwest::Body::wrap(undeclared));
    assert_eq!(chunked.send().await.unwrap().status(), 413);
}

#[tokio::test]
async fn a_wrong_value_is_never_repeated() {
    let stack = TestStack::start().await;
    let body =
        json!({ "access_key_id": "ID", "secret_access_key": ["hunter2-hunter2"], "session_token": "hunter3-hunter3" });
    let path = "/tenants/alpha/buckets/default/rotate-credential";
    let answer = stack.admin(Method::POST, path).json(&body).send().await;
    answer.assert_field(400, "invalid_field", "secret_access_key");
    assert!(!answer.text.contains("hunter"), "{}", answer.text);
    for (field, wrong) in [("expires_at", json!("hunter2-hunter2")), ("scopes", json!("hunter2-hunter2"))] {
        let mut body = json!({ "tenant": "alpha", "label": "x" });
        body[field] = wrong;
        let answer = stack.admin(Method::POST, "/api-keys").json(&body).send().await;
        answer.assert_field(400, "invalid_field", field);
        assert!(!answer.text.contains("hunter"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_wrong_time_is_told_with_what_is_one() {
    let stack = TestStack::start().await;
    for wrong in [json!("noon"), json!(1), json!("2026-11-22")] {
        let body = json!({ "tenant": "alpha", "label": "x", "expires_at": wrong });
        let answer = stack.admin(Method::POST, "/api-keys").json(&body).send().await;
        answer.assert_field(400, "invalid_field", "expires_at");
        assert_eq!(answer.message(), "expires_at must be a time such as 2026-11-22T00:00:00Z", "{wrong}");
    }
    let answer = stack.admin(Method::GET, "/audit-events?from=noon").send().await;
    answer.assert_field(400, "invalid_field", "from");
    assert_eq!(answer.message(), "from must be a time such as 2026-11-22T00:00:00Z");
}

#[tokio::test]
async fn a_path_that_can_be_no_rows_is_answered_in_the_envelope() {
    let stack = TestStack::start().await;
    for path in ["/tenants/%ff", "/tenants/alpha/buckets/%ff", "/api-keys/%ff", "/tenants/alpha/jwt-issuers/%c3%28"] {
        stack.admin(Method::GET, path).send().await.assert_error(404, "not_found");
    }
    for path in ["/api-keys/%00", "/tenants/alpha/jwt-issuers/%00", "/tenants/nobody/buckets/default"] {
        assert_eq!(stack.admin(Method::GET, path).send().await.status.as_u16() / 100, 4, "{path}");
    }
}

#[tokio::test]
async fn no_body_is_as_good_as_an_empty_one() {
    let stack = TestStack::start().await;
    stack.admin(Method::POST, "/tenants/alpha/buckets/default/doctor").send().await.data(200);
    stack.admin(Method::POST, "/tenants").send().await.assert_field(400, "invalid_field", "slug");
}

#[tokio::test]
async fn a_field_name_of_any_length_is_told_in_short() {
    let stack = TestStack::start().await;
    let answer = post(&stack, "application/json", &format!("{{\"{}\":1}}", "x".repeat(50_000))).await;
    assert_eq!(answer.reason(), "unknown_field");
    assert!(answer.text.len() < 1000, "{} bytes", answer.text.len());
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    let stack = TestStack::start().await;
    let answer = stack.admin(Method::DELETE, "/tenants/alpha").send().await;
    answer.assert_error(405, "method_not_allowed");
    let allow = answer.header("allow").unwrap();
    assert!(allow.contains("GET") && allow.contains("PATCH"), "{allow}");
    stack.admin(Method::GET, "/nothing").send().await.assert_error(404, "not_found");
}
