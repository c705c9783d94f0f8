//! An issuer of JWTs whose keys are at a URL: down, slow, talking nonsense.

use std::process::Stdio;
use std::time::{Duration, Instant};

use presign_gateway::admin::{NewJwtIssuer, NewVerification};
use presign_gateway::domain::caller::{Scope, Scopes};
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::domain::jwt_issuer::{JwksUrl, JwtAlgorithm};
use presign_gateway::domain::tenant::Slug;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::check::percentile;
use super::load::{CROWD, Issued, Target};
use super::scene::{IS_LONG, PATIENCE, SLOW, Scene, recovery, short_or_long};
use crate::support::jwks_server::{Publish, Publisher};
use crate::support::tokens::{AUDIENCE, ISSUER, IssuerKey, claims};
use crate::support::within;

/// Whoever waits for the issuer's keys waits no longer: the fetch has its limit, and the machine does much else.
const MAX_FETCH: Duration = Duration::from_secs(9);

/// Lets an issuer's tokens speak for alpha.
pub async fn add_issuer(scene: &Scene, algorithm: JwtAlgorithm, verification: NewVerification) -> String {
    let new = NewJwtIssuer {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        algorithm,
        verification,
        leeway_seconds: 30,
        scopes: Scopes::default().with(Scope::UploadsIssue),
        scopes_claim: "scope".to_owned(),
    };
    let added = scene.tenants.add_jwt_issuer(&Slug::parse("alpha").unwrap(), new, &scene.keyring()).await;
    added.unwrap().id.to_string()
}

struct Issuer {
    scene: Scene,
    id: String,
    publisher: Publisher,
    client: Client,
}

impl Issuer {
    async fn start(key: &IssuerKey) -> Self {
        let settings = [
            // By default a minute; an issuer that fails is asked again sooner than this all the same.
            ("PRESIGN__AUTH__JWKS_COOLDOWN_SECONDS", "60"),
            ("PRESIGN__AUTH__JWKS_REFRESH_SECONDS", "1"),
            ("PRESIGN__AUTH__FAILURES_BURST", "100000"),
        ];
        let scene = Scene::patient(
            "JWKS issuer: down, slow, garbage, redirects, endless, cut off, wrong keys, 500s",
            &settings,
        )
        .await;
        let publisher = Publisher::start(Publish::Text(key.jwks())).await;
        let url = JwksUrl::parse(&publisher.url(), &AllowedHosts::any()).unwrap();
        let id = add_issuer(&scene, JwtAlgorithm::Es256, NewVerification::JwksUrl(url)).await;
        Self { scene, id, publisher, client: Client::builder().no_proxy().build().unwrap() }
    }

    /// The status and the reason that a token is answered with.
    async fn presign(&self, token: &str) -> (u16, String) {
        let began = Instant::now();
        let asked = self.client.get(format!("{}/oss/presign?ext=jpg", self.scene.target.url));
        let answer = asked.bearer_auth(token).send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        assert!(began.elapsed() < MAX_FETCH, "{status} after {:?}", began.elapsed());
        (status, body["reason"].as_str().unwrap_or_default().to_owned())
    }

    /// What `jwt-issuer test` says of a token.
    async fn test(&self, token: &str) -> (bool, String) {
        let arguments = ["jwt-issuer", "test", "alpha", &self.id, "--token-stdin"];
        let mut command = self.scene.workbench.command(&arguments);
        let mut child = command.envs(SLOW).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(token.as_bytes()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    }

    async fn failing(&self) -> f64 {
        self.scene.metric("presign_gateway_jwks_issuers", &[("state", "failing")]).await
    }
}

fn faults(elsewhere: &Publisher, key: &IssuerKey) -> [(Publish, &'static str); 8] {
    let twice = json!({ "keys": [key.jwk, key.jwk] }).to_string();
    [
        (Publish::Status(500), "500"),
        (Publish::Redirect(elsewhere.url()), "redirect"),
        (Publish::Garbage, ""),
        (Publish::Endless, ""),
        (Publish::CutOff, ""),
        (Publish::Text(twice), "not usable"),
        (Publish::Text(IssuerKey::rs256().jwks()), "not usable"),
        (Publish::Hang, "in time"),
    ]
}

/// The claims of a token that outlives a test.
fn long_claims(subject: &str) -> Value {
    let mut claims = claims();
    claims["exp"] = json!(claims["iat"].as_i64().unwrap() + 3600);
    claims["sub"] = json!(subject);
    claims
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faulty_issuer_keeps_known_keys_and_new_key_works_later() {
    let key = IssuerKey::es256();
    let mut issuer = Issuer::start(&key).await;
    let elsewhere = Publisher::start(Publish::Status(200)).await;
    let load = issuer.scene.load().await;
    let before = issuer.scene.rows().await;
    let with_token = Target { api_key: key.token(Some("first"), &long_claims("known")), ..issuer.scene.target.clone() };
    assert_eq!(issuer.presign(&with_token.api_key).await.0, 200);
    let by_token = load.crowd(&with_token, short_or_long(4, 16));
    load.issues(short_or_long(100, 2000), PATIENCE).await;
    let well = load.issued();
    let faults = faults(&elsewhere, &key);
    let mut keys = vec![json!(key.jwk)];
    for (number, (publish, cause)) in faults.iter().take(short_or_long(1, faults.len())).enumerate() {
        let asked = issuer.publisher.requests();
        issuer.publisher.set(publish.clone());
        let mut new = IssuerKey::es256();
        let kid = format!("new-{number}");
        new.jwk.common.key_id = Some(kid.clone());
        let token = new.token(Some(&kid), &long_claims("new"));
        let told = async || (issuer.presign(&token).await == (503, "unavailable".to_owned())).then_some(());
        within(PATIENCE, "nobody can say whether there is such a key", told).await;
        assert!(issuer.publisher.requests() <= asked + 12, "it is asked again and again");
        let failing = async || (issuer.failing().await > 0.0).then_some(());
        within(PATIENCE, "it is told", failing).await;
        if *IS_LONG || number == 0 {
            let (passed, said) = issuer.test(&token).await;
            assert!(!passed && said.contains(cause), "{publish:?}: {said}");
        }
        load.issues(short_or_long(100, 2000), PATIENCE).await;
        keys.push(json!(new.jwk));
        issuer.publisher.set(Publish::Text(json!({ "keys": keys }).to_string()));
        let back = Instant::now();
        let works = async || (issuer.presign(&token).await.0 == 200).then_some(());
        within(PATIENCE, "a new key works", works).await;
        assert!(back.elapsed() < recovery(), "{:?}", back.elapsed());
        issuer.scene.recovered_within(back.elapsed());
    }
    let ill = load.issued();
    by_token.disperse().await;
    issuer.scene.recovers(&load).await;
    assert_eq!(elsewhere.requests(), 0, "a redirect was followed");
    let told = issuer.scene.end(load, &before).await;
    assert_eq!(told.refused.len() + told.cut.len(), 0, "{:?}", told.refused.first());
    let with_api_key = |issued: &&Issued| issued.width < CROWD;
    assert!(told.issued.iter().filter(|issued| issued.width >= CROWD).count() > 20, "tokens were let in");
    let p99 = |issued: &[Issued]| percentile(issued.iter().filter(with_api_key).map(|issued| issued.took), 99);
    let (usual, during) = (p99(&told.issued[..well]), p99(&told.issued[well..ill]));
    // A command runs now and then meanwhile.
    assert!(!*IS_LONG || during < usual * 3, "API keys: p99 {usual:?}, then {during:?}");
}
