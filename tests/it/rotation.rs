//! Credential and sealing key rotate while clients upload, and no request fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use presign_gateway::admin::TenantChanges;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use reqwest::{Client, Method};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::stack::{Setup, TestStack};
use crate::support::{canary, eventually};

/// What the clients met.
#[derive(Default)]
struct Load {
    uploaded: AtomicUsize,
    stop: AtomicBool,
}

/// Presigns and PUTs, again and again; anything but success ends the test.
async fn upload_until_told(url: String, api_key: String, load: Arc<Load>) {
    let client = Client::builder().no_proxy().build().unwrap();
    while !load.stop.load(Ordering::Relaxed) {
        let answer = client.get(format!("{url}/oss/presign?ext=jpg")).bearer_auth(&api_key).send().await.unwrap();
        let status = answer.status();
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(status, 200, "{body}");
        let put = client.put(body["data"]["url"].as_str().unwrap()).body("bytes").send().await.unwrap();
        assert_eq!(put.status(), 200, "{}", put.text().await.unwrap());
        load.uploaded.fetch_add(1, Ordering::Relaxed);
    }
}

async fn rotate_to(stack: &TestStack, ops_url: &str, access_key_id: &str, secret: &str) {
    let url = format!("{ops_url}/admin/v1/tenants/alpha/buckets/default/rotate-credential");
    let body = json!({ "access_key_id": access_key_id, "secret_access_key": secret });
    stack.call(Method::POST, url).bearer(&stack.demo.operator_key).json(&body).send().await.data(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotating_credential_and_sealing_key_fails_no_upload() {
    let stack = Setup::new().set("AUTH__CACHE_SECONDS", "600").set("VAULT__CACHE_SECONDS", "600").start().await;
    let most = Some(1_000_000);
    stack.change_alpha(TenantChanges { rate_per_second: most, burst: most, ..TenantChanges::default() }).await;
    let new_key = SealingKey::generate("second", &Randomness::System);
    canary::watch(new_key.expose_secret());
    // Both instances know both keys before anything is sealed under the new one.
    let old = stack.sealing_key.expose_secret();
    let new_first = stack.another(&[("VAULT__KEYS", &format!("{},{old}", new_key.expose_secret()))]).await;
    let old_first = stack.another(&[("VAULT__KEYS", &format!("{old},{}", new_key.expose_secret()))]).await;

    let load = Arc::new(Load::default());
    let mut clients = JoinSet::new();
    for url in [&new_first.url, &old_first.url, &new_first.url, &old_first.url] {
        clients.spawn(upload_until_told(url.clone(), stack.demo.alpha.api_key.clone(), Arc::clone(&load)));
    }
    let more = || async {
        let target = load.uploaded.load(Ordering::Relaxed) + 50;
        eventually("more uploads", || async { (load.uploaded.load(Ordering::Relaxed) >= target).then_some(()) }).await;
    };
    more().await;
    let second = stack.second_credential();
    rotate_to(&stack, &old_first.ops_url, &second.access_key_id, second.secret_access_key.expose_secret()).await;
    more().await;
    let reseal = format!("{}/admin/v1/keyring/rotate", new_first.ops_url);
    let done = stack.call(Method::POST, reseal).bearer(&stack.demo.operator_key).send().await;
    assert_eq!(done.data(200)["failed"], json!([]));
    more().await;
    let first = &stack.demo.alpha;
    rotate_to(&stack, &new_first.ops_url, &first.access_key_id, &first.secret_access_key).await;
    more().await;
    load.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let signers: Vec<String> = sqlx::query_scalar("SELECT DISTINCT access_key_id FROM uploads ORDER BY 1")
        .fetch_all(&mut stack.connect().await)
        .await
        .unwrap();
    assert_eq!(signers, ["demo-alpha", "demo-alpha-second"], "each row tells which credential signed its URL");
}
