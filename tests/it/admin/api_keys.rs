//! `/admin/v1/api-keys`.

use chrono::{DateTime, TimeDelta, Utc};
use presign_gateway::domain::clock::Clock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::canary;
use crate::support::stack::{Answer, TestStack};

async fn create(stack: &TestStack, body: Value) -> Answer {
    let answer = stack.admin(Method::POST, "/api-keys").json(&body).send().await;
    if let Some(text) = answer.body["data"]["api_key"].as_str() {
        canary::watch(text);
    }
    answer
}

async fn act(stack: &TestStack, public_id: &Value, action: &str, body: Value) -> Answer {
    let path = format!("/api-keys/{}/{action}", public_id.as_str().unwrap());
    stack.admin(Method::POST, &path).json(&body).send().await
}

async fn patch(stack: &TestStack, public_id: &Value, body: Value) -> Answer {
    stack.admin(Method::PATCH, &format!("/api-keys/{}", public_id.as_str().unwrap())).json(&body).send().await
}

/// The public id of the demo's operator key.
fn own_id(stack: &TestStack) -> Value {
    json!(stack.demo.operator_key.split('_').nth(1).unwrap())
}

#[tokio::test]
async fn an_api_key_is_shown_once_and_works_until_it_is_revoked() {
    let stack = TestStack::start().await;
    let created = create(&stack, json!({ "tenant": "alpha", "label": "iOS app" })).await;
    let row = created.data(201).clone();
    let text = row["api_key"].as_str().unwrap();
    assert_eq!(
        created.header("location").unwrap(),
        format!("/admin/v1/api-keys/{}", row["public_id"].as_str().unwrap())
    );
    assert_eq!(row["scopes"], json!(["uploads:issue", "uploads:read"]));
    stack.presign_as(text).await.url();

    let found = stack.admin(Method::GET, &format!("/api-keys/{}", row["public_id"].as_str().unwrap())).send().await;
    assert_eq!(found.data(200)["label"], "iOS app");
    let listed = stack.admin(Method::GET, "/api-keys?tenant=alpha").send().await;
    assert_eq!(listed.data(200)["items"].as_array().unwrap().len(), 2, "with the demo's");
    for answer in [&found, &listed] {
        assert!(!answer.text.contains(text) && !answer.text.contains("sha256"), "{}", answer.text);
    }
    let revoked = act(&stack, &row["public_id"], "revoke", json!({})).await;
    assert!(revoked.data(200)["revoked_at"].is_string());
    stack.presign_as(text).await.assert_error(401, "unauthenticated");
    let again = act(&stack, &row["public_id"], "revoke", json!({})).await;
    assert_eq!(again.data(200), revoked.data(200), "the first time counts");
    patch(&stack, &row["public_id"], json!({ "label": "x" })).await.assert_error(409, "conflict");
    act(&stack, &row["public_id"], "rotate", json!({})).await.assert_error(409, "conflict");
}

#[tokio::test]
async fn rotated_api_key_works_until_the_overlap_ends() {
    let stack = TestStack::start().await;
    let created = create(&stack, json!({ "tenant": "alpha", "label": "web", "scopes": ["uploads:issue"] })).await;
    let old = created.data(201);
    let rotated = act(&stack, &old["public_id"], "rotate", json!({ "overlap_seconds": 3600 })).await;
    let new = rotated.data(201);
    canary::watch(new["api_key"].as_str().unwrap());
    assert_eq!((&new["label"], &new["scopes"]), (&json!("web"), &json!(["uploads:issue"])));
    for row in [old, new] {
        stack.presign_as(row["api_key"].as_str().unwrap()).await.url();
    }
    let path = format!("/api-keys/{}", old["public_id"].as_str().unwrap());
    let found = stack.admin(Method::GET, &path).send().await;
    let expires_at: DateTime<Utc> = found.data(200)["expires_at"].as_str().unwrap().parse().unwrap();
    let left = expires_at - Clock::System.now();
    assert!(left <= TimeDelta::hours(1) && left > TimeDelta::minutes(59), "{left}");

    act(&stack, &new["public_id"], "rotate", json!({ "overlap_seconds": 0 })).await.data(201);
    stack.presign_as(new["api_key"].as_str().unwrap()).await.assert_error(401, "unauthenticated");
}

#[tokio::test]
async fn last_operator_key_cannot_be_revoked_or_expire() {
    let stack = TestStack::start().await;
    let own = own_id(&stack);
    act(&stack, &own, "revoke", json!({})).await.assert_error(409, "conflict");
    let tomorrow = (Clock::System.now() + TimeDelta::days(1)).to_rfc3339();
    patch(&stack, &own, json!({ "expires_at": tomorrow })).await.assert_error(409, "conflict");

    // One that ends before is no help; one that does not, is.
    let tonight = (Clock::System.now() + TimeDelta::hours(1)).to_rfc3339();
    create(&stack, json!({ "label": "night shift", "expires_at": tonight })).await.data(201);
    patch(&stack, &own, json!({ "expires_at": tomorrow })).await.assert_error(409, "conflict");
    let second = create(&stack, json!({ "label": "second", "tenant": null })).await;
    let second = second.data(201);
    assert_eq!((&second["scopes"], &second["tenant_id"]), (&json!([]), &Value::Null));
    patch(&stack, &own, json!({ "expires_at": tomorrow })).await.data(200);
    act(&stack, &own, "revoke", json!({})).await.data(200);
    stack.admin(Method::GET, "/tenants").send().await.assert_error(401, "unauthenticated");
}

#[tokio::test]
async fn concurrent_revokes_keep_one_operator_key() {
    for _ in 0..5 {
        let stack = TestStack::start().await;
        let created = create(&stack, json!({ "label": "second" })).await;
        let (own, second) = (own_id(&stack), created.data(201)["public_id"].clone());
        let (first, second) =
            tokio::join!(act(&stack, &own, "revoke", json!({})), act(&stack, &second, "revoke", json!({})));
        let statuses = [first.status.as_u16(), second.status.as_u16()];
        assert!(statuses.contains(&200) && statuses != [200, 200], "{statuses:?}");
    }
}

#[tokio::test]
async fn every_field_says_what_it_must_be() {
    let stack = TestStack::start().await;
    let yesterday = (Clock::System.now() - TimeDelta::days(1)).to_rfc3339();
    let base = || json!({ "tenant": "alpha", "label": "x" });
    for (field, wrong) in [
        ("label", json!("")),
        ("label", json!("x".repeat(201))),
        ("scopes", json!([])),
        ("scopes", json!(["uploads:everything"])),
        ("expires_at", json!(yesterday)),
        ("expires_at", json!("soon")),
        ("expires_at", json!("+262000-01-01T00:00:00Z")),
        ("tenant", json!("Not A Slug")),
    ] {
        let mut body = base();
        body[field] = wrong;
        create(&stack, body).await.assert_field(400, "invalid_field", field);
    }
    create(&stack, json!({ "label": "x", "scopes": ["uploads:issue"] })).await.assert_field(
        400,
        "invalid_field",
        "scopes",
    );
    create(&stack, json!({ "tenant": "nobody", "label": "x" })).await.assert_error(404, "resource_not_found");
    act(&stack, &own_id(&stack), "rotate", json!({ "overlap_seconds": 7_776_001 })).await.assert_field(
        400,
        "invalid_field",
        "overlap_seconds",
    );
    stack.admin(Method::GET, "/api-keys/none").send().await.assert_error(404, "resource_not_found");
}

#[tokio::test]
async fn a_key_that_does_not_last_is_no_substitute_for_one_that_does() {
    let stack = TestStack::start().await;
    let tonight = (Clock::System.now() + TimeDelta::hours(1)).to_rfc3339();
    create(&stack, json!({ "label": "night shift", "expires_at": tonight })).await.data(201);
    act(&stack, &own_id(&stack), "revoke", json!({})).await.assert_error(409, "conflict");
    stack.admin(Method::GET, "/tenants").send().await.data(200);
}

#[tokio::test]
async fn the_last_operators_key_can_be_renamed_and_prolonged() {
    let stack = TestStack::start().await;
    let own = own_id(&stack);
    sqlx::query("UPDATE api_keys SET expires_at = now() + interval '1 hour' WHERE tenant_id IS NULL")
        .execute(&mut stack.connect().await)
        .await
        .unwrap();
    patch(&stack, &own, json!({ "label": "renamed" })).await.data(200);
    let next_month = (Clock::System.now() + TimeDelta::days(30)).to_rfc3339();
    patch(&stack, &own, json!({ "expires_at": next_month })).await.data(200);
    patch(&stack, &own, json!({ "expires_at": null })).await.data(200);
}

#[tokio::test]
async fn successor_of_an_expiring_key_gets_the_same_lifetime() {
    let stack = TestStack::start().await;
    let in_a_month = (Clock::System.now() + TimeDelta::days(30)).to_rfc3339();
    let created = create(&stack, json!({ "tenant": "alpha", "label": "contractor", "expires_at": in_a_month })).await;
    let old = created.data(201)["public_id"].clone();
    let age = "UPDATE api_keys SET created_at = created_at - interval '29 days 23 hours', expires_at = expires_at - interval '29 days 23 hours'
               WHERE label = 'contractor'";
    sqlx::query(age).execute(&mut stack.connect().await).await.unwrap();
    let rotated = act(&stack, &old, "rotate", json!({})).await;
    canary::watch(rotated.data(201)["api_key"].as_str().unwrap());
    let expires_at: DateTime<Utc> = rotated.data(201)["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(expires_at - Clock::System.now() > TimeDelta::days(29), "{expires_at}");

    let chosen = (Clock::System.now() + TimeDelta::days(7)).to_rfc3339();
    let rotated = act(&stack, &old, "rotate", json!({ "expires_at": chosen })).await;
    let expires_at: DateTime<Utc> = rotated.data(201)["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(expires_at - Clock::System.now() < TimeDelta::days(8), "{expires_at}");

    sqlx::query("UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE label = 'contractor'")
        .execute(&mut stack.connect().await)
        .await
        .unwrap();
    act(&stack, &old, "rotate", json!({})).await.assert_error(409, "conflict");
}
