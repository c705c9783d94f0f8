//! Texts that mean something to SQL, to a pattern, to a terminal or to nobody, in every field that anybody can set: refused by name, or
//! kept and given back byte for byte.

use presign_gateway::admin::TenantChanges;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use presign_gateway::http::openapi;
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{panics, patient};
use crate::support::binary::Workbench;
use crate::support::stack::{Answer, Call, TestStack};
use crate::support::{postgres, tokens};

/// As they are written in JSON.
const TEXTS: [&str; 17] = [
    r"'; DROP TABLE uploads; --",
    r"' OR '1'='1",
    r"\\",
    r"%",
    r"_",
    r"$1",
    r"\u0000",
    r"a\u0000b",
    r"\u2028",
    r"\u202e\u200fabc",
    r"\ud800",
    r"\udc00\ud800",
    r"\ud83d\ude00",
    r#"\"}, {\""#,
    r"\u001b[31m",
    r"{uuid}${x}{{7*7}}",
    "",
];

/// The same as text, where it is one.
fn decoded(raw: &str) -> Option<String> {
    serde_json::from_str(&format!("\"{raw}\"")).ok()
}

fn texts() -> impl Iterator<Item = String> {
    TEXTS.iter().map(|raw| (*raw).to_owned()).chain([format!("a{}", "é'%_\\\\".repeat(2000))])
}

/// No SQL reached the tables.
async fn tables_are_unharmed(stack: &TestStack) {
    stack.presign("ext=jpg").await.url();
    for slug in ["alpha", "beta"] {
        let tenant = stack.admin(Method::GET, &format!("/tenants/{slug}")).send().await;
        assert_eq!(tenant.data(200)["status"], "active", "{slug}");
    }
}

fn never_ours(what: &str, answer: &Answer) {
    assert!(!answer.status.is_server_error(), "{what}: {}", answer.text);
}

/// The names of a schema's properties, and which of them are lists.
fn properties(document: &Value, schema: &str) -> Vec<(String, bool)> {
    let properties = document["components"]["schemas"][schema]["properties"].as_object().unwrap();
    let is_list = |property: &Value| property["type"].to_string().contains("array");
    properties.iter().map(|(name, property)| (name.clone(), is_list(property))).collect()
}

/// Puts each text into each field of a body that is well otherwise.
async fn try_bodies<'a>(document: &Value, schema: &str, base: impl Fn(usize) -> Value, send: impl Fn() -> Call<'a>) {
    let mut taken = 0;
    for (place, (field, is_list)) in properties(document, schema).into_iter().enumerate() {
        // The first two go into each field, the others into each third one.
        let some = texts().enumerate().filter(|(number, _)| *number < 2 || (number + place) % 3 == 0);
        for (number, raw) in some {
            let mut body = base(number);
            body[&field] = json!("PLACE");
            let written = if is_list { format!("[\"{raw}\"]") } else { format!("\"{raw}\"") };
            let body = body.to_string().replace("\"PLACE\"", &written);
            let answer = send().header("content-type", "application/json").text(body.clone()).send().await;
            let what = format!("{schema}.{field} {:.40}: {:.300}", raw, answer.text);
            never_ours(&what, &answer);
            assert_ne!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{what}");
            if answer.status.is_client_error() {
                let is_named = answer.body["field"]
                    .as_str()
                    .is_some_and(|named| named.contains(field.as_str()) || field.contains(named))
                    || answer.message().contains(field.as_str())
                    // Two that do not fit together.
                    || properties(document, schema).iter().any(|(other, _)| answer.body["field"] == other.as_str())
                    || (decoded(&raw).is_none() && answer.reason() == "malformed_body")
                    || ["invalid_ext", "invalid_type", "resource_not_found", "already_exists"].contains(&answer.reason())
                    || answer.reason() == "credential_failed";
                assert!(is_named, "which field? {what}");
                continue;
            }
            taken += 1;
            // What is a secret is not given back.
            match answer.body["data"].get(&field) {
                Some(Value::String(kept)) => assert_eq!(Some(kept), decoded(&raw).as_ref(), "{what}"),
                Some(Value::Array(kept)) => assert_eq!(*kept, [json!(decoded(&raw))], "{what}"),
                _ => {}
            }
        }
    }
    assert!(taken > 0 || !["TenantCreate", "ApiKeyCreate"].contains(&schema), "{schema}: some fields are free text");
}

#[tokio::test]
async fn operator_text_is_stored_exactly_or_rejected_by_field() {
    let stack = patient().start().await;
    let before = panics();
    let document = serde_json::to_value(openapi::admin_document()).unwrap();
    let issuers = stack.admin(Method::GET, "/tenants/alpha/jwt-issuers").send().await;
    let issuer = issuers.data(200)["items"][0]["id"].as_str().unwrap().to_owned();
    let public_id = stack.demo.beta.api_key.split('_').nth(1).unwrap().to_owned();
    stack.admin(Method::POST, "/tenants").json(&json!({ "slug": "gamma" })).send().await.data(201);
    let (bucket, secret) = (stack.demo.beta.bucket.as_str(), "secret-of-nobody");
    let place = |alias: String| json!({ "alias": alias, "endpoint": stack.s3_url, "region": "us-east-1", "bucket": bucket, "access_key_id": "ID", "secret_access_key": secret });
    stack.admin(Method::POST, "/tenants/gamma/buckets").json(&place("default".to_owned())).send().await.data(201);
    let call = |method: Method, path: &str| {
        let path = path.to_owned();
        let stack = &stack;
        move || stack.admin(method.clone(), &path)
    };

    let unique = std::cell::Cell::new(0);
    let next = |prefix: &str| {
        unique.set(unique.get() + 1);
        format!("{prefix}{}", unique.get())
    };
    try_bodies(&document, "TenantCreate", |_| json!({ "slug": next("t") }), call(Method::POST, "/tenants")).await;
    try_bodies(&document, "TenantPatch", |_| json!({}), call(Method::PATCH, "/tenants/gamma")).await;
    let label = |_| json!({ "label": "a", "tenant": "gamma" });
    try_bodies(&document, "ApiKeyCreate", label, call(Method::POST, "/api-keys")).await;
    try_bodies(&document, "ApiKeyPatch", |_| json!({}), call(Method::PATCH, &format!("/api-keys/{public_id}"))).await;
    let buckets = "/tenants/gamma/buckets";
    try_bodies(&document, "BucketAdd", |_| place(next("b")), call(Method::POST, buckets)).await;
    try_bodies(&document, "BucketPatch", |_| json!({}), call(Method::PATCH, &format!("{buckets}/default"))).await;
    let rotated = |_| json!({ "access_key_id": "ID", "secret_access_key": secret });
    try_bodies(
        &document,
        "RotateCredential",
        rotated,
        call(Method::POST, &format!("{buckets}/default/rotate-credential")),
    )
    .await;
    try_bodies(&document, "CorsSet", |_| json!({}), call(Method::PUT, &format!("{buckets}/default/cors"))).await;
    let new_issuer = |_| json!({ "issuer": "https://i.example", "audience": next("a"), "algorithm": "HS256", "hmac_secret": "0123456789abcdef0123456789abcdef" });
    try_bodies(&document, "JwtIssuerAdd", new_issuer, call(Method::POST, "/tenants/gamma/jwt-issuers")).await;
    let issuer = format!("/tenants/alpha/jwt-issuers/{issuer}");
    try_bodies(&document, "TokenTest", |_| json!({}), call(Method::POST, &format!("{issuer}/test"))).await;
    try_bodies(&document, "JwtIssuerPatch", |_| json!({}), call(Method::PATCH, &issuer)).await;
    tables_are_unharmed(&stack).await;
    assert_eq!(panics(), before);
}

#[tokio::test]
async fn what_callers_write_is_kept_byte_for_byte_or_refused_by_name() {
    let stack = patient().start().await;
    let before = panics();
    unlimited(&stack).await;
    let document = serde_json::to_value(openapi::public_document()).unwrap();
    try_bodies(&document, "UploadCreate", |_| json!({ "ext": "jpg" }), || stack.post("/v1/uploads")).await;
    try_bodies(&document, "BatchCreate", |_| json!({ "uploads": [] }), || stack.post("/v1/uploads/batch")).await;
    // Half of a pair is seen only where the text is read: item by item, in a batch.
    let half = r#"{"uploads":[{"ext":"\ud800"},{"ext":"jpg"}]}"#.to_owned();
    let answer = stack.post("/v1/uploads/batch").header("content-type", "application/json").text(half).send().await;
    assert_eq!(answer.data(200)["items"][0]["error"]["reason"], "malformed_body", "{}", answer.text);
    let id = stack.issue(&json!({ "ext": "jpg" })).await.data(201)["id"].as_str().unwrap().to_owned();
    let complete = format!("/v1/uploads/{id}/complete");
    for (field, _) in properties(&document, "CompleteUpload") {
        for raw in texts() {
            let body = format!("{{\"{field}\":\"{raw}\"}}");
            let answer = stack.post(&complete).header("content-type", "application/json").text(body).send().await;
            assert!(answer.status.is_client_error(), "nothing has arrived: {}", answer.text);
        }
    }
    // Values of metadata are free; names are not.
    for raw in texts() {
        for (name, value) in [("a", raw.as_str()), (raw.as_str(), "a")] {
            let body = format!(r#"{{"ext":"jpg","metadata":{{"{name}":"{value}"}}}}"#);
            let answer = stack.post("/v1/uploads").header("content-type", "application/json").text(body).send().await;
            if answer.status != StatusCode::CREATED {
                assert!(["invalid_field", "malformed_body"].contains(&answer.reason()), "{}", answer.text);
                continue;
            }
            let id = answer.data(201)["id"].as_str().unwrap();
            let shown = stack.get(&format!("/v1/uploads/{id}")).bearer(&stack.demo.alpha.api_key).send().await;
            let kept = shown.data(200)["metadata"][decoded(name).unwrap()].as_str().unwrap().to_owned();
            let text = decoded(value).unwrap();
            let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &text);
            assert!(kept == text || kept == format!("=?UTF-8?B?{encoded}?="), "{kept}");
        }
    }
    tables_are_unharmed(&stack).await;
    assert_eq!(panics(), before);
}

async fn unlimited(stack: &TestStack) {
    let most = Some(1_000_000);
    stack.change_alpha(TenantChanges { rate_per_second: most, burst: most, ..TenantChanges::default() }).await;
}

#[tokio::test]
async fn header_fields_that_are_kept_are_kept_whole_or_not_taken() {
    let stack = patient().start().await;
    unlimited(&stack).await;
    let before = panics();
    let texts = texts().filter_map(|raw| decoded(&raw)).filter(|text| !text.chars().any(char::is_control));
    for text in texts.step_by(2) {
        for name in [
            "idempotency-key",
            "x-request-id",
            "user-agent",
            "x-forwarded-for",
            "traceparent",
            "tracestate",
            "baggage",
            "accept-language",
            "if-match",
            "origin",
            "referer",
        ] {
            let answer = stack.post("/v1/uploads").header(name, &text).json(&json!({ "ext": "jpg" })).send().await;
            never_ours(name, &answer);
            let is_named = answer.status.as_u16() == 201
                || answer.message().to_lowercase().contains(name)
                || matches!(answer.status.as_u16(), 431);
            assert!(is_named, "{name} {text:.40}: {}", answer.text);
            if name == "idempotency-key" && answer.status.as_u16() == 201 {
                let again = stack.post("/v1/uploads").header(name, &text).json(&json!({ "ext": "jpg" })).send().await;
                assert_eq!(again.data(201)["key"], answer.body["data"]["key"], "{text}");
            }
            if let Some(request_id) = answer.header("x-request-id") {
                assert!(!request_id.contains(['\'', '%', ' ', '"', '\\']), "{request_id}");
            }
            let call = stack.admin(Method::PATCH, "/tenants/beta").header(name, &text).json(&json!({ "name": "Beta" }));
            let answer = call.send().await;
            assert!(answer.status.as_u16() == 200 || answer.status.is_client_error(), "{name}: {}", answer.text);
        }
    }
    tables_are_unharmed(&stack).await;
    assert_eq!(panics(), before);
}

/// Every GET of both documents: the listener's URL, the path, the names of its parameters in the query.
fn questions(stack: &TestStack) -> Vec<(String, String, Vec<String>)> {
    let mut found = Vec::new();
    for (url, document) in [(&stack.url, openapi::public_document()), (&stack.ops_url, openapi::admin_document())] {
        let document = serde_json::to_value(document).unwrap();
        for (path, item) in document["paths"].as_object().unwrap() {
            let Some(operation) = item.get("get") else { continue };
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
            let names = in_query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect();
            found.push((url.clone(), path.clone(), names));
        }
    }
    assert!(found.len() > 15, "{found:?}");
    found
}

fn percent_encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn every_query_parameter_takes_hostile_text_or_names_itself() {
    let stack = patient().start().await;
    unlimited(&stack).await;
    let before = panics();
    let id = stack.issue(&json!({ "ext": "jpg" })).await.data(201)["id"].as_str().unwrap().to_owned();
    let recorded = stack.recorded().await;
    for (url, path, names) in questions(&stack) {
        let is_ours = url == stack.url;
        let credential = if is_ours { &stack.demo.alpha.api_key } else { &stack.demo.operator_key };
        let needed = if path.ends_with("/export") { "format=csv&" } else { "" };
        for name in &names {
            // The filters are read by one function wherever they stand: all texts go to one of the routes that have them.
            let every = if path == "/v1/uploads" || names.len() < 15 { 1 } else { 6 };
            for text in texts().filter_map(|raw| decoded(&raw)).step_by(every) {
                let value = percent_encoded(&text);
                // The server's own limit of a query comes first.
                let value = if value.len() > 3000 { &value[..3000] } else { &value };
                let filled = path.replace("{id}", &id).replace("{tenant}", "alpha");
                let query = format!("{needed}{name}={value}");
                let call = stack.call(Method::GET, format!("{url}{filled}?{query}")).bearer(credential);
                let answer = call.send().await;
                let what = format!("{path} {name}={text:.40}: {:.300}", answer.text);
                never_ours(&what, &answer);
                match answer.status.as_u16() {
                    200 => {}
                    // A presign tells in the contract's words.
                    400 if path == "/oss/presign" => {}
                    400 => assert!(
                        answer.body["field"] == name.as_str() || answer.message().contains(name.as_str()),
                        "{what}"
                    ),
                    404 if name == "tenant" => {}
                    409 if path.ends_with("/download") => {}
                    _ => panic!("{what}"),
                }
            }
        }
        // The parts of a path.
        if !path.contains('{') {
            continue;
        }
        for text in texts().filter_map(|raw| decoded(&raw)).filter(|text| !text.is_empty() && text.len() < 100) {
            let part = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string();
            let filled = ["{id}", "{tenant}", "{alias}", "{public_id}"]
                .iter()
                .fold(path.clone(), |path, name| path.replace(name, &part));
            let answer = stack.call(Method::GET, format!("{url}{filled}")).bearer(credential).send().await;
            assert!(matches!(answer.status.as_u16(), 400 | 404), "{filled}: {}", answer.text);
            assert!(!answer.text.contains("DROP"), "{}", answer.text);
        }
    }
    assert_eq!(stack.recorded().await, recorded, "questions issue nothing");
    tables_are_unharmed(&stack).await;
    assert_eq!(panics(), before);
}

#[tokio::test]
async fn wildcards_are_letters_and_a_subject_is_found_by_itself_only() {
    let stack = patient().start().await;
    unlimited(&stack).await;
    let ask = async |path: String| {
        let answer = stack.get(&path).bearer(&stack.demo.alpha.api_key).send().await;
        answer.data(200)["items"].as_array().unwrap().clone()
    };
    let said = stack.token.split('.').nth(1).unwrap();
    let said = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, said).unwrap();
    let mut claims: Value = serde_json::from_slice(&said).unwrap();
    let mut subjects: Vec<String> = texts().filter_map(|raw| decoded(&raw)).collect();
    subjects.retain(|text| (1..=255).contains(&text.len()) && !text.chars().any(char::is_control));
    subjects.push("ab".to_owned());
    for subject in &subjects {
        claims["sub"] = json!(subject);
        stack.presign_as(&tokens::hs256(&stack.demo.jwt_secret, &claims)).await.url();
    }
    for subject in &subjects {
        let found = ask(format!("/v1/uploads?subject={}", percent_encoded(subject))).await;
        assert_eq!(found.len(), 1, "{subject}");
        assert_eq!(found[0]["caller"]["subject"], *subject);
    }
    for (object_key, most) in [("%", 0), ("_", 0), ("2%", 0), ("20__", 0), ("\\", 0), ("20", subjects.len())] {
        assert_eq!(ask(format!("/v1/uploads?key={}", percent_encoded(object_key))).await.len(), most, "{object_key}");
    }
    let slugs = async |prefix: &str| {
        let path = format!("/tenants?slug_prefix={}", percent_encoded(prefix));
        let answer = stack.admin(Method::GET, &path).send().await;
        answer.body["data"]["items"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(
        (slugs("al").await, slugs("%").await, slugs("_").await, slugs("a_").await, slugs("\\").await),
        (1, 0, 0, 0, 0)
    );
    let actors = stack.admin(Method::GET, &format!("/audit-events?actor={}", percent_encoded("%"))).send().await;
    assert!(actors.body["data"]["items"].as_array().is_none_or(Vec::is_empty), "{}", actors.text);
    tables_are_unharmed(&stack).await;
}

#[tokio::test]
async fn the_command_line_keeps_texts_byte_for_byte_or_refuses_them() {
    let sealing_key = SealingKey::generate("k1", &Randomness::System);
    let workbench = Workbench::new(postgres::fresh_database().await, sealing_key.expose_secret());
    let run = async |arguments: &[&str]| -> Value {
        serde_json::from_str(&workbench.run(&[arguments, &["--output", "json"]].concat()).await).unwrap()
    };
    let texts = ["'; DROP TABLE tenants; --", "%_\\$1", "\u{1f600}\u{2028}\u{202e}"];
    for (number, text) in texts.into_iter().enumerate() {
        let slug = format!("t{number}");
        assert_eq!(run(&["tenant", "create", &slug, "--name", text]).await["name"], text);
        assert_eq!(run(&["tenant", "show", &slug]).await["name"], text);
        let refused = workbench.fail(&["tenant", "create", text]).await;
        assert!(refused.contains("slug must be") && !refused.contains("panicked"), "{refused}");
    }
    let refused = workbench.fail(&["tenant", "update", "t0", "--name", "a\u{1b}[31m"]).await;
    assert!(!refused.contains("panicked"), "{refused}");
    assert_eq!(run(&["tenant", "list"]).await["items"].as_array().unwrap().len(), texts.len());
}
