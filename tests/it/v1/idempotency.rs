//! `Idempotency-Key`: the same request gets the same upload.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::stack::{Answer, Setup, TestStack};

async fn issue(stack: &TestStack, idempotency_key: &str, body: &Value) -> Answer {
    stack.post("/v1/uploads").header("idempotency-key", idempotency_key).json(body).send().await
}

#[tokio::test]
async fn the_same_request_gets_the_same_upload() {
    let stack = TestStack::start().await;
    let first = issue(&stack, "one", &json!({"ext": "jpg", "size": 3})).await;
    // Written otherwise, and its key quoted as the draft has it.
    let again = issue(&stack, "\"one\"", &serde_json::from_str(r#"{"size":3,  "ext":"jpg"}"#).unwrap()).await;
    for field in ["id", "key", "headers"] {
        assert_eq!(again.data(201)[field], first.data(201)[field]);
    }
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(stack.recorded().await, 1);
    let put = stack.client.put(again.data(201)["url"].as_str().unwrap()).header("content-type", "image/jpeg");
    assert_eq!(put.body("abc").send().await.unwrap().status().as_u16(), 200);
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    let stack = TestStack::start().await;
    issue(&stack, "one", &json!({"ext": "jpg"})).await.data(201);
    issue(&stack, "one", &json!({"ext": "png"})).await.assert_error(409, "idempotency_mismatch");
    issue(&stack, "two", &json!({"ext": "png"})).await.data(201);
    assert_eq!(stack.recorded().await, 2);
}

#[tokio::test]
async fn a_key_is_a_callers_own() {
    let stack = TestStack::start().await;
    let first = issue(&stack, "one", &json!({"ext": "jpg"})).await;
    let mut ids = vec![first.data(201)["id"].clone()];
    for credential in [&stack.demo.beta.api_key, &stack.token] {
        let call = stack.get("/v1/uploads").method(Method::POST).bearer(credential).header("idempotency-key", "one");
        ids.push(call.json(&json!({"ext": "jpg"})).send().await.data(201)["id"].clone());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn when_two_instances_race_one_upload_is_issued() {
    let stack = TestStack::start().await;
    let other = stack.another(&[]).await;
    let body = json!({"ext": "jpg"});
    for round in 0..10 {
        let idempotency_key = format!("race {round}");
        let calls = (0..12).map(|n| {
            let url = format!("{}/v1/uploads", if n % 2 == 0 { &stack.url } else { &other.url });
            let call = stack.call(Method::POST, url).bearer(&stack.demo.alpha.api_key).json(&body);
            call.header("idempotency-key", &idempotency_key).send()
        });
        let answers = join_all(calls).await;
        for answer in &answers {
            assert_eq!(answer.data(201)["id"], answers[0].data(201)["id"]);
        }
        assert_eq!(stack.recorded().await, round + 1);
    }
}

#[tokio::test]
async fn replay_after_expiry_gets_a_new_url_for_the_same_key() {
    let stack = TestStack::start().await;
    let first = issue(&stack, "one", &json!({"ext": "jpg"})).await;
    let past = "UPDATE uploads SET issued_at = issued_at - interval '1 hour', url_expires_at = issued_at - interval '30 minutes'";
    sqlx::query(past).execute(&mut stack.connect().await).await.unwrap();
    let again = issue(&stack, "one", &json!({"ext": "jpg"})).await;
    assert_eq!(again.data(201)["key"], first.data(201)["key"]);
    let put = stack.client.put(again.data(201)["url"].as_str().unwrap()).header("content-type", "image/jpeg");
    assert_eq!(put.body("abc").send().await.unwrap().status().as_u16(), 200);
    let lives: bool = sqlx::query_scalar("SELECT url_expires_at > now() FROM uploads")
        .fetch_one(&mut stack.connect().await)
        .await
        .unwrap();
    assert!(lives, "the new URL is on record");
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let stack = TestStack::start().await;
    issue(&stack, "one", &json!({"ext": "jpg"})).await.data(201);
    let is_a_day: bool =
        sqlx::query_scalar("SELECT expires_at = created_at + interval '24 hours' FROM idempotency_keys")
            .fetch_one(&mut stack.connect().await)
            .await
            .unwrap();
    assert!(is_a_day);
    let past = "UPDATE idempotency_keys SET expires_at = now() - interval '1 second'";
    sqlx::query(past).execute(&mut stack.connect().await).await.unwrap();
    issue(&stack, "one", &json!({"ext": "png"})).await.data(201);
    assert_eq!(stack.recorded().await, 2);
    issue(&stack, "one", &json!({"ext": "jpg"})).await.assert_error(409, "idempotency_mismatch");
}

#[tokio::test]
async fn a_batch_is_answered_as_the_first_time_too() {
    let stack = TestStack::start().await;
    let body = json!({"uploads": [{"ext": "jpg"}, {"ext": "exe"}, {"ext": "png", "bucket": "no"}, {"ext": "gif"}]});
    let send = || stack.post("/v1/uploads/batch").header("idempotency-key", "b").json(&body).send();
    let (first, again) = (send().await, send().await);
    let ids = |answer: &Answer| -> Vec<Value> {
        answer.data(200)["items"].as_array().unwrap().iter().map(|item| item["upload"]["id"].clone()).collect()
    };
    assert_eq!(ids(&first), ids(&again));
    let errors = |answer: &Answer| -> Vec<Value> {
        answer.data(200)["items"].as_array().unwrap().iter().map(|item| item["error"].clone()).collect()
    };
    assert_eq!(errors(&first), errors(&again));
    assert_eq!(stack.recorded().await, 2);
}

#[tokio::test]
async fn a_key_that_is_empty_too_long_or_given_twice_is_refused() {
    let stack = Setup::new().start().await;
    let body = json!({"ext": "jpg"});
    for wrong in ["", "\"\"", &"k".repeat(256)] {
        issue(&stack, wrong, &body).await.assert_field(400, "invalid_field", "Idempotency-Key");
    }
    let twice = stack.post("/v1/uploads").header("idempotency-key", "a").header("idempotency-key", "b").json(&body);
    twice.send().await.assert_field(400, "repeated_parameter", "Idempotency-Key");
    assert_eq!(stack.recorded().await, 0);
    issue(&stack, &"k".repeat(255), &body).await.data(201);
}

#[tokio::test]
async fn items_that_cannot_be_read_are_told_from_others_too() {
    let stack = TestStack::start().await;
    let send = |wrong: Value| {
        let body = json!({"uploads": [{"ext": "png"}, wrong]});
        stack.post("/v1/uploads/batch").header("idempotency-key", "b").json(&body).send()
    };
    send(json!({"ext": "png", "nope": 1})).await.data(200);
    send(json!({"ext": "mp4", "size": "huge"})).await.assert_error(409, "idempotency_mismatch");
    send(json!({"ext": "png", "nope": 1})).await.data(200);
    assert_eq!(stack.recorded().await, 1);
}

#[tokio::test]
async fn what_is_said_in_vain_makes_no_other_request() {
    let stack = TestStack::start().await;
    let first = issue(&stack, "one", &json!({"ext": "jpg"})).await;
    let again = issue(&stack, "one", &json!({"ext": "jpg", "write_once": false, "width": null, "metadata": {}})).await;
    assert_eq!(again.data(201)["id"], first.data(201)["id"]);
}

#[tokio::test]
async fn a_request_whose_file_has_arrived_is_told_which_upload_it_was() {
    let stack = TestStack::start().await;
    let first = issue(&stack, "one", &json!({"ext": "jpg"})).await;
    let id = first.data(201)["id"].as_str().unwrap();
    let past = "UPDATE uploads SET state = 'uploaded', issued_at = issued_at - interval '1 hour', url_expires_at = issued_at - interval '30 minutes'";
    sqlx::query(past).execute(&mut stack.connect().await).await.unwrap();
    let again = issue(&stack, "one", &json!({"ext": "jpg"})).await;
    again.assert_error(409, "already_arrived");
    assert!(again.message().contains(id), "{}", again.message());
}

#[tokio::test]
async fn all_or_nothing_holds_for_a_request_that_is_sent_again() {
    let stack = TestStack::start().await;
    let body = json!({"all_or_nothing": true, "uploads": [{"ext": "jpg"}, {"ext": "png"}]});
    let send = || stack.post("/v1/uploads/batch").header("idempotency-key", "b").json(&body).send();
    let first = send().await;
    let id = first.data(200)["items"][1]["upload"]["id"].as_str().unwrap();
    let delete = "UPDATE uploads SET state = 'deleted' WHERE id = $1::uuid";
    sqlx::query(delete).bind(id).execute(&mut stack.connect().await).await.unwrap();
    let again = send().await;
    assert_eq!(
        (again.status.as_u16(), again.reason(), &again.body["field"]),
        (409, "upload_deleted", &json!("uploads[1]"))
    );
}

/// Lets Postgres say of the next `times` new keys that they are taken, although none is there.
async fn lose_keys(stack: &TestStack, times: u32) {
    let mut connection = stack.connect().await;
    for statement in [
        "CREATE SEQUENCE lost_keys".to_owned(),
        format!(
            "CREATE FUNCTION lose_key() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS
             $$ BEGIN RETURN CASE WHEN nextval('lost_keys') > {times} THEN NEW END; END $$"
        ),
        "CREATE TRIGGER lose_key BEFORE INSERT ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION lose_key()".to_owned(),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_that_vanishes_meanwhile_is_tried_again() {
    let stack = TestStack::start().await;
    lose_keys(&stack, 2).await;
    issue(&stack, "one", &json!({"ext": "jpg"})).await.data(201);
    assert_eq!(stack.recorded().await, 1);
}

#[tokio::test]
async fn a_key_that_always_vanishes_gets_500_within_bounds() {
    let stack = TestStack::start().await;
    lose_keys(&stack, 1_000_000).await;
    let answer = issue(&stack, "one", &json!({"ext": "jpg"})).await;
    answer.assert_error(500, "internal");
    let tried: i64 =
        sqlx::query_scalar("SELECT last_value FROM lost_keys").fetch_one(&mut stack.connect().await).await.unwrap();
    assert_eq!((tried, stack.recorded().await), (3, 0));
}

#[tokio::test]
async fn a_key_whose_row_is_not_whole_gets_500() {
    let stack = TestStack::start().await;
    let body = json!({"uploads": [{"ext": "jpg"}, {"ext": "png"}], "all_or_nothing": true});
    let batch = || stack.post("/v1/uploads/batch").header("idempotency-key", "b").json(&body).send();
    issue(&stack, "one", &json!({"ext": "jpg"})).await.data(201);
    batch().await.data(200);
    for broken in ["'{}'", "ARRAY[NULL]::uuid[]", "upload_ids || upload_ids || upload_ids"] {
        let broken = format!("UPDATE idempotency_keys SET upload_ids = {broken}");
        sqlx::query(sqlx::AssertSqlSafe(broken)).execute(&mut stack.connect().await).await.unwrap();
        issue(&stack, "one", &json!({"ext": "jpg"})).await.assert_error(500, "internal");
        batch().await.assert_error(500, "internal");
    }
    assert_eq!(stack.recorded().await, 3);
}
