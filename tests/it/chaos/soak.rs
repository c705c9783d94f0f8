//! All kinds of requests for a long time: memory stays where it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use presign_gateway::admin::NewVerification;
use presign_gateway::domain::jwt_issuer::JwtAlgorithm;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::interval;

use super::issuer::add_issuer;
use super::load::{Load, Target, content_of};
use super::scene::{PATIENCE, Scene, short_or_long};
use crate::support::canary;
use crate::support::tokens::{claims, hs256};
use crate::v1::id_in;

const SECRET: &str = "a secret of thirty-two bytes or more, for the soak";
/// How much more the last third may take than the one before.
const FLAT_KB: u64 = 8 * 1024;

/// A client that does all there is to do but what the others do.
#[derive(Clone)]
struct Mixer {
    target: Target,
    client: Client,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
}

impl Mixer {
    /// Sends a request, and gives what it is answered; the status must be this one.
    async fn ask(&self, request: RequestBuilder, expected: u16) -> Value {
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(status, expected, "{text}");
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(body["code"], if status < 300 { 0 } else { status }, "{text}");
        self.done.fetch_add(1, Ordering::Relaxed);
        body["data"].clone()
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.target.url)).bearer_auth(&self.target.api_key)
    }

    async fn run(self, number: usize) {
        for turn in number.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let issued = self.ask(self.request(Method::POST, "/v1/uploads").json(&json!({ "ext": "jpg" })), 201).await;
            let object_key = issued["key"].as_str().unwrap();
            let complete = format!("/v1/uploads/{}/complete", id_in(object_key));
            self.ask(self.request(Method::POST, &complete).json(&json!({})), 409).await;
            let mut put = self.client.put(issued["url"].as_str().unwrap()).body(content_of(object_key));
            for (name, value) in issued["headers"].as_object().unwrap() {
                put = put.header(name, value.as_str().unwrap());
            }
            assert_eq!(put.send().await.unwrap().status(), 200);
            self.ask(self.request(Method::POST, &complete).json(&json!({})), 200).await;
            let batch = json!({ "uploads": vec![json!({ "ext": "png" }); 20] });
            self.ask(self.request(Method::POST, "/v1/uploads/batch").json(&batch), 200).await;
            self.ask(self.request(Method::GET, "/v1/uploads?limit=100"), 200).await;
            self.ask(self.request(Method::GET, "/oss/presign?ext=exe"), 400).await;
            // Each token is another one, as those of real users are.
            let mut claims = claims();
            claims["sub"] = json!(format!("user-{number}-{turn}"));
            let path = format!("{}/oss/presign?ext=jpg", self.target.url);
            self.ask(self.client.get(&path).bearer_auth(hs256(SECRET, &claims)), 200).await;
            // And each stranger comes from an address of his own.
            let [_, a, b, c] = u32::try_from(turn * 64 + number).unwrap().to_be_bytes();
            let stranger = self.client.get(&path).bearer_auth("pgw_nobody_nothing");
            self.ask(stranger.header("x-forwarded-for", format!("10.{a}.{b}.{c}")), 401).await;
        }
    }
}

/// The median of what was measured.
fn median(samples: &[u64]) -> u64 {
    let mut samples = samples.to_vec();
    samples.sort_unstable();
    samples[samples.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_under_mixed_requests() {
    let settings = [
        ("PRESIGN__SERVER__TRUSTED_PROXIES", "127.0.0.1/32"),
        // What is remembered has a limit; here one that is reached within the test.
        ("PRESIGN__AUTH__CACHE_TOKENS", "200"),
        ("PRESIGN__LIMITS__MAX_ADDRESSES", "1000"),
    ];
    let mut scene = Scene::patient("soak: all kinds of requests", &settings).await;
    canary::watch(SECRET);
    add_issuer(&scene, JwtAlgorithm::Hs256, NewVerification::HmacSecret(SECRET.into())).await;
    let before = scene.rows().await;
    let load = Load::paced(&scene.target, short_or_long(4, 16), Duration::from_millis(20));
    let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let mut mixers = JoinSet::new();
    for number in 0..4 {
        let client = Client::builder().no_proxy().build().unwrap();
        let (target, stop, done) = (scene.target.clone(), Arc::clone(&stop), Arc::clone(&done));
        mixers.spawn(Mixer { target, client, stop, done }.run(number));
    }
    load.issues(50, PATIENCE).await;
    let lasts = Duration::from_secs(short_or_long(6, 600));
    let mut samples = Vec::new();
    let (began, mut pace) = (Instant::now(), interval(lasts / 120));
    while began.elapsed() < lasts {
        pace.tick().await;
        samples.push(scene.server().memory_kb());
    }
    stop.store(true, Ordering::Relaxed);
    mixers.join_all().await;
    let third = samples.len() / 3;
    let (middle, last) = (median(&samples[third..2 * third]), median(&samples[2 * third..]));
    scene.note = Some(format!(
        "memory in use: {} kB at first, {middle} kB in the middle third, {last} kB in the last; {} other requests",
        samples[0],
        done.load(Ordering::Relaxed)
    ));
    // A short one is over before all that is remembered has its size.
    let more = FLAT_KB * short_or_long(4, 1);
    assert!(last <= middle + more, "{middle} kB, then {last} kB: {samples:?}");
    let told = scene.end(load, &before).await;
    assert_eq!(told.refused.len() + told.cut.len(), 0, "{:?}", told.refused.first());
}
