//! What a client does with the URL: PUTs real bytes to a real store.

use chrono::{TimeDelta, Utc};
use presign_gateway::domain::bucket::{Addressing, BucketName, Endpoint, Location, Provider, Region};
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::credential::Credential;
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::presign::{Operation, Signer};

use crate::support::stack::TestStack;

const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n not really, but bytes are bytes \x00\xff";

async fn put(stack: &TestStack, url: &str) -> u16 {
    stack.client.put(url).body(PICTURE).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_bare_put_of_real_bytes_arrives_in_the_tenants_bucket() {
    let stack = TestStack::start().await;
    let answer = stack.presign("ext=png&width=640&height=480&duration=1.5&type=thumb").await;
    assert_eq!(put(&stack, answer.url()).await, 200);
    let file = stack.files.path().join("buckets").join(&stack.demo.alpha.bucket).join(answer.object_key());
    assert_eq!(std::fs::read(file).unwrap(), PICTURE);
}

#[tokio::test]
async fn a_url_that_was_tampered_with_fails() {
    let stack = TestStack::start().await;
    let answer = stack.presign("ext=png&width=640").await;
    let url = answer.url();
    let id = answer.object_key().rsplit('/').next().unwrap();
    for (what, tampered) in [
        ("another object key", url.replace(id, "mine.png")),
        ("another extension", url.replace(".png?", ".html?")),
        ("another bucket", url.replace("/alpha-uploads/", "/beta-uploads/")),
        ("a longer life", url.replace("X-Amz-Expires=300", "X-Amz-Expires=3000")),
        ("other metadata", url.replace("x-amz-meta-width=640", "x-amz-meta-width=641")),
        ("more metadata", format!("{url}&x-amz-meta-owner=me")),
        ("another signer", url.replace("demo-alpha", "demo-beta")),
    ] {
        assert_ne!(tampered, url, "{what}");
        assert_eq!(put(&stack, &tampered).await, 403, "{what}");
    }
    assert_eq!(put(&stack, url).await, 200, "the URL itself still works");
}

#[tokio::test]
async fn a_url_that_has_expired_fails() {
    let stack = TestStack::start().await;
    let location = Location {
        endpoint: Endpoint::parse(&stack.s3_url, &AllowedHosts::any()).unwrap(),
        region: Region::parse("us-east-1").unwrap(),
        bucket_name: BucketName::parse(&stack.demo.alpha.bucket).unwrap(),
        addressing: Addressing::Path,
        provider: Provider::Generic,
    };
    let credential = Credential {
        access_key_id: stack.demo.alpha.access_key_id.clone(),
        secret_access_key: stack.demo.alpha.secret_access_key.as_str().into(),
        session_token: None,
    };
    let issued = |ago| {
        let at: chrono::DateTime<Utc> = Clock::System.now() - TimeDelta::seconds(ago);
        Signer::new(&credential, &location).sign(Operation::Put { metadata: &[], headers: &[] }, "a.png", 60, at)
    };
    assert_eq!(put(&stack, issued(61).expose()).await, 403);
    assert_eq!(put(&stack, issued(30).expose()).await, 200);
}

#[tokio::test]
async fn a_browser_may_put_from_any_page_and_read_the_etag() {
    let stack = TestStack::start().await;
    let answer = stack.presign("ext=png").await;
    let request = stack.client.put(answer.url()).header("origin", "https://app.example.com").body(PICTURE);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    assert!(response.headers()["access-control-expose-headers"].to_str().unwrap().contains("etag"));
    assert!(response.headers().contains_key("etag"));
}
