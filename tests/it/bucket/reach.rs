//! Which stores are reached, and what is believed of their answers.

use std::net::Ipv4Addr;

use presign_gateway::buckets::BucketClient;
use presign_gateway::buckets::doctor::{self, Health};
use presign_gateway::dev::object_store;
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::egress::{Egress, Resolution};
use tokio::net::TcpListener;

use super::{APP, client, credential, open};

#[tokio::test]
async fn bucket_at_a_private_address_needs_an_allowed_host() {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = server.local_addr().unwrap().port();
    let names = Resolution::Fixed([("s3.example.com".to_owned(), vec![Ipv4Addr::LOCALHOST.into()])].into());
    let elsewhere = open(&format!("https://s3.example.com:{port}"), "alpha-uploads", credential("alpha"));

    let careful = Egress::with_names(AllowedHosts::default(), names.clone());
    let findings = doctor::examine(&elsewhere, APP, &careful, &Clock::System, &Randomness::System).await;
    let last = findings.last().unwrap();
    assert!(last.health == Health::Bad && last.found.contains("public"), "{findings:?}");
    BucketClient::new(&elsewhere, &careful).unwrap().cors_rules().await.unwrap_err();
    let by_number = open("http://127.0.0.1:9", "alpha-uploads", credential("alpha"));
    assert!(BucketClient::new(&by_number, &careful).is_err(), "nobody resolves a number");
    let connected = tokio::time::timeout(std::time::Duration::from_millis(100), server.accept()).await;
    assert!(connected.is_err(), "nobody came");

    let allowed = AllowedHosts::parse(["s3.example.com"]).unwrap();
    let trusting = Egress::with_names(allowed, names);
    let asking = tokio::spawn(async move { BucketClient::new(&elsewhere, &trusting).unwrap().cors_rules().await });
    server.accept().await.unwrap();
    asking.abort();
}

/// A store that answers everything with this.
async fn store_that_answers(answer: impl Fn() -> axum::response::Response + Clone + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(move || std::future::ready(answer()));
    tokio::spawn(object_store::run(listener, router, std::future::pending()));
    url
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let endless = || {
        let chunk = || Ok::<_, std::io::Error>(axum::body::Bytes::from_static(&[b' '; 8192]));
        let chunks = futures_util::stream::repeat_with(chunk);
        axum::response::Response::new(axum::body::Body::from_stream(chunks))
    };
    let url = store_that_answers(endless).await;
    let bucket = client(&open(&url, "alpha-uploads", credential("alpha")));
    let error =
        tokio::time::timeout(std::time::Duration::from_secs(10), bucket.cors_rules()).await.unwrap().unwrap_err();
    assert_eq!(error.code, "unreadable response", "not read until the time is over");
}

#[tokio::test]
async fn of_a_stores_error_only_a_plain_word_is_repeated() {
    let told = async |code: &'static str| {
        let answer = move || {
            let body = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
            let mut response = axum::response::Response::new(axum::body::Body::from(body));
            *response.status_mut() = axum::http::StatusCode::FORBIDDEN;
            response
        };
        let url = store_that_answers(answer).await;
        client(&open(&url, "alpha-uploads", credential("alpha"))).cors_rules().await.unwrap_err().code
    };
    assert_eq!(told("AccessDenied").await, "AccessDenied");
    assert_eq!(told("EVIL &#27;[31m X-Amz-Signature=deadbeef").await, "HTTP 403");
}
