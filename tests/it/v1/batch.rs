//! `POST /v1/uploads/batch`.

use std::collections::HashSet;

use futures_util::future::join_all;
use presign_gateway::admin::TenantChanges;
use serde_json::{Value, json};
use sqlx::Connection;

use crate::support::eventually;
use crate::support::stack::{Answer, Setup, TestStack};

async fn batch(stack: &TestStack, body: &Value) -> Answer {
    stack.post("/v1/uploads/batch").json(body).send().await
}

#[tokio::test]
async fn a_hundred_uploads_share_one_commit() {
    let stack = TestStack::start().await;
    let answer = batch(&stack, &json!({"uploads": vec![json!({"ext": "jpg"}); 100]})).await;
    let items = answer.data(200)["items"].as_array().unwrap();
    let object_keys: HashSet<&str> = items.iter().map(|item| item["upload"]["key"].as_str().unwrap()).collect();
    assert_eq!(object_keys.len(), 100);
    let (rows, commits): (i64, i64) = sqlx::query_as("SELECT count(*), count(DISTINCT xmin::text) FROM uploads")
        .fetch_one(&mut stack.connect().await)
        .await
        .unwrap();
    assert_eq!((rows, commits), (100, 1));
}

#[tokio::test]
async fn each_item_is_judged_by_itself_and_answered_in_its_place() {
    let stack = TestStack::start().await;
    let uploads = json!([{"ext": "png"}, {"ext": "exe"}, {"ext": "png", "bucket": "other"}, {"ext": "jpg", "nonsense": 1}, {"ext": "gif"}, 7]);
    let answer = batch(&stack, &json!({"uploads": uploads})).await;
    let items = answer.data(200)["items"].as_array().unwrap();
    let told: Vec<(&str, &str)> = items
        .iter()
        .map(|item| {
            let reason = item["error"]["reason"].as_str().unwrap_or("-");
            (reason, item["error"]["field"].as_str().unwrap_or("-"))
        })
        .collect();
    let expected = [
        ("-", "-"),
        ("invalid_ext", "ext"),
        ("invalid_field", "bucket"),
        ("unknown_field", "nonsense"),
        ("-", "-"),
        ("invalid_field", "the body"),
    ];
    assert_eq!(told, expected);
    let ext = |item: &Value| item["upload"]["key"].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
    assert_eq!((ext(&items[0]), ext(&items[4])), ("png".to_owned(), "gif".to_owned()));
    assert_eq!(stack.recorded().await, 2);
}

#[tokio::test]
async fn all_or_nothing_issues_nothing_when_one_is_refused() {
    let stack = TestStack::start().await;
    for (wrong, field) in [
        (json!({"ext": "png", "width": 0}), "uploads[1].width"),
        (json!({"ext": "png", "bucket": "b"}), "uploads[1].bucket"),
    ] {
        let answer = batch(&stack, &json!({"all_or_nothing": true, "uploads": [{"ext": "png"}, wrong]})).await;
        assert_eq!(
            (answer.status.as_u16(), answer.reason(), &answer.body["field"]),
            (400, "invalid_field", &json!(field))
        );
    }
    assert_eq!(stack.recorded().await, 0);
}

#[tokio::test]
async fn each_item_is_counted_against_the_tenants_limit() {
    let stack = TestStack::start().await;
    let changes = TenantChanges { rate_per_second: Some(1), burst: Some(10), ..TenantChanges::default() };
    stack.change_alpha(changes).await;
    let answer = batch(&stack, &json!({"uploads": vec![json!({"ext": "jpg"}); 7]})).await;
    answer.data(200);
    assert!(answer.header("ratelimit").unwrap().contains("r=3"), "{:?}", answer.header("ratelimit"));
    let refused = batch(&stack, &json!({"uploads": vec![json!({"ext": "jpg"}); 7]})).await;
    refused.assert_error(429, "rate_limited");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(stack.recorded().await, 7, "of the second nothing was issued");
}

#[tokio::test]
async fn batch_size_is_1_to_100_and_within_the_burst() {
    let stack = TestStack::start().await;
    for count in [0, 101] {
        let answer = batch(&stack, &json!({"uploads": vec![json!({"ext": "jpg"}); count]})).await;
        answer.assert_field(400, "invalid_field", "uploads");
    }
    stack.change_alpha(TenantChanges { burst: Some(5), ..TenantChanges::default() }).await;
    let answer = batch(&stack, &json!({"uploads": vec![json!({"ext": "jpg"}); 6]})).await;
    answer.assert_field(400, "invalid_field", "uploads");
    assert!(answer.message().contains("1 to 5"), "{}", answer.message());
    assert_eq!(stack.recorded().await, 0);
}

#[tokio::test]
async fn locked_ledger_rejects_batches_and_frees_connections() {
    let setup = Setup::new().set("UPLOADS__COMMIT_TIMEOUT_MS", "500").set("DATABASE__MAX_CONNECTIONS", "4");
    let stack = setup.start().await;
    let mut locker = stack.connect().await;
    let mut lock = locker.begin().await.unwrap();
    sqlx::query("LOCK TABLE uploads IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let body = json!({"uploads": [{"ext": "jpg"}, {"ext": "png"}]});
    for answer in join_all((0..30).map(|_| batch(&stack, &body))).await {
        answer.assert_error(503, "unavailable");
        assert!(answer.header("retry-after").is_some());
    }
    let waiting: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'presign-gateway'
         AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO uploads%'",
    )
    .fetch_one(&mut stack.connect().await)
    .await
    .unwrap();
    assert_eq!(waiting, 0, "nobody waits for those who were answered");
    lock.rollback().await.unwrap();
    assert_eq!(stack.recorded().await, 0);
    let issued = || async { Some(batch(&stack, &body).await).filter(|answer| answer.status == 200) };
    eventually("batches are issued again", issued).await;
}

#[tokio::test]
async fn a_name_that_is_there_twice_is_refused_wherever_it_is() {
    let stack = TestStack::start().await;
    let answer = stack.post("/v1/uploads/batch").header("content-type", "application/json");
    let answer = answer
        .text(r#"{"uploads":[{"ext":"png","ext":"jpg"},{"ext":"png","metadata":{"a":"1","a":"2"}}]}"#.to_owned())
        .send()
        .await;
    let items = answer.data(200)["items"].as_array().unwrap();
    let fields: Vec<&Value> = items.iter().map(|item| &item["error"]["field"]).collect();
    assert_eq!(fields, [&json!("ext"), &json!("metadata.a")]);
    assert_eq!(stack.recorded().await, 0);
}
