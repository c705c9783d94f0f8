//! The CORS rules of a bucket: read, set, held to by the development store, and judged by the doctor. No database.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::http::HeaderMap as AnyHeaders;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use presign_gateway::buckets::BucketClient;
use presign_gateway::buckets::credentials::OpenBucket;
use presign_gateway::buckets::doctor::{self, Finding, Health};
use presign_gateway::dev::object_store::{self, Account};
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::cors::CorsRule;
use presign_gateway::domain::credential::Credential;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::presign::Operation;
use proptest::prelude::*;
use reqwest::{Client, Method, Response};
use tempfile::TempDir;
use tokio::net::TcpListener;
use url::Url;

use super::{APP, anywhere, client, credential, open};
use crate::support::canary;

const OTHER: &str = "https://other.example.com";

/// A store with the buckets `alpha-uploads`, of the credentials `alpha` and `alpha-too`, and `beta-uploads`, of `beta`.
struct Store {
    url: String,
    files: TempDir,
    credentials: Vec<(&'static str, Credential)>,
    client: Client,
}

impl Store {
    async fn start() -> Self {
        canary::start();
        let names = [("alpha-uploads", "alpha"), ("alpha-uploads", "alpha-too"), ("beta-uploads", "beta")];
        let credentials = names.map(|(bucket, name)| (bucket, credential(name))).to_vec();
        Self::start_in(tempfile::tempdir().unwrap(), credentials).await
    }

    async fn start_in(files: TempDir, credentials: Vec<(&'static str, Credential)>) -> Self {
        let account = |(bucket, credential): &(&str, Credential)| Account {
            bucket: (*bucket).to_owned(),
            credential: credential.clone(),
        };
        let accounts: Vec<_> = credentials.iter().map(account).collect();
        let router = object_store::router(files.path(), &accounts).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(object_store::run(listener, router, std::future::pending()));
        Self { url, files, credentials, client: Client::builder().no_proxy().build().unwrap() }
    }

    /// Another store over the same folder, as after a restart.
    async fn restart(self) -> Self {
        Self::start_in(self.files, self.credentials).await
    }

    /// A bucket as somebody sees it.
    fn open(&self, bucket: &str, name: &str) -> OpenBucket {
        let (_, credential) = self.credentials.iter().find(|(_, known)| known.access_key_id == name).unwrap();
        open(&self.url, bucket, credential.clone())
    }

    fn alpha(&self) -> BucketClient {
        client(&self.open("alpha-uploads", "alpha"))
    }

    async fn set(&self, rules: &[CorsRule]) {
        self.alpha().set_cors_rules(rules).await.unwrap();
    }

    /// What a browser asks before it lets a page of `origin` do something with an object of alpha's.
    async fn preflight(&self, origin: &str, method: &str, headers: &str) -> Response {
        let url = format!("{}/alpha-uploads/a.png", self.url);
        let request = self.client.request(Method::OPTIONS, url).header("origin", origin);
        let request = request.header("access-control-request-method", method);
        request.header("access-control-request-headers", headers).send().await.unwrap()
    }

    async fn put(&self, origin: &str) -> Response {
        let open = self.open("alpha-uploads", "alpha");
        let put = Operation::Put { metadata: &[], headers: &[] };
        let url = open.signer.sign(put, "a.png", 60, Clock::System.now());
        self.client.put(url.expose()).header("origin", origin).body("bytes").send().await.unwrap()
    }

    async fn examine(&self, origin: &str) -> Finding {
        let open = self.open("alpha-uploads", "alpha");
        doctor::examine(&open, origin, &anywhere(), &Clock::System, &Randomness::System).await.pop().unwrap()
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn rule(origins: &[&str], methods: &[&str], headers: &[&str], exposed: &[&str]) -> CorsRule {
    CorsRule {
        allowed_origins: texts(origins),
        allowed_methods: texts(methods),
        allowed_headers: texts(headers),
        expose_headers: texts(exposed),
        max_age_seconds: None,
    }
}

fn for_uploads(origins: &[&str]) -> CorsRule {
    CorsRule::for_uploads(&texts(origins)).unwrap()
}

fn value<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn bucket_without_cors_rules_lets_every_page_upload() {
    let store = Store::start().await;
    assert_eq!(store.alpha().cors_rules().await, Ok(Vec::new()));
    let asked = store.preflight(APP, "PUT", "content-type, x-anything").await;
    assert_eq!(asked.status(), 200);
    assert_eq!(value(&asked, "access-control-allow-origin"), "*");
    assert_eq!(value(&asked, "access-control-allow-headers"), "content-type, x-anything");
    let answer = store.put(APP).await;
    assert_eq!(value(&answer, "access-control-allow-origin"), "*");
    assert!(value(&answer, "access-control-expose-headers").contains("etag"));
    assert_eq!(store.examine(APP).await.health, Health::Good);
}

#[tokio::test]
async fn cors_rules_survive_a_restart_and_are_not_an_object() {
    let store = Store::start().await;
    let rules = [for_uploads(&[APP, "http://localhost:5173"]), rule(&["*"], &["GET"], &[], &[])];
    store.set(&rules).await;
    assert_eq!(store.alpha().cors_rules().await.unwrap(), rules);
    let store = store.restart().await;
    assert_eq!(store.alpha().cors_rules().await.unwrap(), rules);
    let beta = client(&store.open("beta-uploads", "beta"));
    assert_eq!(beta.cors_rules().await, Ok(Vec::new()), "the other bucket has none");
    assert_eq!(std::fs::read_dir(store.files.path().join("alpha-uploads")).unwrap().count(), 0);
}

#[tokio::test]
async fn rules_are_replaced_as_a_whole_and_removed_by_setting_none() {
    let store = Store::start().await;
    store.set(&[for_uploads(&[APP]), for_uploads(&[OTHER])]).await;
    store.set(&[for_uploads(&[OTHER])]).await;
    assert_eq!(store.alpha().cors_rules().await.unwrap(), [for_uploads(&[OTHER])]);
    assert_eq!(store.preflight(APP, "PUT", "content-type").await.status(), 403);
    store.set(&[]).await;
    assert_eq!(store.alpha().cors_rules().await, Ok(Vec::new()));
    assert_eq!(store.preflight(APP, "PUT", "content-type").await.status(), 200);
}

#[tokio::test]
async fn preflight_uses_the_first_matching_rule_or_is_rejected() {
    let store = Store::start().await;
    let everywhere = rule(&["https://*.example.org", OTHER], &["GET"], &["x-amz-*"], &["x-amz-id"]);
    store.set(&[for_uploads(&[APP]), everywhere, rule(&["*"], &["GET"], &[], &[])]).await;
    for (origin, method, headers, allowed_origin) in [
        (APP, "PUT", "content-type", APP),
        (APP, "PUT", "Content-Type,if-none-match", APP),
        (APP, "HEAD", "", APP),
        (APP, "GET", "x-amz-date", ""),
        (APP, "DELETE", "", ""),
        (APP, "PUT", "content-type, x-other", ""),
        ("https://app.example.com.evil.example", "PUT", "", ""),
        ("http://app.example.com", "PUT", "", ""),
        (OTHER, "PUT", "", ""),
        (OTHER, "GET", "x-amz-date", OTHER),
        ("https://a.b.example.org", "GET", "x-amz-date", "https://a.b.example.org"),
        ("https://example.org", "GET", "x-amz-date", ""),
        ("null", "GET", "", "*"),
    ] {
        let asked = store.preflight(origin, method, headers).await;
        let case = format!("{origin} {method} {headers}");
        assert_eq!(asked.status(), if allowed_origin.is_empty() { 403 } else { 200 }, "{case}");
        assert_eq!(value(&asked, "access-control-allow-origin"), allowed_origin, "{case}");
    }
    let asked = store.preflight(APP, "PUT", "Content-Type").await;
    assert_eq!(value(&asked, "access-control-allow-methods"), "PUT, GET, HEAD");
    assert_eq!(value(&asked, "access-control-allow-headers"), "content-type");
    assert_eq!(value(&asked, "access-control-max-age"), "3600");
    assert!(store.preflight(APP, "POST", "").await.text().await.unwrap().contains("<Code>AccessForbidden</Code>"));
}

#[tokio::test]
async fn an_answer_is_shown_to_pages_of_a_listed_origin_only() {
    let store = Store::start().await;
    store.set(&[for_uploads(&[APP])]).await;
    let answer = store.put(APP).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(value(&answer, "access-control-allow-origin"), APP);
    assert_eq!(value(&answer, "access-control-expose-headers"), "ETag");
    assert!(value(&answer, "vary").contains("Origin"));
    let answer = store.put(OTHER).await;
    assert_eq!(answer.status(), 200, "rules are no lock");
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
    let spelled = store.client.get(format!("{}/%61lpha-uploads/a.png", store.url)).header("origin", OTHER);
    let answer = spelled.send().await.unwrap();
    assert!(!answer.headers().contains_key("access-control-allow-origin"), "however the bucket's name is spelled");
}

#[tokio::test]
async fn another_tenants_credential_can_neither_read_nor_set_rules() {
    let store = Store::start().await;
    store.set(&[for_uploads(&[APP])]).await;
    let stranger = client(&store.open("alpha-uploads", "beta"));
    assert_eq!(stranger.cors_rules().await.unwrap_err().code, "AccessDenied");
    assert_eq!(stranger.set_cors_rules(&[for_uploads(&["*"])]).await.unwrap_err().code, "AccessDenied");
    assert_eq!(stranger.set_cors_rules(&[]).await.unwrap_err().code, "AccessDenied");
    let forged = open(&store.url, "alpha-uploads", Credential { access_key_id: "alpha".to_owned(), ..credential("x") });
    let forged = client(&forged).set_cors_rules(&[]).await.unwrap_err();
    assert_eq!(forged.code, "SignatureDoesNotMatch");
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let unsigned = store.client.request(method.clone(), format!("{}/alpha-uploads?cors", store.url));
        let rule = "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>PUT</AllowedMethod></CORSRule>";
        let body = format!("<CORSConfiguration>{rule}</CORSConfiguration>");
        let answer = unsigned.body(body).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{method}");
    }
    assert_eq!(store.alpha().cors_rules().await.unwrap(), [for_uploads(&[APP])]);
}

#[tokio::test]
async fn both_credentials_of_a_bucket_use_it_and_no_other() {
    let store = Store::start().await;
    store.set(&[for_uploads(&[APP])]).await;
    assert_eq!(store.put(APP).await.status(), 200);
    let too = client(&store.open("alpha-uploads", "alpha-too"));
    assert_eq!(too.cors_rules().await.unwrap(), [for_uploads(&[APP])]);
    assert_eq!(too.head("a.png", false).await.unwrap().size_bytes, 5);
    let elsewhere = client(&store.open("beta-uploads", "alpha-too"));
    assert_eq!(elsewhere.head("a.png", false).await.unwrap_err().code, "HTTP 403");
}

#[tokio::test]
async fn the_store_refuses_rules_that_s3_refuses() {
    let store = Store::start().await;
    for (wrong, code) in [
        (vec![rule(&["https://*.*.example.com"], &["PUT"], &[], &[])], "InvalidRequest"),
        (vec![rule(&["*"], &["PATCH"], &[], &[])], "InvalidRequest"),
        (vec![rule(&["*"], &["PUT"], &["x-*-*"], &[])], "InvalidRequest"),
        (vec![rule(&["*"], &["PUT"], &[], &["*"])], "InvalidRequest"),
        (vec![for_uploads(&["*"]); 101], "MalformedXML"),
    ] {
        assert_eq!(store.alpha().set_cors_rules(&wrong).await.unwrap_err().code, code, "{wrong:?}");
    }
    assert_eq!(store.alpha().cors_rules().await, Ok(Vec::new()));
}

#[tokio::test]
async fn doctor_lists_missing_cors_rules_until_they_are_set() {
    let store = Store::start().await;
    let origin = "origin https://app.example.com is not allowed";
    let (method, header, etag) =
        ("method PUT is not allowed", "header content-type is not allowed", "ETag is not exposed");
    for (rules, missing) in [
        (vec![for_uploads(&[OTHER])], vec![origin]),
        (vec![rule(&[OTHER], &["GET"], &[], &[])], vec![origin, method, header, etag]),
        (vec![rule(&[APP], &["GET"], &[], &[])], vec![method, header, etag]),
        (vec![rule(&[APP], &["GET"], &["*"], &["ETag"])], vec![method]),
        (vec![rule(&[APP], &["DELETE"], &["*"], &[])], vec![method, etag]),
        (vec![rule(&[APP], &["PUT"], &[], &[])], vec![header, etag]),
        (vec![rule(&[APP], &["PUT"], &["x-other"], &["ETag"])], vec![header]),
        (vec![rule(&[APP], &["PUT"], &["*"], &["x-other"])], vec![etag]),
        (
            vec![rule(&[APP], &["PUT"], &[], &["ETag"]), rule(&[APP], &["GET"], &["*"], &[])],
            vec!["no single rule allows both method PUT and header content-type"],
        ),
    ] {
        store.set(&rules).await;
        let finding = store.examine(APP).await;
        assert_eq!((finding.health, finding.found), (Health::Fair, missing.join(", ")), "{rules:?}");
        let remedy = finding.remedy.unwrap();
        assert!(remedy.starts_with("presign-gateway bucket cors set TENANT --origin https://app.example.com"));
        assert!(remedy.contains(&format!("replaces the bucket's {} CORS rules", rules.len())), "{remedy}");
    }
    store.set(&[for_uploads(&[APP])]).await;
    let finding = store.examine(APP).await;
    assert_eq!((finding.health, finding.remedy), (Health::Good, None), "{}", finding.found);
}

/// A store of few words, which keeps what it was sent: answers OPTIONS and `?cors` with 403, all else with 200.
async fn reticent_store() -> (String, Arc<Mutex<Vec<(String, AnyHeaders, Vec<u8>)>>>) {
    canary::start();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&sent);
    let answer = async move |request: Request| {
        let (parts, body) = request.into_parts();
        let refused = parts.method == "OPTIONS" || parts.uri.query().is_some_and(|query| query.contains("cors"));
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec();
        kept.lock().unwrap().push((format!("{} {}", parts.method, parts.uri.path()), parts.headers, body));
        let refusal = "<Error><Code>AccessDenied</Code></Error>";
        if refused { (axum::http::StatusCode::FORBIDDEN, refusal) } else { (axum::http::StatusCode::OK, "") }
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, sent)
}

#[tokio::test]
async fn doctor_without_the_right_to_read_cors_says_what_is_needed() {
    let (url, _) = reticent_store().await;
    let open = open(&url, "alpha-uploads", credential("alpha"));
    let finding = doctor::examine(&open, APP, &anywhere(), &Clock::System, &Randomness::System).await.pop().unwrap();
    assert_eq!(finding.health, Health::Fair);
    assert!(
        finding.found.starts_with("origin https://app.example.com is not allowed; other gaps"),
        "{}",
        finding.found
    );
    let remedy = finding.remedy.unwrap();
    for needed in [APP, "method PUT", "header content-type", "expose ETag", "may not read them: AccessDenied"] {
        assert!(remedy.contains(needed), "{needed}: {remedy}");
    }
    assert!(!remedy.contains("bucket cors set"), "{remedy}");
}

#[tokio::test]
async fn cors_rules_are_sent_with_md5_and_no_newer_checksum() {
    let (url, sent) = reticent_store().await;
    let open = open(&url, "alpha-uploads", credential("alpha"));
    let refused = client(&open).set_cors_rules(&[for_uploads(&[APP])]).await.unwrap_err();
    assert_eq!(refused.code, "AccessDenied");
    let sent = sent.lock().unwrap();
    let (call, headers, body) = &sent[0];
    assert_eq!(call, "PUT /alpha-uploads/");
    assert!(String::from_utf8_lossy(body).contains("<AllowedOrigin>https://app.example.com</AllowedOrigin>"));
    assert_eq!(headers["content-md5"], STANDARD.encode(Md5::digest(body)));
    assert!(headers["authorization"].to_str().unwrap().contains("content-md5;"), "it is signed");
    let newer = headers.keys().filter(|name| name.as_str().contains("checksum"));
    assert_eq!(newer.count(), 0, "{headers:?}");
}

#[test]
fn cors_rule_for_uploads_has_no_wildcard() {
    let origins =
        [APP, "https://app.example.com:8443", "http://localhost:5173", "http://127.0.0.1", "http://[::1]:3000"];
    let value = serde_json::to_value(for_uploads(&origins)).unwrap();
    let expected = serde_json::json!({
        "allowed_origins": origins,
        "allowed_methods": ["PUT", "GET", "HEAD"],
        "allowed_headers":
            ["content-type", "cache-control", "content-disposition", "if-none-match", "x-amz-checksum-sha256"],
        "expose_headers": ["ETag"],
        "max_age_seconds": 3600,
    });
    assert_eq!(value, expected);
    assert_eq!(for_uploads(&["*"]).allowed_origins, ["*"]);
}

#[test]
fn invalid_origin_is_rejected_with_the_expected_form() {
    for (wrong, right) in [
        ("https://app.example.com/", "https://app.example.com"),
        ("https://app.example.com/upload?x#y", "https://app.example.com"),
        ("https://App.Example.com", "https://app.example.com"),
        ("HTTPS://app.example.com", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://localhost:80", "http://localhost"),
        ("https://me:secret@app.example.com", "https://app.example.com"),
        (" https://app.example.com", "https://app.example.com"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://app.example.com", "https; plain http only for localhost"),
        ("http://localhost.example.com", "https; plain http only for localhost"),
        ("https://*.example.com", "full origins without *"),
        ("app.example.com", "such as https://app.example.com"),
        ("ftp://app.example.com", "such as https://app.example.com"),
        ("null", "such as https://app.example.com"),
        ("", "such as https://app.example.com"),
    ] {
        let refused = CorsRule::for_uploads(&texts(&[APP, wrong])).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("origin {wrong:?} must be ")), "{refused}");
        assert!(refused.ends_with(right) || refused.contains(&format!("{right},")), "{refused}");
    }
    let refused = |origins: &[String]| CorsRule::for_uploads(origins).unwrap_err().to_string();
    assert_eq!(refused(&[]), "origins must be 1 to 100, not 0");
    assert_eq!(refused(&vec![APP.to_owned(); 101]), "origins must be 1 to 100, not 101");
    assert!(refused(&texts(&["*", APP])).starts_with("origin \"*\" must be either * alone"));
    assert!(CorsRule::for_uploads(&vec![APP.to_owned(); 100]).is_ok());
}

proptest! {
    #[test]
    fn origin_is_accepted_only_as_browsers_write_it(
        text in "(https?|HTTPS|wss|file)://([a-zA-Z0-9.*-]{1,12}|localhost|127\\.0\\.0\\.1|\\[::1\\])(:[0-9]{1,5})?(/|/a|\\?a|#a)?|\\PC{0,40}",
    ) {
        let sent = Url::parse(&text).map(|url| url.origin().ascii_serialization());
        let is_private = text.starts_with("https://")
            || ["localhost", "127.0.0.1", "[::1]"].iter().any(|host| {
                let rest = text.strip_prefix("http://").and_then(|rest| rest.strip_prefix(host));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
            });
        let expected = text == "*" || sent.is_ok_and(|sent| sent == text) && is_private && !text.contains('*');
        prop_assert_eq!(CorsRule::for_uploads(std::slice::from_ref(&text)).is_ok(), expected, "{}", text);
    }
}
