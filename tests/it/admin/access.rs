//! Who may do what operators do; and that one tenant's rows are to another as if they were not there.

use presign_gateway::http::openapi;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::stack::{Answer, TestStack};

/// Every operation of the operators' document, but for the health checks.
fn operations() -> Vec<(Method, String)> {
    let document = serde_json::to_value(openapi::admin_document()).unwrap();
    let paths = document["paths"].as_object().unwrap().clone();
    let admin = paths.into_iter().filter(|(path, _)| path.starts_with("/admin/v1/"));
    let operations: Vec<(Method, String)> = admin
        .flat_map(|(path, item)| {
            let methods: Vec<String> = item.as_object().unwrap().keys().cloned().collect();
            methods.into_iter().map(move |method| (method.to_uppercase().parse().unwrap(), path.clone()))
        })
        .collect();
    assert!(operations.len() >= 20, "{operations:?}");
    operations
}

fn filled(path: &str, tenant: &str, row: &str) -> String {
    path.replace("{tenant}", tenant).replace("{alias}", row).replace("{id}", row).replace("{public_id}", row)
}

/// The body without what differs from request to request.
fn anonymized(answer: &Answer) -> String {
    answer.text.replace(answer.header("x-request-id").unwrap(), "ID")
}

#[tokio::test]
async fn nobody_but_an_operator_may_do_anything_here() {
    let stack = TestStack::start().await;
    let demo = &stack.demo;
    for (method, path) in operations() {
        let path = filled(&path, "alpha", "default");
        let call = || stack.call(method.clone(), format!("{}{path}", stack.ops_url)).json(&json!({}));
        for (who, expected) in [(&demo.alpha.api_key, "operator_required"), (&stack.token, "operator_required")] {
            assert_eq!(call().bearer(who).send().await.reason(), expected, "{method} {path}");
        }
        assert_eq!(call().send().await.reason(), "unauthenticated", "{method} {path}");
        let public = stack.call(method.clone(), format!("{}{path}", stack.url)).bearer(&demo.operator_key).send().await;
        public.assert_error(404, "not_found");
    }
    let events = stack.admin(Method::GET, "/audit-events?limit=500").send().await;
    let by_api_key = |event: &&Value| event["actor"].as_str().unwrap().starts_with("api_key:");
    assert_eq!(
        events.data(200)["items"].as_array().unwrap().iter().filter(by_api_key).count(),
        0,
        "nothing was changed"
    );
}

#[tokio::test]
async fn strangers_are_counted_by_address_here_too() {
    let stack = TestStack::start().await;
    let guess = || stack.call(Method::GET, format!("{}/admin/v1/tenants", stack.ops_url)).bearer("pgw_guess").send();
    let mut last = guess().await;
    for _ in 0..25 {
        last = guess().await;
    }
    last.assert_error(429, "too_many_failures");
}

/// A valid body for each operation that wants one, so that the row is what decides.
fn body(path: &str) -> Value {
    match path.rsplit('/').next().unwrap() {
        "cors" => json!({ "origins": ["https://app.example.com"] }),
        "rotate-credential" => json!({ "access_key_id": "ID", "secret_access_key": "secret-of-nobody" }),
        "test" => json!({ "token": "x.y.z" }),
        _ => json!({}),
    }
}

#[tokio::test]
async fn another_tenants_row_is_answered_byte_for_byte_as_one_that_is_missing() {
    let stack = TestStack::start().await;
    let alphas_bucket = json!({
        "alias": "mine", "endpoint": stack.s3_url, "region": "us-east-1", "bucket": stack.demo.alpha.bucket,
        "access_key_id": "ID", "secret_access_key": "secret-of-nobody",
    });
    stack.admin(Method::POST, "/tenants/alpha/buckets").json(&alphas_bucket).send().await.data(201);
    let issuers = stack.admin(Method::GET, "/tenants/alpha/jwt-issuers").send().await;
    let issuer = issuers.data(200)["items"][0]["id"].as_str().unwrap().to_owned();
    let nested = operations().into_iter().filter(|(_, path)| path.contains("{alias}") || path.contains("{id}"));
    let mut tried = 0;
    for (method, path) in nested {
        let (own, missing) = if path.contains("{id}") {
            (issuer.as_str(), "01a00000-0000-7000-8000-000000000000")
        } else {
            ("mine", "none")
        };
        let ask = |tenant: &str, row: &str| {
            let url = format!("{}{}", stack.ops_url, filled(&path, tenant, row));
            stack.call(method.clone(), url).bearer(&stack.demo.operator_key).json(&body(&path)).send()
        };
        let foreign = ask("beta", own).await;
        foreign.assert_error(404, "no_such_row");
        assert_eq!(anonymized(&foreign), anonymized(&ask("beta", missing).await), "{method} {path}");
        tried += 1;
    }
    assert!(tried >= 10, "{tried}");
}
