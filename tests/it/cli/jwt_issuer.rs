//! `jwt-issuer`, run as a user would.

use std::process::Stdio;

use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::binary::{Workbench, stderr, stdout};
use crate::support::jwks_server::{Publish, Publisher};
use crate::support::postgres;
use crate::support::tokens::{AUDIENCE, ISSUER, IssuerKey, claims, claims_with};

async fn workbench() -> Workbench {
    let sealing_key = SealingKey::generate("k1", &Randomness::System);
    let workbench = Workbench::new(postgres::fresh_database().await, sealing_key.expose_secret());
    workbench.run(&["tenant", "create", "app"]).await;
    workbench.run(&["tenant", "create", "other"]).await;
    workbench
}

async fn json(workbench: &Workbench, arguments: &[&str]) -> Value {
    serde_json::from_str(&workbench.run(&[arguments, &["--output", "json"]].concat()).await).unwrap()
}

/// Runs `jwt-issuer test`: whether it succeeded, and all it said.
async fn test(workbench: &Workbench, id: &str, token: &str, format: &str) -> (bool, String) {
    let mut command = workbench.command(&["jwt-issuer", "test", "app", id, "--token-stdin", "--output", format]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{token}\n").as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let said = stdout(&output) + &stderr(&output);
    assert!(!said.contains(token.rsplit_once('.').unwrap().1), "{said}");
    (output.status.success(), said)
}

#[tokio::test]
async fn an_issuer_is_added_by_url_tested_changed_and_archived() {
    let workbench = workbench().await;
    let key = IssuerKey::ps256();
    let publisher = Publisher::start(Publish::Text(key.jwks())).await;
    let add = ["jwt-issuer", "add", "app", "--issuer", ISSUER, "--audience", AUDIENCE, "--algorithm", "PS256"];
    let added = json(&workbench, &[&add[..], &["--jwks-url", &publisher.url()]].concat()).await;
    let id = added["id"].as_str().unwrap();
    assert_eq!(publisher.requests(), 0);

    let good = key.token(Some("first"), &claims());
    let (passed, said) = test(&workbench, id, &good, "table").await;
    assert!(passed && said.contains('✓') && !said.contains('✗'), "{said}");
    let late = key.token(Some("first"), &claims_with("exp", json!(1)));
    let (passed, said) = test(&workbench, id, &late, "json").await;
    let checks: Value = serde_json::from_str(&said).unwrap();
    let failed: Vec<&Value> = checks.as_array().unwrap().iter().filter(|check| check["passed"] == false).collect();
    assert!(!passed && failed.len() == 1 && failed[0]["check"] == "exp", "{said}");

    let update = ["jwt-issuer", "update", "app", id, "--scopes-claim", "scp", "--leeway", "5"];
    assert_eq!(json(&workbench, &update).await["revision"], 2);
    assert_eq!(json(&workbench, &update).await["revision"], 2, "nothing changed, so nothing is counted");
    let shown = json(&workbench, &["jwt-issuer", "show", "app", id]).await;
    assert_eq!((&shown["scopes_claim"], &shown["leeway_seconds"]), (&json!("scp"), &json!(5)));
    assert_eq!(shown["jwks_url"], publisher.url());
    let table = workbench.run(&["jwt-issuer", "show", "app", id]).await;
    assert!(table.contains("PS256") && table.contains(id), "{table}");

    workbench.run(&["jwt-issuer", "remove", "app", id]).await;
    assert_eq!(json(&workbench, &["jwt-issuer", "list", "app"]).await, json!({ "items": [], "next_cursor": null }));
    let missing = workbench.fail(&["jwt-issuer", "show", "app", id]).await;
    assert!(missing.contains("no JWT issuer"), "{missing}");
}

#[tokio::test]
async fn invalid_issuer_is_rejected_and_foreign_one_is_not_found() {
    let workbench = workbench().await;
    let add = ["jwt-issuer", "add", "app", "--issuer", ISSUER, "--audience", AUDIENCE];
    let nowhere = uuid::Uuid::from_u128(7).to_string();
    let with = |rest: &[&'static str]| [&add[..], rest].concat();
    for (arguments, expected) in [
        (with(&["--algorithm", "RS512"]), "must be one of: HS256, RS256, PS256, ES256, EdDSA"),
        (with(&["--algorithm", "ES256"]), "give --jwks-url URL"),
        (with(&["--algorithm", "ES256", "--jwks-url", "http://auth.example.com/"]), "outbound.allowed_hosts"),
        (with(&["--algorithm", "ES256", "--jwks-url", "https://10.0.0.1/"]), "outbound.allowed_hosts"),
        (with(&["--algorithm", "HS256", "--jwks-url", "https://auth.example.com/"]), "HS256 needs a secret"),
        (with(&["--algorithm", "ES256", "--jwks-url", "https://a.example", "--pem-file", "x"]), "cannot be used with"),
        (vec!["jwt-issuer", "show", "app", "seven"], "must be an issuer's id"),
        (vec!["jwt-issuer", "test", "app", &nowhere], "no token: give --token-stdin"),
    ] {
        let said = workbench.fail(&arguments).await;
        assert!(said.contains(expected), "{arguments:?} said: {said}");
    }
    let ours = json(&workbench, &with(&["--algorithm", "ES256", "--jwks-url", "https://auth.example.com/keys"])).await;
    let id = ours["id"].as_str().unwrap();
    for command in ["show", "update", "archive"] {
        let said = workbench.fail(&["jwt-issuer", command, "other", id]).await;
        assert!(said.contains(&format!("no JWT issuer {id} exists")), "{said}");
    }
}
