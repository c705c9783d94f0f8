//! `GET /v1/uploads/{id}/download`: each URL is tried.

use percent_encoding::percent_decode_str;
use presign_gateway::domain::disposition::{DispositionKind, Filename, header};
use proptest::prelude::*;
use reqwest::{Method, Response};
use serde_json::json;

use super::{issue, promise};
use crate::support::stack::{Answer, TestStack};

async fn ask(stack: &TestStack, id: &str, query: &str) -> Answer {
    let url = format!("{}/v1/uploads/{id}/download?{query}", stack.url);
    stack.call(Method::GET, url).bearer(&stack.demo.alpha.api_key).send().await
}

async fn get(stack: &TestStack, id: &str, query: &str) -> Response {
    let answer = ask(stack, id, query).await;
    let data = answer.data(200);
    assert_eq!(data["method"], "GET");
    let response = stack.client.get(data["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(response.status(), 200, "{query}");
    response
}

fn field<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// An upload that its client called a page.
async fn uploaded(stack: &TestStack) -> String {
    let (id, url) = issue(stack).await;
    let put = stack.client.put(&url).header("content-type", "text/html").body("<script>").send().await.unwrap();
    assert_eq!(put.status(), 200);
    id
}

#[tokio::test]
async fn the_url_downloads_the_file_as_it_was_asked_for() {
    let stack = TestStack::start().await;
    let id = uploaded(&stack).await;
    let plain = get(&stack, &id, "").await;
    assert_eq!((field(&plain, "content-type"), field(&plain, "content-disposition")), (Some("image/png"), None));
    assert_eq!(plain.text().await.unwrap(), "<script>");
    for (query, disposition, content_type) in [
        ("disposition=inline", "inline", "image/png"),
        ("disposition=attachment", "attachment", "image/png"),
        ("filename=a%20b.png", "attachment; filename=\"a b.png\"", "image/png"),
        ("filename=a.png&disposition=inline", "inline; filename=\"a.png\"", "image/png"),
        (
            "filename=%E5%9B%BE%22%25.png",
            "attachment; filename=\"___.png\"; filename*=UTF-8''%E5%9B%BE%22%25.png",
            "image/png",
        ),
        ("disposition=inline&content_type=application/octet-stream", "inline", "application/octet-stream"),
        ("disposition=inline&content_type=video/mp4", "inline", "video/mp4"),
    ] {
        let response = get(&stack, &id, query).await;
        assert_eq!(field(&response, "content-disposition"), Some(disposition), "{query}");
        assert_eq!(field(&response, "content-type"), Some(content_type), "{query}");
    }
}

#[tokio::test]
async fn download_url_expires_and_permits_only_its_get() {
    let stack = TestStack::start().await;
    let id = uploaded(&stack).await;
    let usual = ask(&stack, &id, "").await.data(200)["url"].as_str().unwrap().to_owned();
    assert!(usual.contains("X-Amz-Expires=300"));
    let answer = ask(&stack, &id, "expires_in=3600&disposition=inline").await;
    let url = answer.data(200)["url"].as_str().unwrap();
    assert!(url.contains("X-Amz-Expires=3600"));
    for tampered in [
        url.replace("=inline", "=attachment"),
        url.replace("image%2Fpng", "text%2Fhtml"),
        url.replace("=3600", "=7200"),
    ] {
        assert_ne!(tampered, url);
        assert_eq!(stack.client.get(&tampered).send().await.unwrap().status(), 403);
    }
    assert_eq!(stack.client.put(url).body("x").send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn what_is_wrong_is_named_and_no_page_can_be_served() {
    let stack = TestStack::start().await;
    let id = uploaded(&stack).await;
    for (field, values) in [
        ("expires_in", &["0", "3601", "-1", "x", "4294967296"][..]),
        ("disposition", &["", "Inline", "form-data", "inline;"]),
        ("filename", &["", "a/b", "a%5Cb", "..", "a%0D%0Ab", "a%E2%80%AEgnp.exe", &"x".repeat(256)]),
        ("content_type", &["", "text/html", "image/svg%2Bxml", "text/xml", "text/javascript", "image/png;x=y"]),
    ] {
        for value in values {
            ask(&stack, &id, &format!("{field}={value}")).await.assert_field(400, "invalid_field", field);
        }
    }
    ask(&stack, &id, "file=x").await.assert_field(400, "unknown_field", "file");
    promise(&stack, &id, "state = 'deleted'").await;
    ask(&stack, &id, "").await.assert_error(409, "upload_deleted");
}

#[tokio::test]
async fn what_went_to_an_archived_bucket_can_still_be_had() {
    let stack = TestStack::start().await;
    let id = uploaded(&stack).await;
    sqlx::query("UPDATE buckets SET is_default = false, archived_at = now()")
        .execute(&mut stack.connect().await)
        .await
        .unwrap();
    get(&stack, &id, "").await;
    assert_eq!(super::complete(&stack, &id, &json!({})).await.data(200)["state"], "uploaded");
}

proptest! {
    #[test]
    fn any_valid_filename_is_one_header_and_round_trips(text in "\\PC{1,40}|.{1,20}|[%a-f0-9é\" ]{1,12}") {
        let Ok(name) = Filename::parse(&text) else { return Ok(()) };
        let value = header(DispositionKind::Attachment, Some(&name));
        prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", value);
        let rest = value.strip_prefix("attachment; filename=\"").unwrap();
        let (plain, rest) = rest.split_once('"').unwrap();
        prop_assert!(!plain.contains(['\\', '%']));
        if let Some(encoded) = rest.strip_prefix("; filename*=UTF-8''") {
            prop_assert_eq!(percent_decode_str(encoded).decode_utf8().unwrap(), text);
            prop_assert!(!encoded.contains([' ', ';', '"', '*', '\'', '(', ')']));
        } else {
            prop_assert_eq!(rest, "");
            prop_assert_eq!(plain, text);
        }
    }
}
