//! Limits: of tenants, and of strangers.

use presign_gateway::admin::TenantChanges;
use presign_gateway::auth::api_key;
use presign_gateway::domain::randomness::Randomness;
use secrecy::ExposeSecret;

use crate::support::stack::{Answer, Setup, TestStack};

fn limit(rate: u32, burst: u32) -> TenantChanges {
    TenantChanges { rate_per_second: Some(rate), burst: Some(burst), ..TenantChanges::default() }
}

fn number_after(text: &str, mark: &str) -> u64 {
    let rest = &text[text.find(mark).unwrap() + mark.len()..];
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

fn remaining(answer: &Answer) -> u64 {
    number_after(answer.header("ratelimit").unwrap(), "r=")
}

#[tokio::test]
async fn request_over_the_limit_gets_429_and_records_nothing() {
    let stack = TestStack::start().await;
    stack.change_alpha(limit(1, 3)).await;
    for left in [2, 1, 0] {
        let answer = stack.presign("ext=jpg").await;
        answer.url();
        assert_eq!(answer.header("ratelimit-policy"), Some("\"default\";q=3;w=3"));
        assert_eq!(remaining(&answer), left);
    }
    let limited = stack.presign("ext=jpg").await;
    limited.assert_error(429, "rate_limited");
    let retry_after: u64 = limited.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(retry_after, number_after(limited.header("ratelimit").unwrap(), "t="), "both say the same");
    assert_eq!((retry_after, remaining(&limited)), (1, 0));
    assert_eq!(limited.header("ratelimit-policy"), Some("\"default\";q=3;w=3"));
    assert_eq!(stack.recorded().await, 3);
    stack.presign_as(&stack.demo.beta.api_key).await.url();
}

#[tokio::test]
async fn refused_queries_of_a_caller_say_what_is_left_too() {
    let stack = TestStack::start().await;
    let answer = stack.presign("ext=exe").await;
    answer.assert_error(400, "invalid_ext");
    assert!(answer.header("ratelimit").is_some() && answer.header("ratelimit-policy").is_some());
}

#[tokio::test]
async fn a_changed_limit_takes_effect_without_a_restart() {
    let stack = TestStack::start().await;
    stack.change_alpha(limit(1, 1)).await;
    stack.presign("ext=jpg").await.url();
    stack.presign("ext=jpg").await.assert_error(429, "rate_limited");
    stack.change_alpha(limit(50, 100)).await;
    let answer = stack.presign("ext=jpg").await;
    answer.url();
    assert_eq!(answer.header("ratelimit-policy"), Some("\"default\";q=100;w=2"));
}

#[tokio::test]
async fn failed_authentications_are_limited_by_address_only() {
    let setup = Setup::new().set("AUTH__FAILURES_PER_SECOND", "1").set("AUTH__FAILURES_BURST", "3");
    let stack = setup.set("SERVER__TRUSTED_PROXIES", "127.0.0.0/8").set("AUTH__CACHE_SECONDS", "600").start().await;
    stack.change_alpha(limit(1, 2)).await;
    let good = stack.demo.alpha.api_key.clone();
    let wrong = format!("{}x", &good[..good.len() - 1]);
    let stranger = || stack.get("/oss/presign?ext=jpg").from("203.0.113.9".parse().unwrap());
    for _ in 0..3 {
        stranger().bearer(&wrong).send().await.assert_error(401, "unauthenticated");
    }
    let limited = stranger().bearer(&wrong).send().await;
    limited.assert_error(429, "too_many_failures");
    assert!(limited.header("retry-after").is_some());

    // Neither the tenant nor another address pays for it, nor a good key that is known already behind the same address.
    assert_eq!(remaining(&stack.presign("ext=jpg").await), 1);
    stranger().bearer(&good).send().await.url();
    let other = stack.get("/oss/presign?ext=jpg").from("203.0.113.10".parse().unwrap()).bearer(&wrong).send().await;
    other.assert_error(401, "unauthenticated");
}

#[tokio::test]
async fn failing_address_causes_no_more_database_reads() {
    let setup = Setup::new().set("AUTH__FAILURES_PER_SECOND", "1").set("AUTH__FAILURES_BURST", "3");
    let stack = setup.set("AUTH__CACHE_SECONDS", "600").start().await;
    stack.presign("ext=jpg").await.url();
    for _ in 0..4 {
        stack.presign_as("nonsense").await;
    }
    // With the tables gone, any look-up would be a 503. Whom the gateway knows already is still served.
    for table in ["api_keys", "jwt_issuers"] {
        let statement = format!("ALTER TABLE {table} RENAME TO {table}_gone");
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut stack.connect().await).await.unwrap();
    }
    let made_up = api_key::generate(&Randomness::System).text.expose_secret().to_owned();
    for credential in [&made_up, &stack.token] {
        let answer = stack.presign_as(credential).await;
        answer.assert_error(429, "too_many_failures");
        assert!(answer.header("retry-after").is_some());
    }
    stack.presign("ext=jpg").await.url();
}

#[tokio::test]
async fn the_address_is_taken_from_trusted_proxies_only() {
    let address_of = |stack: TestStack, forwarded: &'static str| async move {
        stack
            .get("/oss/presign?ext=jpg")
            .bearer(&stack.demo.alpha.api_key)
            .header("x-forwarded-for", forwarded)
            .send()
            .await
            .url();
        let statement = "SELECT host(client_address) FROM uploads";
        sqlx::query_scalar::<_, String>(statement).fetch_one(&mut stack.connect().await).await.unwrap()
    };
    let trusting = || Setup::new().set("SERVER__TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8").start();
    assert_eq!(address_of(TestStack::start().await, "203.0.113.1").await, "127.0.0.1", "nobody is trusted");
    assert_eq!(address_of(trusting().await, "203.0.113.1").await, "203.0.113.1");
    assert_eq!(
        address_of(trusting().await, "198.51.100.7, 203.0.113.1, 10.1.2.3").await,
        "203.0.113.1",
        "what came before is the client's word"
    );
    assert_eq!(address_of(trusting().await, "203.0.113.1, nonsense").await, "127.0.0.1");
    assert_eq!(address_of(trusting().await, "::ffff:203.0.113.5").await, "203.0.113.5");
}
