//! A gateway with one database connection: a request that needs a second one while it holds a transaction waits for itself.
//!
//! The operations are those of the OpenAPI documents, so that a new one cannot be forgotten.

use std::collections::BTreeSet;

use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use presign_gateway::http::openapi;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::isolation::operations::operations;
use crate::support::canary;
use crate::support::stack::{Instance, TestStack};

const TENANT: &str = "/admin/v1/tenants/{tenant}";
const BUCKET: &str = "/admin/v1/tenants/{tenant}/buckets/{alias}";
const ISSUER: &str = "/admin/v1/tenants/{tenant}/jwt-issuers/{id}";
const API_KEY: &str = "/admin/v1/api-keys/{public_id}";

/// Calls one operation after the other, and knows which are left.
struct Script<'a> {
    stack: &'a TestStack,
    base: &'a str,
    bearer: &'a str,
    left: BTreeSet<String>,
    failed: Vec<String>,
}

impl<'a> Script<'a> {
    fn new(stack: &'a TestStack, base: &'a str, bearer: &'a str, document: &utoipa::openapi::OpenApi) -> Self {
        let left = operations(document).into_iter().map(|operation| operation.name).collect();
        Self { stack, base, bearer, left, failed: Vec::new() }
    }

    /// Calls an operation; each value fills one `{…}` of its path, and what is left over follows the path.
    async fn call(&mut self, method: Method, path: &str, values: &[&str], body: Value) -> Value {
        let name = format!("{method} {path}");
        assert!(self.left.remove(&name), "{name} is called twice, or is no operation");
        let mut filled = String::new();
        let mut values = values.iter();
        for (at, part) in path.split(['{', '}']).enumerate() {
            filled.push_str(if at % 2 == 0 { part } else { values.next().unwrap() });
        }
        values.for_each(|rest| filled.push_str(rest));
        let has_body = ![Method::GET, Method::DELETE].contains(&method);
        let call = self.stack.call(method, format!("{}{filled}", self.base)).bearer(self.bearer);
        let call = if has_body { call.header("idempotency-key", &name).json(&body) } else { call };
        let answer = call.send().await;
        if !answer.status.is_success() {
            self.failed.push(format!("{name}: {} {}", answer.status.as_u16(), answer.text));
        }
        answer.body["data"].clone()
    }

    async fn get(&mut self, path: &str, values: &[&str]) -> Value {
        self.call(Method::GET, path, values, Value::Null).await
    }

    async fn post(&mut self, path: &str, values: &[&str], body: Value) -> Value {
        self.call(Method::POST, path, values, body).await
    }

    async fn patch(&mut self, path: &str, values: &[&str], body: Value) {
        self.call(Method::PATCH, path, values, body).await;
    }

    fn end(self) {
        assert!(self.failed.is_empty(), "{:#?}", self.failed);
        assert!(self.left.is_empty(), "call these operations here as well: {:#?}", self.left);
    }
}

fn text(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap_or_default().to_owned()
}

/// A gateway with one connection; what it finds sealed is sealed under another key than its own.
async fn start(stack: &TestStack) -> Instance {
    let new = SealingKey::generate("second", &Randomness::System);
    canary::watch(new.expose_secret());
    let keys = format!("{},{}", new.expose_secret(), stack.sealing_key.expose_secret());
    stack.another(&[("DATABASE__MAX_CONNECTIONS", "1"), ("VAULT__KEYS", &keys)]).await
}

#[tokio::test]
async fn every_admin_operation_needs_one_database_connection() {
    let stack = TestStack::start().await;
    let gateway = start(&stack).await;
    let document = openapi::admin_document();
    let mut script = Script::new(&stack, &gateway.ops_url, &stack.demo.operator_key, &document);
    // The stack's own gateway opens no secret that is sealed anew.
    let upload = crate::v1::id_in(stack.presign("ext=jpg").await.object_key());
    for path in ["/livez", "/metrics", "/readyz"] {
        script.get(path, &[]).await;
    }
    tenants(&mut script).await;
    buckets(&mut script).await;
    api_keys(&mut script).await;
    jwt_issuers(&mut script).await;
    script.get("/admin/v1/keyring", &[]).await;
    let resealed = script.post("/admin/v1/keyring/rotate", &[], json!({})).await;
    assert!(resealed["resealed"].as_i64() > Some(2), "{resealed}");
    script.get("/admin/v1/uploads/{id}", &[&upload]).await;
    script.get("/admin/v1/uploads/export", &["?format=ndjson"]).await;
    for path in ["/admin/v1/audit-events", "/admin/v1/uploads", "/admin/v1/usage"] {
        script.get(path, &["?tenant=alpha"]).await;
    }
    script.get("/admin/v1/sweeper", &[]).await;
    script.end();
}

async fn tenants(script: &mut Script<'_>) {
    script.post("/admin/v1/tenants", &[], json!({ "slug": "gamma" })).await;
    script.get("/admin/v1/tenants", &[]).await;
    script.get(TENANT, &["gamma"]).await;
    script.patch(TENANT, &["gamma"], json!({ "name": "Gamma" })).await;
    for action in ["suspend", "resume", "archive"] {
        script.post(&format!("{TENANT}/{action}"), &["gamma"], json!({})).await;
    }
}

async fn buckets(script: &mut Script<'_>) {
    let (alpha, s3_url) = (script.stack.demo.alpha.clone(), script.stack.s3_url.clone());
    let credential = json!({
        "access_key_id": alpha.access_key_id, "secret_access_key": alpha.secret_access_key,
    });
    let mut new = json!({ "alias": "new", "endpoint": s3_url, "region": "us-east-1", "bucket": alpha.bucket });
    new.as_object_mut().unwrap().extend(credential.as_object().unwrap().clone());
    let list = "/admin/v1/tenants/{tenant}/buckets";
    script.post(list, &["alpha"], new).await;
    script.get(list, &["alpha"]).await;
    script.get(BUCKET, &["alpha", "new"]).await;
    script.patch(BUCKET, &["alpha", "new"], json!({ "alias": "main" })).await;
    script.post(&format!("{BUCKET}/set-default"), &["alpha", "main"], json!({})).await;
    script.post(&format!("{BUCKET}/archive"), &["alpha", "default"], json!({})).await;
    script.post(&format!("{BUCKET}/rotate-credential"), &["alpha", "main"], credential).await;
    script.post(&format!("{BUCKET}/doctor"), &["alpha", "main"], json!({})).await;
    let origins = json!({ "origins": ["https://app.example.com"] });
    script.call(Method::PUT, &format!("{BUCKET}/cors"), &["alpha", "main"], origins).await;
    script.get(&format!("{BUCKET}/cors"), &["alpha", "main"]).await;
}

async fn api_keys(script: &mut Script<'_>) {
    let new = script.post("/admin/v1/api-keys", &[], json!({ "tenant": "alpha", "label": "new" })).await;
    let public_id = text(&new, "public_id");
    script.get("/admin/v1/api-keys", &["?tenant=alpha"]).await;
    script.get(API_KEY, &[&public_id]).await;
    script.patch(API_KEY, &[&public_id], json!({ "label": "other" })).await;
    for action in ["rotate", "revoke"] {
        script.post(&format!("{API_KEY}/{action}"), &[&public_id], json!({})).await;
    }
}

async fn jwt_issuers(script: &mut Script<'_>) {
    let list = "/admin/v1/tenants/{tenant}/jwt-issuers";
    let new = json!({
        "issuer": "https://one.example.com", "audience": "one", "algorithm": "HS256",
        "hmac_secret": "a-secret-of-nobody-that-is-long-enough",
    });
    let id = text(&script.post(list, &["alpha"], new).await, "id");
    script.get(list, &["alpha"]).await;
    script.get(ISSUER, &["alpha", &id]).await;
    script.patch(ISSUER, &["alpha", &id], json!({ "leeway_seconds": 5 })).await;
    script.post(&format!("{ISSUER}/test"), &["alpha", &id], json!({ "token": "x.y.z" })).await;
    script.post(&format!("{ISSUER}/archive"), &["alpha", &id], json!({})).await;
}

#[tokio::test]
async fn every_public_operation_needs_one_database_connection() {
    let stack = TestStack::start().await;
    let gateway = start(&stack).await;
    let document = openapi::public_document();
    let mut script = Script::new(&stack, &gateway.url, &stack.demo.alpha.api_key, &document);
    script.get("/livez", &[]).await;
    script.get("/oss/presign", &["?ext=jpg"]).await;
    let issued = script.post("/v1/uploads", &[], json!({ "ext": "jpg" })).await;
    let (id, url) = (text(&issued, "id"), text(&issued, "url"));
    script.post("/v1/uploads/batch", &[], json!({ "uploads": [{ "ext": "jpg" }, { "ext": "png" }] })).await;
    script.get("/v1/uploads/{id}/url", &[&id]).await;
    let put = stack.client.put(url).header("content-type", text(&issued["headers"], "content-type"));
    assert_eq!(put.body("bytes").send().await.unwrap().status(), 200);
    script.post("/v1/uploads/{id}/complete", &[&id], json!({})).await;
    script.get("/v1/uploads/{id}", &[&id]).await;
    script.get("/v1/uploads/{id}/download", &[&id]).await;
    script.get("/v1/uploads", &["?ext=jpg"]).await;
    script.get("/v1/uploads/export", &["?format=csv"]).await;
    script.get("/v1/usage", &[]).await;
    script.call(Method::DELETE, "/v1/uploads/{id}", &[&id], Value::Null).await;
    script.end();
}
