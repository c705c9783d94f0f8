//! What a URL is bound to, the store enforces: real PUTs.

use presign_gateway::admin::BucketChanges;
use presign_gateway::domain::binding::BindingSet;
use presign_gateway::domain::bucket::Alias;
use serde_json::{Value, json};

use crate::support::stack::TestStack;

const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n bytes \x00\xff";
/// Of `PICTURE`, by sha256sum.
const DIGEST: &str = "ccf4027b76415db0e104be16f066263436005af9e886b0b31393734f105a940d";

/// PUTs with the headers that the answer names, but for those in `instead`.
async fn put(stack: &TestStack, issued: &Value, body: &[u8], instead: &[(&str, &str)]) -> u16 {
    let mut request = stack.client.put(issued["url"].as_str().unwrap());
    let named =
        issued["headers"].as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
    for (name, value) in named {
        let value = instead.iter().find(|(other, _)| *other == name).map_or(value, |(_, value)| *value);
        // The client says itself how long its body is.
        if !value.is_empty() && name != "content-length" {
            request = request.header(name, value);
        }
    }
    request.body(body.to_vec()).send().await.unwrap().status().as_u16()
}

fn stored(stack: &TestStack, issued: &Value) -> Option<Vec<u8>> {
    let folder = stack.files.path().join("buckets").join(&stack.demo.alpha.bucket);
    std::fs::read(folder.join(issued["key"].as_str().unwrap())).ok()
}

async fn issue(stack: &TestStack, asked: Value) -> Value {
    stack.issue(&asked).await.data(201).clone()
}

#[tokio::test]
async fn the_right_file_arrives_with_every_binding_at_once() {
    let stack = TestStack::start().await;
    let asked = json!({"ext": "png", "size": PICTURE.len(), "sha256": DIGEST, "write_once": true, "metadata": {"album": "summer"}});
    let issued = issue(&stack, asked).await;
    assert_eq!(put(&stack, &issued, PICTURE, &[]).await, 200);
    assert_eq!(stored(&stack, &issued).unwrap(), PICTURE);
}

#[tokio::test]
async fn another_size_is_refused() {
    let stack = TestStack::start().await;
    let issued = issue(&stack, json!({"ext": "png", "size": PICTURE.len()})).await;
    for body in [&PICTURE[1..], &[PICTURE, b"x"].concat(), b""] {
        assert_eq!(put(&stack, &issued, body, &[]).await, 403);
    }
    assert_eq!(stored(&stack, &issued), None);
    assert_eq!(put(&stack, &issued, PICTURE, &[]).await, 200);
}

#[tokio::test]
async fn another_content_type_is_refused_and_none_too() {
    let stack = TestStack::start().await;
    let issued = issue(&stack, json!({"ext": "png"})).await;
    for other in ["text/html", "image/jpeg", ""] {
        assert_eq!(put(&stack, &issued, PICTURE, &[("content-type", other)]).await, 403, "{other}");
    }
    assert_eq!(stored(&stack, &issued), None);
    assert_eq!(put(&stack, &issued, PICTURE, &[]).await, 200);
}

#[tokio::test]
async fn other_bytes_than_those_of_the_digest_are_refused() {
    let stack = TestStack::start().await;
    let issued = issue(&stack, json!({"ext": "png", "sha256": DIGEST})).await;
    let others: Vec<u8> = PICTURE.iter().rev().copied().collect();
    let status = put(&stack, &issued, &others, &[]).await;
    assert!((400..500).contains(&status), "{status}");
    let honest = "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=";
    assert_eq!(put(&stack, &issued, &others, &[("x-amz-checksum-sha256", honest)]).await, 403, "the digest is signed");
    assert_eq!(put(&stack, &issued, &others, &[("x-amz-checksum-sha256", "")]).await, 403, "and cannot be left out");
    assert_eq!(stored(&stack, &issued), None);
    assert_eq!(put(&stack, &issued, PICTURE, &[]).await, 200);
}

#[tokio::test]
async fn what_is_written_once_is_not_written_again() {
    let stack = TestStack::start().await;
    let issued = issue(&stack, json!({"ext": "png", "write_once": true})).await;
    assert_eq!(put(&stack, &issued, PICTURE, &[]).await, 200);
    assert_eq!(put(&stack, &issued, b"something else", &[]).await, 412);
    assert_eq!(put(&stack, &issued, b"something else", &[("if-none-match", "")]).await, 403, "the condition is signed");
    assert_eq!(stored(&stack, &issued).unwrap(), PICTURE);
}

#[tokio::test]
async fn what_a_store_does_not_enforce_is_refused_and_never_weakened() {
    let stack = TestStack::start().await;
    let changes = BucketChanges { enforced_bindings: Some(BindingSet::default()), ..BucketChanges::default() };
    stack.tenants.update_bucket(&stack.alpha(), &Alias::default_alias(), changes, None).await.unwrap();
    for (field, value) in [("sha256", json!(DIGEST)), ("write_once", json!(true))] {
        let answer = stack.issue(&json!({"ext": "png", field: value})).await;
        answer.assert_field(400, "binding_not_enforced", field);
    }
    assert_eq!(stack.recorded().await, 0);
    issue(&stack, json!({"ext": "png", "size": 1})).await;
}
