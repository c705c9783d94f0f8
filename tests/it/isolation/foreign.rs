//! What is another's is answered byte for byte as what is nowhere: in paths, in queries and in bodies.

use presign_gateway::http::openapi;
use reqwest::Method;
use serde_json::{Value, json};

use super::contents::Contents;
use super::operations::operations;
use super::tolerant;
use crate::support::stack::{Answer, TestStack};

const MISSING: &str = "01a00000-0000-7000-8000-000000000000";

/// An answer to beta's key.
async fn as_beta(stack: &TestStack, method: Method, path: &str, body: &Value) -> Answer {
    let call = stack.call(method.clone(), format!("{}{path}", stack.url)).bearer(&stack.demo.beta.api_key);
    let call = if method == Method::GET { call } else { call.json(body) };
    call.header("x-request-id", "same").send().await
}

/// Alpha's row of this table, by SQL.
async fn id(stack: &TestStack, statement: &str) -> String {
    let id = sqlx::query_scalar(sqlx::AssertSqlSafe(statement.to_owned()));
    id.fetch_one(&mut stack.connect().await).await.unwrap()
}

/// A second bucket of alpha's, whose alias beta has not.
async fn add_bucket(stack: &TestStack) {
    let bucket = json!({
        "alias": "mine", "endpoint": stack.s3_url, "region": "us-east-1", "bucket": stack.demo.alpha.bucket,
        "access_key_id": "ID", "secret_access_key": "secret-of-nobody",
    });
    stack.admin(Method::POST, "/tenants/alpha/buckets").json(&bucket).send().await.data(201);
}

#[tokio::test]
async fn foreign_id_is_answered_like_a_missing_one() {
    let stack = tolerant().start().await;
    let alphas = stack.issue(&json!({ "ext": "jpg" })).await.data(201)["id"].as_str().unwrap().to_owned();
    let ids = [
        alphas.clone(),
        alphas.to_uppercase(),
        alphas.replace('-', ""),
        id(&stack, "SELECT tenants.id::text FROM tenants WHERE slug = 'beta'").await,
        id(&stack, "SELECT b.id::text FROM buckets b JOIN tenants t ON t.id = tenant_id WHERE t.slug = 'beta'").await,
        id(&stack, "SELECT k.id::text FROM api_keys k JOIN tenants t ON t.id = tenant_id WHERE t.slug = 'beta'").await,
        id(&stack, "SELECT public_id FROM api_keys k JOIN tenants t ON t.id = tenant_id WHERE t.slug = 'beta'").await,
        id(&stack, "SELECT id::text FROM audit_events LIMIT 1").await,
        "00000000-0000-0000-0000-000000000000".to_owned(),
        "ffffffff-ffff-ffff-ffff-ffffffffffff".to_owned(),
        "nonsense".to_owned(),
        "'%20OR%201=1--".to_owned(),
    ];
    let mut tried = 0;
    for operation in operations(&openapi::public_document()).iter().filter(|operation| operation.path.contains("{id}"))
    {
        let before = Contents::of(&stack).await;
        let ask = |id: String| {
            let (path, body) = (operation.filled("", &id), operation.body());
            let (stack, method) = (&stack, operation.method.clone());
            async move { as_beta(stack, method, &path, &body).await }
        };
        let missing = ask(MISSING.to_owned()).await;
        missing.assert_error(404, "resource_not_found");
        for id in &ids {
            let answer = ask(id.clone()).await;
            assert_eq!(
                (answer.status, answer.text),
                (missing.status, missing.text.clone()),
                "{} of {id}",
                operation.name
            );
            tried += 1;
        }
        before.assert_same(&Contents::of(&stack).await, &operation.name);
    }
    assert!(tried >= 5 * ids.len(), "{tried}");
}

#[tokio::test]
async fn what_another_tenant_has_is_found_by_no_term_of_a_search() {
    let stack = tolerant().start().await;
    add_bucket(&stack).await;
    let alphas = stack.issue(&json!({ "ext": "jpg" })).await;
    let alphas = alphas.data(201);
    let text = |name: &str| alphas[name].as_str().unwrap().to_owned();
    let public_id = |api_key: &str| api_key.split('_').nth(1).unwrap().to_owned();
    for (name, alphas, nowhere) in [
        ("key", text("key"), text("key").replace('a', "b")),
        ("key", text("id"), MISSING.to_owned()),
        ("api_key", public_id(&stack.demo.alpha.api_key), "AAAAAAAAAAAA".to_owned()),
        ("api_key", public_id(&stack.demo.operator_key), "AAAAAAAAAAAA".to_owned()),
        ("bucket", "mine".to_owned(), "none".to_owned()),
        ("subject", "demo-user".to_owned(), "no-user".to_owned()),
    ] {
        for path in ["/v1/uploads?", "/v1/uploads/export?format=ndjson&"] {
            let of = |value: String| format!("{path}{name}={value}");
            let found = as_beta(&stack, Method::GET, &of(alphas.clone()), &Value::Null).await;
            let nothing = as_beta(&stack, Method::GET, &of(nowhere.clone()), &Value::Null).await;
            assert_eq!((found.status, found.text), (nothing.status, nothing.text), "{path} by {name}");
        }
    }
    let unknown = as_beta(&stack, Method::GET, "/v1/uploads?tenant=alpha", &Value::Null).await;
    unknown.assert_field(400, "unknown_field", "tenant");
}

#[tokio::test]
async fn foreign_cursor_shows_no_foreign_upload() {
    let stack = tolerant().start().await;
    for _ in 0..3 {
        stack.presign("ext=jpg").await.url();
        stack.presign_as(&stack.demo.beta.api_key).await.url();
    }
    let of_alpha = stack.get("/v1/uploads?limit=1").bearer(&stack.demo.alpha.api_key).send().await;
    let cursor = of_alpha.data(200)["next_cursor"].as_str().unwrap().to_owned();
    let answer = as_beta(&stack, Method::GET, &format!("/v1/uploads?limit=3&cursor={cursor}"), &Value::Null).await;
    assert!(!answer.text.contains("alpha") && answer.status.as_u16() != 500, "{}", answer.text);
    let items = answer.body["data"]["items"].as_array().cloned().unwrap_or_default();
    let mine = as_beta(&stack, Method::GET, "/v1/uploads", &Value::Null).await;
    let mine = mine.data(200)["items"].as_array().unwrap().clone();
    assert!(items.iter().all(|item| mine.contains(item)), "{items:?}");
}

#[tokio::test]
async fn foreign_bucket_and_idempotency_key_are_out_of_reach() {
    let stack = tolerant().start().await;
    add_bucket(&stack).await;
    let before = Contents::of(&stack).await;
    let single = |bucket: &str| json!({ "ext": "jpg", "bucket": bucket });
    let several = |bucket: &str| json!({ "uploads": [{ "ext": "jpg", "bucket": bucket }] });
    for (path, foreign, nowhere) in
        [("/v1/uploads", single("mine"), single("none")), ("/v1/uploads/batch", several("mine"), several("none"))]
    {
        let foreign = as_beta(&stack, Method::POST, path, &foreign).await;
        let nowhere = as_beta(&stack, Method::POST, path, &nowhere).await;
        assert_eq!((foreign.status, foreign.text), (nowhere.status, nowhere.text), "{path}");
    }
    before.assert_same(&Contents::of(&stack).await, "a foreign bucket");
    let once = |credential: &str| {
        let call = stack.get("/v1/uploads").method(Method::POST).bearer(credential).json(&json!({ "ext": "jpg" }));
        call.header("idempotency-key", "the-same").send()
    };
    let (alphas, betas) = (once(&stack.demo.alpha.api_key).await, once(&stack.demo.beta.api_key).await);
    assert_ne!(alphas.data(201)["id"], betas.data(201)["id"]);
    assert_eq!(once(&stack.demo.beta.api_key).await.data(201)["id"], betas.data(201)["id"]);
}

#[tokio::test]
async fn row_under_a_foreign_tenants_path_is_not_found() {
    let stack = tolerant().start().await;
    add_bucket(&stack).await;
    let issuers = stack.admin(Method::GET, "/tenants/alpha/jwt-issuers").send().await;
    let issuer = issuers.data(200)["items"][0]["id"].as_str().unwrap().to_owned();
    let before = Contents::of(&stack).await;
    let nested = operations(&openapi::admin_document())
        .into_iter()
        .filter(|operation| operation.path.contains("{tenant}/") && operation.path.matches('{').count() == 2);
    let mut tried = 0;
    for operation in nested {
        let (own, missing) =
            if operation.path.contains("{id}") { (issuer.as_str(), MISSING) } else { ("mine", "none") };
        let ask = |tenant: &str, row: &str| {
            let url = format!("{}{}", stack.ops_url, operation.filled(tenant, row));
            let call = stack.call(operation.method.clone(), url).bearer(&stack.demo.operator_key);
            call.json(&operation.body()).header("x-request-id", "same").send()
        };
        let (foreign, nowhere) = (ask("beta", own).await, ask("beta", missing).await);
        foreign.assert_error(404, "resource_not_found");
        assert_eq!(foreign.text, nowhere.text, "{}", operation.name);
        tried += 1;
    }
    assert!(tried >= 10, "{tried}");
    before.assert_same(&Contents::of(&stack).await, "under another tenant's path");
}
