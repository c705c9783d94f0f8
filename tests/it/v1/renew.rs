//! `GET /v1/uploads/{id}/url`.

use presign_gateway::admin::NewApiKey;
use presign_gateway::domain::caller::{Scope, Scopes};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::support::stack::{Answer, TestStack};

async fn renew(stack: &TestStack, id: &str) -> Answer {
    stack.get(&format!("/v1/uploads/{id}/url")).bearer(&stack.demo.alpha.api_key).send().await
}

async fn set(stack: &TestStack, assignments: &str) {
    let statement = format!("UPDATE uploads SET {assignments}");
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut stack.connect().await).await.unwrap();
}

#[tokio::test]
async fn missing_upload_is_re_signed_with_the_same_bindings() {
    let stack = TestStack::start().await;
    let asked = json!({"ext": "png", "size": 3, "write_once": true, "width": 5, "metadata": {"album": "summer"}});
    let first = stack.issue(&asked).await.data(201).clone();
    let id = first["id"].as_str().unwrap();
    set(
        &stack,
        "state = 'expired', issued_at = now() - interval '2 hours', url_expires_at = now() - interval '1 hour'",
    )
    .await;
    let again = renew(&stack, id).await.data(200).clone();
    for field in ["id", "key", "method", "headers"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    let url = again["url"].as_str().unwrap();
    assert!(url.contains("x-amz-meta-album=summer") && url.contains("x-amz-meta-width=5"), "{url}");
    let put = |body: &'static str| {
        let request = stack.client.put(url).header("content-type", "image/png").header("if-none-match", "*");
        async move { request.body(body).send().await.unwrap().status().as_u16() }
    };
    assert_eq!((put("four").await, put("abc").await), (403, 200));
    let (state, lives): (String, bool) = sqlx::query_as("SELECT state, url_expires_at > now() FROM uploads")
        .fetch_one(&mut stack.connect().await)
        .await
        .unwrap();
    assert_eq!((state.as_str(), lives), ("issued", true));
}

#[tokio::test]
async fn one_that_has_arrived_or_was_deleted_is_not() {
    let stack = TestStack::start().await;
    let id = stack.issue(&json!({"ext": "png"})).await.data(201)["id"].as_str().unwrap().to_owned();
    for (state, reason) in
        [("uploaded", "already_arrived"), ("mismatched", "already_arrived"), ("deleted", "upload_deleted")]
    {
        set(&stack, &format!("state = '{state}'")).await;
        renew(&stack, &id).await.assert_error(409, reason);
    }
}

#[tokio::test]
async fn a_caller_that_may_not_read_reaches_its_own_uploads_only() {
    let stack = TestStack::start().await;
    let scopes = Scopes::default().with(Scope::UploadsIssue);
    let new = NewApiKey { tenant: Some(stack.alpha()), label: "issuer".to_owned(), scopes, expires_at: None };
    let (_, issuer) = stack.tenants.create_api_key(new).await.unwrap();
    let issuer = issuer.expose_secret();
    let others = stack.issue(&json!({"ext": "png"})).await.data(201)["id"].as_str().unwrap().to_owned();
    let url = |id: &str| stack.get(&format!("/v1/uploads/{id}/url")).bearer(issuer).send();
    url(&others).await.assert_error(404, "resource_not_found");
    let own = stack.get("/oss/presign?ext=png").bearer(issuer).send().await;
    let id = own.object_key().rsplit('/').next().unwrap().trim_end_matches(".png").to_owned();
    url(&id).await.data(200);
}

#[tokio::test]
async fn head_signs_nothing_and_begins_no_export() {
    let stack = TestStack::start().await;
    let id = stack.issue(&json!({"ext": "png"})).await.data(201)["id"].as_str().unwrap().to_owned();
    let life = || async {
        let query = sqlx::query_scalar::<_, String>("SELECT url_expires_at::text FROM uploads");
        query.fetch_one(&mut stack.connect().await).await.unwrap()
    };
    let before = life().await;
    for path in [format!("/v1/uploads/{id}/url"), format!("/v1/uploads/{id}/download"), "/v1/uploads/export".to_owned()]
    {
        let answer = stack.get(&path).method(Method::HEAD).bearer(&stack.demo.alpha.api_key).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("GET")), "{path}");
    }
    assert_eq!(life().await, before);
}
