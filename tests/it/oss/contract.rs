//! The answer, byte for byte.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use presign_gateway::admin::{PolicyChanges, TenantChanges};
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::tenant::parse_time_zone;
use sqlx::Row;

use crate::support::stack::{Setup, TestStack};

fn fixed(text: &str) -> Clock {
    Clock::Fixed(text.parse::<DateTime<Utc>>().unwrap())
}

#[tokio::test]
async fn response_has_the_contracts_parameters_in_order() {
    let clock = fixed("2025-05-03T14:40:32Z");
    let stack = Setup::new().at(clock, Randomness::seeded(1)).start().await;
    let answer = stack.presign("ext=jpg&width=2048&height=1346&type=origin&duration=12.50").await;

    let url = answer.url();
    let (_, rest) = url.split_once("X-Amz-Signature=").unwrap();
    let (signature, _) = rest.split_once('&').unwrap();
    assert_eq!(signature.len(), 64);
    let body = answer.text.replace(&stack.s3_url, "http://store").replace(signature, "SIGNATURE");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    insta::assert_snapshot!(body, @r#"{"code":0,"msg":"success","data":{"url":"http://store/alpha-uploads/2025/05/03/01969697-7b00-7118-b0d3-641a68f94a69.jpg?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&X-Amz-Credential=demo-alpha%2F20250503%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20250503T144032Z&X-Amz-Expires=300&X-Amz-Signature=SIGNATURE&X-Amz-SignedHeaders=host&x-amz-meta-duration=12.5&x-amz-meta-height=1346&x-amz-meta-type=origin&x-amz-meta-width=2048&x-id=PutObject","key":"2025/05/03/01969697-7b00-7118-b0d3-641a68f94a69.jpg"}}"#);
}

#[tokio::test]
async fn no_checksum_parameter_is_ever_in_the_url() {
    let stack = TestStack::start().await;
    for query in ["ext=jpg", "ext=mp4&duration=3&type=video&width=1&height=1"] {
        let answer = stack.presign(query).await;
        let names: BTreeSet<_> =
            ::url::Url::parse(answer.url()).unwrap().query_pairs().map(|(name, _)| name.to_lowercase()).collect();
        assert!(!names.iter().any(|name| name.contains("checksum") || name.contains("sdk")), "{names:?}");
    }
}

#[tokio::test]
async fn the_row_says_what_the_caller_said_and_who_that_was() {
    let stack = TestStack::start().await;
    let answer = stack.presign("ext=MP4&width=1920&height=1080&duration=9.25&type=video&unknown=1").await;
    let row = sqlx::query("SELECT *, host(client_address) AS address FROM uploads")
        .fetch_one(&mut stack.connect().await)
        .await
        .unwrap();

    let object_key: String = row.get("object_key");
    let id: uuid::Uuid = row.get("id");
    assert_eq!(object_key, answer.object_key());
    assert!(object_key.ends_with(&format!("/{id}.mp4")), "the id is in the object key: {object_key}");
    assert_eq!(id.get_version_num(), 7);
    assert_eq!((row.get::<i32, _>("width"), row.get::<i32, _>("height")), (1920, 1080));
    assert_eq!(row.get::<f64, _>("duration_seconds").to_string(), "9.25");
    assert_eq!(
        (row.get::<&str, _>("ext"), row.get::<&str, _>("kind"), row.get::<&str, _>("state")),
        ("mp4", "video", "issued")
    );
    assert_eq!((row.get::<&str, _>("caller_kind"), row.get::<&str, _>("address")), ("api_key", "127.0.0.1"));
    assert_eq!(row.get::<&str, _>("access_key_id"), stack.demo.alpha.access_key_id);
    let lifetime = row.get::<DateTime<Utc>, _>("url_expires_at") - row.get::<DateTime<Utc>, _>("issued_at");
    assert_eq!(lifetime.num_seconds(), 300);
}

#[tokio::test]
async fn object_key_date_is_in_the_tenants_time_zone() {
    let stack = Setup::new().at(fixed("2026-01-01T16:30:00Z"), Randomness::System).start().await;
    assert!(stack.presign("ext=png").await.object_key().starts_with("2026/01/01/"));

    let time_zone = Some(parse_time_zone("Asia/Shanghai").unwrap());
    let policy = PolicyChanges { time_zone, ..PolicyChanges::default() };
    stack.change_alpha(TenantChanges { policy, ..TenantChanges::default() }).await;
    assert!(stack.presign("ext=png").await.object_key().starts_with("2026/01/02/"));
}

#[tokio::test]
async fn a_tenants_expiry_is_in_the_url_and_on_record() {
    let stack = TestStack::start().await;
    let policy = PolicyChanges { default_expiry_seconds: Some(60), ..PolicyChanges::default() };
    stack.change_alpha(TenantChanges { policy, ..TenantChanges::default() }).await;
    assert!(stack.presign("ext=png").await.url().contains("&X-Amz-Expires=60&"));
    let seconds: i64 = sqlx::query_scalar("SELECT extract(epoch FROM url_expires_at - issued_at)::bigint FROM uploads")
        .fetch_one(&mut stack.connect().await)
        .await
        .unwrap();
    assert_eq!(seconds, 60);
}

#[tokio::test]
async fn a_request_id_of_the_client_comes_back_if_it_is_harmless() {
    let stack = TestStack::start().await;
    let harmless = stack.get("/oss/presign").header("x-request-id", "abc-123_X.y").send().await;
    assert_eq!(harmless.header("x-request-id"), Some("abc-123_X.y"));
    let too_long = "x".repeat(65);
    for harmful in ["a b", "a\"b", &too_long] {
        let answer = stack.get("/oss/presign").header("x-request-id", harmful).send().await;
        assert_ne!(answer.header("x-request-id"), Some(harmful));
    }
}
