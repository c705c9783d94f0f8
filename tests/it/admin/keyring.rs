//! `/admin/v1/keyring`: and that sealing keys are rotated while the gateway serves.

use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::support::canary;
use crate::support::ledger::ignore_updates;
use crate::support::stack::{Instance, TestStack};

async fn admin(stack: &TestStack, instance: &Instance, method: Method, path: &str) -> Value {
    let url = format!("{}/admin/v1{path}", instance.ops_url);
    stack.call(method, url).bearer(&stack.demo.operator_key).send().await.data(200).clone()
}

async fn presign(stack: &TestStack, instance: &Instance, credential: &str) -> u16 {
    let url = format!("{}/oss/presign?ext=jpg", instance.url);
    stack.call(Method::GET, url).bearer(credential).send().await.status.as_u16()
}

#[tokio::test]
async fn every_secret_is_sealed_anew_and_the_old_key_can_go() {
    let stack = TestStack::start().await;
    let new = SealingKey::generate("second", &Randomness::System);
    canary::watch(new.expose_secret());
    let old = stack.sealing_key.expose_secret();

    // Both open; the new one seals.
    let both = format!("{},{old}", new.expose_secret());
    let rotating = stack.another(&[("VAULT__KEYS", &both)]).await;
    let status = admin(&stack, &rotating, Method::GET, "/keyring").await;
    let expected = json!([
        { "sealing_key_id": "second", "seals": true, "present": true, "rows": 0 },
        { "sealing_key_id": "test", "seals": false, "present": true, "rows": 3 },
    ]);
    assert_eq!(status["items"], expected, "two buckets and a JWT issuer");
    let done = admin(&stack, &rotating, Method::POST, "/keyring/rotate").await;
    assert_eq!(done, json!({ "sealing_key_id": "second", "resealed": 3, "failed": [] }));
    let again = admin(&stack, &rotating, Method::POST, "/keyring/rotate").await;
    assert_eq!(again["resealed"], 0, "there is nothing left to do");

    let alone = stack.another(&[("VAULT__KEYS", new.expose_secret())]).await;
    assert_eq!(presign(&stack, &alone, &stack.demo.alpha.api_key).await, 200);
    assert_eq!(presign(&stack, &alone, &stack.token).await, 200, "the issuer's secret opens too");
}

#[tokio::test]
async fn what_does_not_open_is_left_as_it_is_and_told() {
    let stack = TestStack::start().await;
    let other = SealingKey::generate("other", &Randomness::System);
    canary::watch(other.expose_secret());
    let without = stack.another(&[("VAULT__KEYS", other.expose_secret())]).await;
    let status = admin(&stack, &without, Method::GET, "/keyring").await;
    assert_eq!(status["items"][1], json!({ "sealing_key_id": "test", "seals": false, "present": false, "rows": 3 }));
    let done = admin(&stack, &without, Method::POST, "/keyring/rotate").await;
    assert_eq!((&done["resealed"], done["failed"].as_array().unwrap().len()), (&json!(0), 3));
    assert!(done["failed"][0].as_str().unwrap().contains("not in vault.keys"), "{done}");
    stack.presign("ext=jpg").await.url();
}

#[tokio::test]
async fn secret_that_is_not_written_is_not_counted_as_resealed() {
    let stack = TestStack::start().await;
    let new = SealingKey::generate("second", &Randomness::System);
    canary::watch(new.expose_secret());
    let both = format!("{},{}", new.expose_secret(), stack.sealing_key.expose_secret());
    let rotating = stack.another(&[("VAULT__KEYS", &both)]).await;
    for (table, resealed) in [("buckets", 0), ("jwt_issuers", 2)] {
        ignore_updates(&mut stack.connect().await, table).await;
        let url = format!("{}/admin/v1/keyring/rotate", rotating.ops_url);
        let answer = stack.call(Method::POST, url).bearer(&stack.demo.operator_key).send().await;
        answer.assert_error(500, "internal");
        let query = "SELECT count(*) FROM audit_events WHERE action LIKE '%.reseal'";
        let audited: i64 = sqlx::query_scalar(query).fetch_one(&mut stack.connect().await).await.unwrap();
        assert_eq!(audited, resealed, "{table}");
        sqlx::query(sqlx::AssertSqlSafe(format!("DROP TRIGGER ignore_updates ON {table}")))
            .execute(&mut stack.connect().await)
            .await
            .unwrap();
    }
}
