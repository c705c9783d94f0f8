//! `/admin/v1/tenants/{tenant}/buckets`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stack::{Answer, TestStack};

/// A body that adds alpha's bucket on the stack's store once more.
fn bucket(stack: &TestStack, alias: &str) -> Value {
    let alpha = &stack.demo.alpha;
    json!({
        "alias": alias, "endpoint": stack.s3_url, "region": "us-east-1", "bucket": alpha.bucket,
        "access_key_id": alpha.access_key_id, "secret_access_key": alpha.secret_access_key,
    })
}

async fn call(stack: &TestStack, method: Method, path: &str, body: Value) -> Answer {
    stack.admin(method, &format!("/tenants/alpha/buckets{path}")).json(&body).send().await
}

async fn list(stack: &TestStack) -> Vec<(String, bool)> {
    let answer = call(stack, Method::GET, "", json!({})).await;
    let items = answer.data(200)["items"].as_array().unwrap().clone();
    items.iter().map(|row| (row["alias"].as_str().unwrap().to_owned(), row["is_default"] == true)).collect()
}

#[tokio::test]
async fn a_tenant_has_several_buckets_and_one_of_them_is_the_default() {
    let stack = TestStack::start().await;
    let added = call(&stack, Method::POST, "", bucket(&stack, "archive")).await;
    assert_eq!(added.data(201)["is_default"], false);
    assert_eq!(added.header("location"), Some("/admin/v1/tenants/alpha/buckets/archive"));
    assert_eq!(list(&stack).await, [("default".to_owned(), true), ("archive".to_owned(), false)]);

    call(&stack, Method::POST, "/archive/set-default", json!({})).await.data(200);
    assert_eq!(list(&stack).await, [("archive".to_owned(), true), ("default".to_owned(), false)]);
    stack.presign("ext=jpg").await.url();
    let used: String = sqlx::query_scalar("SELECT alias FROM uploads JOIN buckets ON buckets.id = bucket_id")
        .fetch_one(&mut stack.connect().await)
        .await
        .unwrap();
    assert_eq!(used, "archive");

    let mut third = bucket(&stack, "third");
    third["is_default"] = json!(true);
    call(&stack, Method::POST, "", third).await.data(201);
    assert_eq!(list(&stack).await.iter().filter(|(_, is_default)| *is_default).count(), 1);
}

#[tokio::test]
async fn archived_bucket_frees_its_alias_and_default_one_stays() {
    let stack = TestStack::start().await;
    call(&stack, Method::POST, "/default/archive", json!({})).await.assert_error(409, "conflict");
    call(&stack, Method::POST, "", bucket(&stack, "old")).await.data(201);
    call(&stack, Method::POST, "/old/archive", json!({})).await.data(200);
    for (method, path) in [
        (Method::GET, "/old"),
        (Method::PATCH, "/old"),
        (Method::POST, "/old/archive"),
        (Method::POST, "/old/set-default"),
        (Method::POST, "/old/doctor"),
        (Method::GET, "/old/cors"),
    ] {
        call(&stack, method, path, json!({})).await.assert_error(404, "resource_not_found");
    }
    call(&stack, Method::POST, "", bucket(&stack, "old")).await.data(201);
    call(&stack, Method::POST, "", bucket(&stack, "old")).await.assert_field(409, "already_exists", "alias");
}

#[tokio::test]
async fn a_secret_can_be_written_and_is_never_read_back() {
    let stack = TestStack::start().await;
    let added = call(&stack, Method::POST, "", bucket(&stack, "second")).await;
    let changed = call(&stack, Method::PATCH, "/second", json!({ "alias": "other" })).await;
    assert_eq!(changed.data(200)["alias"], "other");
    let shown = call(&stack, Method::GET, "/other", json!({})).await;
    for answer in [&added, &changed, &shown] {
        assert!(!answer.text.contains("secret") && !answer.text.contains("sealed"), "{}", answer.text);
        assert!(answer.text.contains("demo-alpha"), "the access key id is no secret");
    }
}

#[tokio::test]
async fn what_a_provider_cannot_have_is_refused_when_it_is_set() {
    let stack = TestStack::start().await;
    let mut r2 = bucket(&stack, "r2");
    r2["endpoint"] = json!("https://account.r2.cloudflarestorage.com");
    for (field, wrong) in [
        ("alias", json!("Not An Alias")),
        ("endpoint", json!("http://s3.example.com")),
        ("endpoint", json!("https://user:pass@s3.example.com")),
        ("endpoint", json!("https://s3.example.com/bucket")),
        ("endpoint", json!("https://s3.example.com?x=1")),
        ("endpoint", json!("https://s3.example.com#x")),
        ("endpoint", json!("https://169.254.169.254")),
        ("endpoint", json!("https://10.0.0.1")),
        ("endpoint", json!("s3.example.com")),
        ("region", json!("mars")),
        ("region", json!("eu-central-1")),
        ("bucket", json!("Bucket")),
        ("bucket", json!("with.dot")),
        ("bucket", json!("192.168.0.1")),
        ("addressing", json!("sideways")),
        ("provider", json!("gcs")),
        ("access_key_id", json!("")),
        ("access_key_id", json!("a b")),
        ("access_key_id", json!("x".repeat(257))),
        ("secret_access_key", json!("")),
        ("secret_access_key", json!("x".repeat(257))),
        ("session_token", json!("x".repeat(4097))),
    ] {
        let mut body = r2.clone();
        body[field] = wrong.clone();
        let answer = call(&stack, Method::POST, "", body).await;
        assert_eq!(
            (answer.reason(), &answer.body["field"]),
            ("invalid_field", &json!(field)),
            "{wrong}: {}",
            answer.text
        );
    }
    call(&stack, Method::POST, "", r2).await.data(201);
    let custom = json!({ "endpoint": "https://cdn.example.com" });
    call(&stack, Method::PATCH, "/r2", custom).await.assert_field(400, "invalid_field", "endpoint");
}

#[tokio::test]
async fn a_credential_that_does_not_work_does_not_take_over() {
    let stack = TestStack::start().await;
    let alpha = &stack.demo.alpha;
    let wrong = json!({ "access_key_id": alpha.access_key_id, "secret_access_key": "not-the-secret-of-alpha" });
    let refused = call(&stack, Method::POST, "/default/rotate-credential", wrong.clone()).await;
    refused.assert_error(422, "credential_failed");
    assert!(refused.message().contains("SignatureDoesNotMatch"), "{}", refused.message());
    let others = json!({ "access_key_id": stack.demo.beta.access_key_id, "secret_access_key": stack.demo.beta.secret_access_key });
    call(&stack, Method::POST, "/default/rotate-credential", others).await.assert_error(422, "credential_failed");
    assert_eq!(call(&stack, Method::GET, "/default", json!({})).await.data(200)["credential_version"], 1);
    let issued = stack.presign("ext=jpg").await;
    assert_eq!(stack.client.put(issued.url()).body("x").send().await.unwrap().status(), 200, "the old one still signs");

    // Somebody who knows better may have it all the same.
    let mut forced = wrong;
    forced["skip_check"] = json!(true);
    let rotated = call(&stack, Method::POST, "/default/rotate-credential", forced).await;
    assert_eq!(rotated.data(200)["bucket"]["credential_version"], 2);
    assert_eq!(stack.client.put(stack.presign("ext=jpg").await.url()).body("x").send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_credential_that_works_takes_over_and_says_what_was_found() {
    let stack = TestStack::start().await;
    let alpha = &stack.demo.alpha;
    let same = json!({ "access_key_id": alpha.access_key_id, "secret_access_key": alpha.secret_access_key });
    let rotated = call(&stack, Method::POST, "/default/rotate-credential", same).await;
    assert_eq!(rotated.data(200)["bucket"]["credential_version"], 2);
    let findings = rotated.data(200)["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["check"] == "PUT a file" && finding["health"] == "good"));
    stack.presign("ext=jpg").await.url();
}

#[tokio::test]
async fn cors_rules_are_set_and_the_doctor_sees_them() {
    let stack = TestStack::start().await;
    assert_eq!(call(&stack, Method::GET, "/default/cors", json!({})).await.data(200)["items"], json!([]));
    let origins = json!({ "origins": ["https://app.example.com"] });
    let set = call(&stack, Method::PUT, "/default/cors", origins).await;
    assert_eq!(set.data(200)["items"][0]["allowed_origins"], json!(["https://app.example.com"]));
    assert_eq!(call(&stack, Method::GET, "/default/cors", json!({})).await.data(200), set.data(200));
    for (origin, health) in [("https://app.example.com", "good"), ("https://other.example.com", "fair")] {
        let findings = call(&stack, Method::POST, "/default/doctor", json!({ "origin": origin })).await;
        let last = findings.data(200)["items"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(last["health"], health, "{last}");
        let mends = format!("bucket cors set alpha --bucket default --origin {origin}");
        assert_eq!(last["remedy"].as_str().is_some_and(|remedy| remedy.contains(&mends)), health == "fair", "{last}");
    }
    let wrong = call(&stack, Method::PUT, "/default/cors", json!({ "origins": ["app.example.com"] })).await;
    assert_eq!(wrong.reason(), "invalid_field", "{}", wrong.text);
}

#[tokio::test]
async fn credential_is_stored_only_for_the_location_it_was_tested_on() {
    let stack = TestStack::start().await;
    let proxy = Proxy::to(&stack.s3_url.as_str().into()).await;
    let mut slow = bucket(&stack, "slow");
    slow["endpoint"] =
        json!(secrecy::ExposeSecret::expose_secret(&proxy.url(&stack.s3_url.as_str().into())).trim_end_matches('/'));
    call(&stack, Method::POST, "", slow).await.data(201);
    proxy.freeze();
    let alpha = &stack.demo.alpha;
    let credential = json!({ "access_key_id": alpha.access_key_id, "secret_access_key": alpha.secret_access_key });
    let rotating = call(&stack, Method::POST, "/slow/rotate-credential", credential);
    let meanwhile = async {
        eventually("the trial has begun", || async { (proxy.connections() > 0).then_some(()) }).await;
        call(&stack, Method::PATCH, "/slow", json!({ "bucket": "somewhere-else" })).await.data(200);
        proxy.mend();
    };
    let (rotated, ()) = tokio::join!(rotating, meanwhile);
    rotated.assert_error(409, "conflict");
    assert_eq!(call(&stack, Method::GET, "/slow", json!({})).await.data(200)["credential_version"], 1);
}

#[tokio::test]
async fn concurrent_credential_rotations_conflict() {
    let stack = TestStack::start().await;
    let alpha = &stack.demo.alpha;
    let credential = json!({ "access_key_id": alpha.access_key_id, "secret_access_key": alpha.secret_access_key, "skip_check": true });
    let rotate = || {
        let path = "/tenants/alpha/buckets/default/rotate-credential";
        stack.admin(Method::POST, path).header("if-match", "\"1\"").json(&credential).send()
    };
    rotate().await.data(200);
    rotate().await.assert_error(412, "revision_conflict");
}

#[tokio::test]
async fn what_was_asked_of_a_store_is_on_record_even_where_it_refused() {
    let stack = TestStack::start().await;
    let wrong = json!({ "access_key_id": stack.demo.alpha.access_key_id, "secret_access_key": "not-the-secret-of-alpha", "skip_check": true });
    call(&stack, Method::POST, "/default/rotate-credential", wrong).await.data(200);
    let origins = json!({ "origins": ["https://app.example.com"] });
    let refused = call(&stack, Method::PUT, "/default/cors", origins).await;
    refused.assert_error(502, "bucket_failed");
    assert_eq!(refused.message(), "The bucket's store returned an error: SignatureDoesNotMatch");
    let events = stack.admin(Method::GET, "/audit-events?tenant=alpha&limit=2").send().await;
    let actions: Vec<&Value> =
        events.data(200)["items"].as_array().unwrap().iter().map(|event| &event["action"]).collect();
    assert_eq!(actions, ["bucket.set_cors_failed", "bucket.set_cors"]);
    let origin = json!({ "origin": "a\nb" });
    call(&stack, Method::POST, "/default/doctor", origin).await.assert_field(400, "invalid_field", "origin");
}

#[tokio::test]
async fn doctor_compares_enforced_bindings_with_declared_ones() {
    let stack = TestStack::start().await;
    let health = async |check: &str| {
        let findings = call(&stack, Method::POST, "/default/doctor", json!({})).await.data(200)["items"].clone();
        let found =
            findings.as_array().unwrap().iter().find(|finding| finding["check"].as_str().unwrap().contains(check));
        found.unwrap()["health"].as_str().unwrap().to_owned()
    };
    assert_eq!((health("twice").await, health("digest").await), ("good".to_owned(), "good".to_owned()));
    let changed = call(&stack, Method::PATCH, "/default", json!({ "enforced_bindings": ["write_once"] })).await;
    assert_eq!(changed.data(200)["enforced_bindings"], json!(["write_once"]));
    assert_eq!((health("twice").await, health("digest").await), ("good".to_owned(), "fair".to_owned()));
    for wrong in [json!(["size"]), json!(null)] {
        let answer = call(&stack, Method::PATCH, "/default", json!({ "enforced_bindings": wrong })).await;
        answer.assert_field(400, "invalid_field", "enforced_bindings");
    }
}
