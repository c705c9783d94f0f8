//! `/v1/usage`: exact to the row, at any moment, whoever writes.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use presign_gateway::admin::NewApiKey;
use presign_gateway::domain::caller::Scopes;
use presign_gateway::domain::clock::Clock;
use presign_gateway::jobs::maintenance;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use crate::support::eventually;
use crate::support::postgres;
use crate::support::stack::{Setup, TestStack};

/// Only the test folds.
async fn stack() -> TestStack {
    Setup::new().set("UPLOADS__USAGE_FOLD_SECONDS", "86400").start().await
}

async fn ask(stack: &TestStack, query: &str) -> Value {
    let answer = stack.get(&format!("/v1/usage?{query}")).bearer(&stack.demo.alpha.api_key).send().await;
    answer.data(200).clone()
}

/// Puts alpha's rows there as anybody at a prompt could: over several days, of all types, states and callers.
async fn insert_by_hand(connection: &mut PgConnection) {
    let insert = "INSERT INTO uploads (id, tenant_id, bucket_id, issued_at, url_expires_at, object_key, ext, kind, state, caller_kind, caller_id,
                                       client_address, access_key_id, declared_size_bytes, size_bytes)
        SELECT overlay(gen_random_uuid()::text PLACING left(upload_id_at(at)::text, 13) FROM 1)::uuid, tenants.id, buckets.id, at, at + interval '5 min',
               'by-hand/' || n, (ARRAY['jpg', 'png', 'mp4'])[1 + n % 3], (ARRAY['thumb', 'origin', NULL, 'video'])[1 + n % 4],
               (ARRAY['issued', 'uploaded', 'mismatched', 'expired', 'deleted'])[1 + n % 5],
               (ARRAY['api_key', 'jwt', 'anonymous'])[1 + n % 3],
               CASE n % 3 WHEN 0 THEN (SELECT id FROM api_keys WHERE tenant_id = tenants.id LIMIT 1) WHEN 1 THEN tenants.id END,
               '203.0.113.1', 'id', nullif(n % 7, 0) * 100, nullif(n % 6, 0) * 10
        FROM generate_series(1, 400) AS n CROSS JOIN LATERAL (SELECT now() - n * interval '11 min') AS moment (at)
        CROSS JOIN tenants JOIN buckets ON tenant_id = tenants.id WHERE slug = 'alpha'";
    connection.execute(insert).await.unwrap();
}

/// The same question, asked of the ledger itself.
async fn counted(connection: &mut PgConnection, value: &str, from: &str, to: &str) -> Value {
    let count = format!(
        "SELECT coalesce(jsonb_agg(to_jsonb(item) ORDER BY uploads DESC, value), '[]') FROM (
             SELECT {value} AS value, count(*) AS uploads, coalesce(sum(declared_size_bytes), 0) AS promised_bytes,
                    coalesce(sum(uploads.size_bytes) FILTER (WHERE state IN ('uploaded', 'mismatched')), 0) AS stored_bytes
             FROM uploads JOIN tenants ON tenants.id = uploads.tenant_id LEFT JOIN api_keys ON api_keys.id = caller_id
             WHERE slug = 'alpha' AND issued_at >= '{from}' AND issued_at < '{to}' GROUP BY 1) AS item"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(connection).await.unwrap()
}

async fn assert_exact(stack: &TestStack, connection: &mut PgConnection) {
    let now = Clock::System.now().duration_trunc(TimeDelta::hours(1)).unwrap();
    let hours = |hours| (now + TimeDelta::hours(hours)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    // Whole days with edges, hours of one day only, and everything.
    for (from, to) in
        [(hours(-61), hours(-3)), (hours(-2), hours(1)), (hours(-27), hours(-26)), (hours(-200), hours(1))]
    {
        for (by, value) in [
            ("type", "coalesce(kind, 'none')"),
            ("state", "state"),
            ("ext", "ext"),
            ("api_key", "coalesce(public_id, caller_kind)"),
            ("day", "to_char(issued_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T00:00:00Z\"')"),
        ] {
            let usage = ask(stack, &format!("from={from}&to={to}&by={by}")).await;
            let mut expected = counted(connection, value, &from, &to).await;
            if by == "day" {
                let days = expected.as_array_mut().unwrap();
                days.sort_by_key(|day| day["value"].to_string());
                for day in days {
                    let start = day.as_object_mut().unwrap().remove("value").unwrap();
                    day["start"] = start;
                }
            }
            assert_eq!(usage["items"], expected, "{from} to {to} by {by}");
            assert_eq!(usage["by"], by);
            let total = ask(stack, &format!("from={from}&to={to}")).await;
            assert_eq!((&total["items"], &total["by"]), (&json!([]), &Value::Null));
            assert_eq!(total["total"], usage["total"]);
            let sum = expected.as_array().unwrap().iter().map(|item| item["uploads"].as_i64().unwrap()).sum::<i64>();
            assert_eq!(usage["total"]["uploads"], sum);
        }
    }
}

#[tokio::test]
async fn usage_is_exact_to_the_row_whoever_writes_folded_or_not() {
    let stack = stack().await;
    let mut connection = stack.connect().await;
    insert_by_hand(&mut connection).await;
    for query in ["ext=jpg", "ext=png&type=thumb", "ext=mp4&type=video"] {
        stack.presign(query).await.url();
    }
    stack.presign_as(&stack.token).await.url();
    assert_exact(&stack, &mut connection).await;

    maintenance::fold_usage(&postgres::open(stack.database_url.clone())).await.unwrap();
    let waiting: i64 =
        sqlx::query_scalar("SELECT count(*) FROM usage_unfolded").fetch_one(&mut connection).await.unwrap();
    assert_eq!(waiting, 0);
    assert_exact(&stack, &mut connection).await;

    for change in [
        "UPDATE uploads SET state = 'uploaded', size_bytes = 77, seen_at = now() WHERE state = 'issued'",
        "UPDATE uploads SET url_expires_at = url_expires_at + interval '1 min'",
        "DELETE FROM uploads WHERE object_key LIKE 'by-hand/1%'",
        "UPDATE uploads SET state = 'deleted' WHERE object_key LIKE 'by-hand/2%'",
    ] {
        connection.execute(change).await.unwrap();
    }
    assert_exact(&stack, &mut connection).await;
    maintenance::fold_usage(&postgres::open(stack.database_url.clone())).await.unwrap();
    assert_exact(&stack, &mut connection).await;
}

#[tokio::test]
async fn statement_without_a_counted_change_adds_no_delta() {
    let stack = stack().await;
    stack.presign("ext=jpg").await.url();
    let mut connection = stack.connect().await;
    let waiting = "SELECT count(*) FROM usage_unfolded";
    assert_eq!(sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut connection).await.unwrap(), 1);
    connection.execute("UPDATE uploads SET check_at = now(), access_key_id = 'another'").await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut connection).await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_rolled_back_is_not_counted() {
    let stack = stack().await;
    let mut connection = stack.connect().await;
    let mut transaction = connection.begin().await.unwrap();
    insert_by_hand(&mut transaction).await;
    transaction.rollback().await.unwrap();
    assert_eq!(ask(&stack, "").await["total"]["uploads"], 0);
}

#[tokio::test]
async fn concurrent_folds_count_each_upload_once() {
    let setup = Setup::new().set("UPLOADS__USAGE_FOLD_SECONDS", "1");
    // A machine that runs all tests at once may be slow.
    let stack = setup.set("UPLOADS__COMMIT_TIMEOUT_MS", "20000").start().await;
    let another = stack.another(&[]).await;
    let stores = [postgres::open(stack.database_url.clone()), postgres::open(stack.database_url.clone())];
    let folding = async |at: usize| {
        for _ in 0..20 {
            maintenance::fold_usage(&stores[at]).await.unwrap();
        }
    };
    let issuing = async |url: &str| {
        for _ in 0..50 {
            let url = format!("{url}/oss/presign?ext=jpg");
            stack.call(reqwest::Method::GET, url).bearer(&stack.demo.alpha.api_key).send().await.url();
        }
    };
    tokio::join!(folding(0), folding(1), issuing(&stack.url), issuing(&another.url));
    assert_eq!(
        ask(&stack, "by=type").await["items"],
        json!([{"value": "none", "uploads": 100, "promised_bytes": 0, "stored_bytes": 0}])
    );
    // The gateways themselves fold what is left.
    let mut connection = stack.connect().await;
    let folded = async || {
        let mut connection = stack.connect().await;
        let waiting: i64 =
            sqlx::query_scalar("SELECT count(*) FROM usage_unfolded").fetch_one(&mut connection).await.unwrap();
        (waiting == 0).then_some(())
    };
    eventually("everything is folded", folded).await;
    let total = "SELECT uploads FROM usage WHERE dimension = 'total' AND period = 'day' AND uploads <> 0";
    let folded: Vec<i64> = sqlx::query_scalar(total).fetch_all(&mut connection).await.unwrap();
    assert_eq!(folded.iter().sum::<i64>(), 100);
}

#[tokio::test]
async fn usage_shows_only_the_own_tenant_and_needs_the_scope() {
    let stack = stack().await;
    stack.presign("ext=jpg").await.url();
    let betas = stack.get("/v1/usage").bearer(&stack.demo.beta.api_key).send().await;
    assert_eq!(betas.data(200)["total"]["uploads"], 0);
    stack.get("/v1/usage").send().await.assert_error(401, "unauthenticated");
    let scopes = Scopes::parse(["uploads:issue"]).unwrap();
    let new = NewApiKey { tenant: Some(stack.alpha()), label: "issues only".to_owned(), scopes, expires_at: None };
    let (_, issues_only) = stack.tenants.create_api_key(new).await.unwrap();
    let refused = stack.get("/v1/usage").bearer(secrecy::ExposeSecret::expose_secret(&issues_only)).send().await;
    refused.assert_error(403, "scope_missing");
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_named() {
    let stack = stack().await;
    for (query, field) in [
        ("by=colour", "by"),
        ("by=tenant", "by"),
        ("from=2026-11-22T10:30:00Z", "from"),
        ("to=2026-11-22T10:00:01Z", "to"),
        ("from=yesterday", "from"),
        ("from=2026-11-02T00:00:00Z&to=2026-11-02T00:00:00Z", "to"),
        ("from=2027-11-02T00:00:00Z&to=2026-11-02T00:00:00Z", "to"),
        ("from=2024-11-02T00:00:00Z&to=2026-11-02T00:00:00Z", "from"),
        ("from=-262000-01-01T00:00:00Z", "from"),
        ("to=%2B262000-01-01T00:00:00Z", "to"),
    ] {
        let answer = stack.get(&format!("/v1/usage?{query}")).bearer(&stack.demo.alpha.api_key).send().await;
        answer.assert_field(400, "invalid_field", field);
        assert!(!answer.text.contains("colour") && !answer.text.contains("yesterday"), "{}", answer.text);
    }
    let unknown = stack.get("/v1/usage?tenant=beta").bearer(&stack.demo.alpha.api_key).send().await;
    assert_eq!((unknown.status.as_u16(), unknown.reason()), (400, "unknown_field"));
    let answer = stack.get("/v1/usage?to=soon").bearer(&stack.demo.alpha.api_key).send().await;
    assert!(answer.text.contains("2026-11-22T18:00:00Z, or a day such as 2026-11-22"), "{}", answer.text);
    let days = ask(&stack, "from=2026-11-21&to=2026-11-22").await;
    assert_eq!((&days["from"], &days["to"]), (&json!("2026-11-21T00:00:00Z"), &json!("2026-11-22T00:00:00Z")));
    let admins = stack.admin(reqwest::Method::GET, "/usage?from=2026-11-21&tenant=alpha").send().await;
    assert_eq!(admins.data(200)["from"], "2026-11-21T00:00:00Z");
    for path in ["/usage?tenant=ALPHA", "/uploads?tenant=ALPHA", "/uploads/export?format=csv&tenant=ALPHA"] {
        stack.admin(reqwest::Method::GET, path).send().await.assert_field(400, "invalid_field", "tenant");
    }
    // Any offset is fine that makes a whole hour.
    ask(&stack, "from=2026-11-22T00:00:00%2B08:00&to=2026-11-22T20:00:00Z").await;
    let usual = ask(&stack, "").await;
    let time = |name: &str| usual[name].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!(time("to") - time("from"), TimeDelta::days(30));
    assert!(time("to") > Clock::System.now() && time("to") - Clock::System.now() <= TimeDelta::hours(1));
}
