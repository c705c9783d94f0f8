//! Fetching: over real HTTP, from a server that misbehaves.

use std::collections::HashMap;
use std::net::IpAddr;

use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::egress::{Egress, FetchError, Resolution};
use url::Url;

use crate::support::jwks_server::{Publish, Publisher};

const MAX: usize = 10_000;

fn allowing(hosts: &[&str]) -> AllowedHosts {
    AllowedHosts::parse(hosts.iter().copied()).unwrap()
}

async fn fetch(outbound: &Egress, url: &str) -> Result<Vec<u8>, FetchError> {
    outbound.fetch(&Url::parse(url).unwrap(), MAX).await
}

async fn fetch_from(publisher: &Publisher) -> Result<Vec<u8>, FetchError> {
    fetch(&Egress::new(allowing(&["127.0.0.1"])), &publisher.url()).await
}

#[tokio::test]
async fn a_text_of_an_allowed_host_is_fetched() {
    let publisher = Publisher::start(Publish::Text("x".repeat(MAX))).await;
    assert_eq!(fetch_from(&publisher).await.unwrap().len(), MAX);
    publisher.set(Publish::Text("x".repeat(MAX + 1)));
    assert_eq!(fetch_from(&publisher).await, Err(FetchError::TooLong(MAX)));
}

#[tokio::test]
async fn bad_or_oversized_response_gets_its_own_error() {
    let elsewhere = Publisher::start(Publish::Text("{}".to_owned())).await;
    let publisher = Publisher::start(Publish::Endless).await;
    for (publish, expected) in [
        (Publish::Endless, FetchError::TooLong(MAX)),
        (Publish::Redirect(elsewhere.url()), FetchError::Redirected),
        (Publish::Status(500), FetchError::Status(500)),
        (Publish::Status(204), FetchError::Status(204)),
        (Publish::Garbage, FetchError::Broken),
        (Publish::CutOff, FetchError::Broken),
        (Publish::Hang, FetchError::TimedOut),
    ] {
        publisher.set(publish.clone());
        let error = fetch_from(&publisher).await.unwrap_err();
        assert_eq!(error, expected, "{publish:?}");
        let said = format!("{error} {error:?}");
        assert!(!said.contains("secret") && !said.contains("127.0.0.1"), "{said}");
    }
    assert_eq!(elsewhere.requests(), 0, "the redirect was followed");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outbound = Egress::new(AllowedHosts::any());
    assert_eq!(fetch(&outbound, &format!("http://{closed}/")).await, Err(FetchError::CannotConnect));
}

#[tokio::test]
async fn nothing_is_asked_of_a_host_that_is_not_allowed() {
    let publisher = Publisher::start(Publish::Text("{}".to_owned())).await;
    let port = publisher.address.port();
    let other_port = format!("127.0.0.1:{}", port - 1);
    for hosts in [&[][..], &["localhost"], &[&other_port]] {
        let outbound = Egress::new(allowing(hosts));
        for url in
            [publisher.url(), format!("https://127.0.0.1:{port}/"), format!("https://[::ffff:127.0.0.1]:{port}/")]
        {
            assert_eq!(fetch(&outbound, &url).await, Err(FetchError::NotAllowed), "{url} with {hosts:?}");
        }
    }
    assert_eq!(publisher.requests(), 0);
}

#[tokio::test]
async fn public_name_with_a_private_address_is_not_connected_to() {
    let publisher = Publisher::start(Publish::Text("{}".to_owned())).await;
    let port = publisher.address.port();
    let local: Vec<IpAddr> = ["127.0.0.1", "::1", "::ffff:127.0.0.1"].map(|text| text.parse().unwrap()).to_vec();
    let names = || Resolution::Fixed(HashMap::from([("idp.example".to_owned(), local.clone())]));

    let strict = Egress::with_names(AllowedHosts::default(), names());
    assert_eq!(fetch(&strict, &format!("https://idp.example:{port}/")).await, Err(FetchError::NotPublic));
    assert_eq!(fetch(&strict, &format!("https://other.example:{port}/")).await, Err(FetchError::NoAddress));
    assert_eq!(fetch(&strict, &format!("http://idp.example:{port}/")).await, Err(FetchError::NotAllowed));
    assert_eq!(publisher.requests(), 0);

    let allowing = Egress::with_names(allowing(&["idp.example"]), names());
    assert_eq!(fetch(&allowing, &format!("http://idp.example:{port}/")).await, Ok(b"{}".to_vec()));
}
