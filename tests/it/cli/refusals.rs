//! What the command line refuses, and that it says what would be right.

use chrono::NaiveDate;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use presign_gateway::domain::search::UploadFilter;
use secrecy::ExposeSecret;

use crate::support::binary::{Workbench, program, stderr, stdout};
use crate::support::postgres;
use crate::support::proxy::Proxy;

async fn workbench() -> Workbench {
    let sealing_key = SealingKey::generate("k1", &Randomness::System);
    let workbench = Workbench::new(postgres::fresh_database().await, sealing_key.expose_secret());
    workbench.run(&["tenant", "create", "app"]).await;
    workbench
}

#[tokio::test]
async fn wrong_values_are_told_with_what_would_be_right() {
    let workbench = workbench().await;
    let bucket = ["bucket", "add", "app", "--bucket", "uploads", "--access-key-id", "ID", "--secret-stdin"];
    let cases: [(&[&str], &str); 13] = [
        (&["tenant", "create", "Not A Slug"], "must be 2 to 63 of a-z, 0-9 and -"),
        (&["tenant", "create", "app"], "the tenant app already exists"),
        (&["tenant", "create", "b2", "--rate", "0"], "rate_per_second must be 1 to 1000000"),
        (&["tenant", "update", "nobody", "--rate", "1"], "no tenant nobody exists"),
        (
            &["tenant", "update", "app", "--default-expiry", "9999"],
            "default_expiry_seconds must be 1 to the tenant's maximum, 3600",
        ),
        (&["tenant", "update", "app", "--template", "{yyyy}.{ext}"], "must hold {uuid}"),
        (&["tenant", "update", "app", "--time-zone", "Mars/Base"], "must be an IANA time zone"),
        (&["tenant", "update", "app", "--extensions", "jpg,exe"], "must be one or more of: jpg"),
        (&[&bucket[..], &["--endpoint", "store", "--region", "auto"]].concat(), "must be a URL"),
        (
            &[&bucket[..], &["--endpoint", "https://a.r2.cloudflarestorage.com", "--region", "mars"]].concat(),
            "must be one of auto",
        ),
        (&[&bucket[..], &["--endpoint", "https://s3.example.com", "--region", "auto"]].concat(), "the secret is empty"),
        (&["api-key", "create", "app", "--label", ""], "label must be 1 to 200 characters"),
        (&["api-key", "revoke", "nosuchkey"], "no API key nosuchkey exists"),
    ];
    for (arguments, expected) in cases {
        let said = workbench.fail(arguments).await;
        assert!(said.contains(expected), "{arguments:?} said: {said}");
    }
}

#[tokio::test]
async fn serve_refuses_to_start_without_a_database_or_a_sealing_key() {
    let output = program().arg("serve").output().await.unwrap();
    assert!(stderr(&output).contains("no sealing key"), "{}", stderr(&output));
    let key = SealingKey::generate("k1", &Randomness::System);
    let output = program().arg("serve").env("PRESIGN__VAULT__KEYS", key.expose_secret()).output().await.unwrap();
    assert!(stderr(&output).contains("set DATABASE_URL="), "{}", stderr(&output));
    assert!(!output.status.success());
}

#[tokio::test]
async fn config_check_tells_every_fault_and_config_show_hides_secrets() {
    let mut check = program();
    check.args(["config", "check"]).env("PRESIGN__SERVER__LISTEN", "here").env("PRESIGN__SERVER__PORT", "1");
    let said = stderr(&check.output().await.unwrap());
    assert!(
        said.contains("server.listen (PRESIGN__SERVER__LISTEN)")
            && said.contains("server.port (PRESIGN__SERVER__PORT)"),
        "{said}"
    );

    let both = stderr(&program().args(["config", "check"]).output().await.unwrap());
    assert!(both.contains("no database is configured") && both.contains("no sealing key"), "{both}");
    let mut bad_url = program();
    bad_url.args(["config", "check"]).env("DATABASE_URL", "postgres://u:hunter2@h:notaport/x");
    let said = stderr(&bad_url.output().await.unwrap());
    assert!(said.contains("database.url cannot be used") && !said.contains("hunter2"), "{said}");

    let key = SealingKey::generate("k1", &Randomness::System);
    let mut show = program();
    show.args(["config", "show"])
        .env("DATABASE_URL", "postgres://me:hunter2@db/x")
        .env("PRESIGN__VAULT__KEYS", key.expose_secret());
    let shown = stdout(&show.output().await.unwrap());
    assert!(shown.contains("(hidden)") && shown.contains("DATABASE_URL"), "{shown}");
    assert!(!shown.contains("hunter2") && !shown.contains(key.expose_secret()), "{shown}");
}

#[tokio::test]
async fn a_generated_sealing_key_is_one_that_serve_takes() {
    let generated = stdout(&program().args(["keyring", "generate", "--id", "k7"]).output().await.unwrap());
    assert_eq!(SealingKey::parse(generated.trim()).unwrap().id, "k7");
    let bad = program().args(["keyring", "generate", "--id", "not good"]).output().await.unwrap();
    assert!(!bad.status.success());
}

#[tokio::test]
async fn generated_sealing_keys_have_ids_that_differ() {
    let generate = async || stdout(&program().args(["keyring", "generate"]).output().await.unwrap());
    let ids = [generate().await, generate().await].map(|key| SealingKey::parse(key.trim()).unwrap().id);
    assert_ne!(ids[0], ids[1]);
    for id in ids {
        let (date, suffix) = id.split_once('-').unwrap();
        NaiveDate::parse_from_str(date, "k%Y%m%d").unwrap();
        assert_eq!(suffix.len(), 6, "{id}");
    }
}

#[tokio::test]
async fn help_shows_examples() {
    for arguments in [
        &["--help"][..],
        &["tenant", "--help"],
        &["bucket", "add", "--help"],
        &["api-key", "--help"],
        &["jwt-issuer", "--help"],
    ] {
        let help = stdout(&program().args(arguments).output().await.unwrap());
        assert!(help.contains("Examples:"), "{arguments:?}: {help}");
    }
}

#[tokio::test]
async fn every_search_filter_is_an_option() {
    for command in ["list", "export"] {
        let help = stdout(&program().args(["uploads", command, "--help"]).output().await.unwrap());
        for name in UploadFilter::NAMES {
            let option = format!("--{} <", name.replace('_', "-"));
            assert!(help.contains(&option), "{command} has no {option}: {help}");
        }
    }
}

#[tokio::test]
async fn every_search_filter_is_read_from_its_option() {
    let workbench = workbench().await;
    for name in UploadFilter::NAMES {
        let option = format!("--{}=", name.replace('_', "-"));
        let error = workbench.fail(&["uploads", "list", &option]).await;
        assert!(error.contains(&format!("error: {name} must be")), "{option}: {error}");
    }
    let error = workbench.fail(&["uploads", "list", "--min-width", "3", "--max-width", "2"]).await;
    assert!(error.contains("error: max_width must not be less than min_width"), "{error}");
}

#[tokio::test]
async fn config_check_with_several_hosts_connects_to_none() {
    let direct = postgres::fresh_database().await;
    let host = Proxy::to(&direct).await;
    let url = host.url(&direct).expose_secret().replace("@127", "@127.0.0.1:1,127");
    let key = SealingKey::generate("k1", &Randomness::System);
    let mut check = program();
    check.args(["config", "check"]).env("DATABASE_URL", url).env("PRESIGN__VAULT__KEYS", key.expose_secret());
    assert!(check.output().await.unwrap().status.success());
    assert_eq!(host.connections(), 0);
}
