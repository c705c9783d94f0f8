//! Maintenance of the tables: partitions created in advance, old ones dropped, expired rows
//! removed.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::jobs::maintenance::{self, MaintenanceOptions};
use reqwest::Method;
use sqlx::{Connection, Executor, PgConnection};

use crate::support::proxy::Proxy;
use crate::support::stack::{Setup, TestStack};
use crate::support::{eventually, postgres, within};

async fn partitions(connection: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar("SELECT name FROM upload_partitions() ORDER BY first_id").fetch_all(connection).await.unwrap()
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[tokio::test]
async fn partitions_are_made_ahead_of_time_however_many_instances_do() {
    let url = postgres::fresh_database().await;
    let store = postgres::open(url.clone());
    let now = time("2027-08-31T23:59:00Z");
    let made = futures_util::future::join_all((0..4).map(|_| maintenance::ensure_partitions(&store, now))).await;
    let made: i32 = made.into_iter().map(Result::unwrap).sum();
    assert_eq!(made, 5, "August to December");
    assert_eq!(maintenance::ensure_partitions(&store, now).await.unwrap(), 0);
    let all = partitions(&mut postgres::connect(&url).await).await;
    assert!(
        all.ends_with(&["uploads_2027_08", "uploads_2027_11", "uploads_2027_12"].map(str::to_owned)[1..]),
        "{all:?}"
    );
}

#[tokio::test]
async fn a_month_has_a_place_though_a_detached_table_has_its_name() {
    let url = postgres::fresh_database().await;
    let (store, mut connection) = (postgres::open(url.clone()), postgres::connect(&url).await);
    let now = time("2027-08-31T23:59:00Z");
    maintenance::ensure_partitions(&store, now).await.unwrap();
    connection.execute("ALTER TABLE uploads DETACH PARTITION uploads_2027_10").await.unwrap();
    assert_eq!(maintenance::ensure_partitions(&store, now).await.unwrap(), 1);
    let has_place = "SELECT has_upload_partition('2027-10-15T00:00:00Z')";
    assert!(sqlx::query_scalar::<_, bool>(has_place).fetch_one(&mut connection).await.unwrap());
    assert_eq!(maintenance::ensure_partitions(&store, now).await.unwrap(), 0);
}

#[tokio::test]
async fn no_table_is_made_for_a_month_that_an_older_partition_holds() {
    let url = postgres::fresh_database().await;
    let (store, mut connection) = (postgres::open(url.clone()), postgres::connect(&url).await);
    let prepare = "CREATE TABLE uploads_2027_q3 (LIKE uploads INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
        DO $$ BEGIN EXECUTE format('ALTER TABLE uploads ATTACH PARTITION uploads_2027_q3 FOR VALUES FROM (%L) TO (%L)',
            upload_id_at('2027-07-01T00:00:00Z'), upload_id_at('2027-10-01T00:00:00Z')); END $$;
        CREATE SEQUENCE tables_made;
        CREATE FUNCTION count_table() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN PERFORM nextval('public.tables_made'); END $$;
        CREATE EVENT TRIGGER count_tables ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION count_table()";
    connection.execute(prepare).await.unwrap();
    // A sequence counts those as well that are rolled back.
    assert_eq!(
        maintenance::ensure_partitions(&store, time("2027-08-31T23:59:00Z")).await.unwrap(),
        3,
        "October to December"
    );
    let tried: i64 = sqlx::query_scalar("SELECT last_value FROM tables_made").fetch_one(&mut connection).await.unwrap();
    assert_eq!(tried, 3);
}

/// One upload in each of these months, by SQL.
async fn insert_in_months(stack: &TestStack, months: &[&str]) {
    let mut connection = stack.connect().await;
    for month in months {
        let at = format!("{month}-15T12:00:00Z");
        let make = format!("SELECT ensure_upload_partitions('{at}', '{at}')");
        connection.execute(sqlx::AssertSqlSafe(make)).await.unwrap();
        let insert = format!(
            "INSERT INTO uploads (id, tenant_id, bucket_id, issued_at, url_expires_at, object_key, ext, caller_kind, client_address, access_key_id)
             SELECT upload_id_at('{at}'), tenant_id, id, '{at}', timestamptz '{at}' + interval '5 min', 'old', 'jpg', 'anonymous', '203.0.113.1', 'id'
             FROM buckets LIMIT 1"
        );
        connection.execute(sqlx::AssertSqlSafe(insert)).await.unwrap();
    }
}

#[tokio::test]
async fn months_beyond_retention_are_dropped_and_stay_counted() {
    let stack = TestStack::start().await;
    insert_in_months(&stack, &["2026-01", "2026-02", "2026-03"]).await;
    let ask = async || {
        let path = "/usage?from=2026-01-01T00:00:00Z&to=2026-04-01T00:00:00Z&by=day";
        stack.admin(Method::GET, path).send().await.data(200)["total"]["uploads"].clone()
    };
    assert_eq!(ask().await, 3);
    postgres::allow_drops(&stack.database_url).await;
    let store = postgres::open(stack.database_url.clone());
    // Nothing is dropped where all is kept.
    maintenance::drop_old_partitions(&store, Clock::System.now(), 0).await.unwrap();
    assert_eq!(stack.recorded().await, 3);
    // In April two whole months before are kept.
    maintenance::drop_old_partitions(&store, time("2026-04-30T23:00:00Z"), 2).await.unwrap();
    let left = partitions(&mut stack.connect().await).await;
    assert!(!left.contains(&"uploads_2026_01".to_owned()) && left.contains(&"uploads_2026_02".to_owned()), "{left:?}");
    assert_eq!((stack.recorded().await, ask().await), (2, 3.into()));
    maintenance::drop_old_partitions(&store, Clock::System.now(), 1).await.unwrap();
    assert_eq!((stack.recorded().await, ask().await), (0, 3.into()));
    maintenance::fold_usage(&store).await.unwrap();
    assert_eq!(ask().await, 3);
    stack.presign("ext=jpg").await.url();
}

#[tokio::test]
async fn nothing_younger_than_a_month_is_ever_dropped() {
    let url = postgres::fresh_database().await;
    let mut connection = postgres::connect(&url).await;
    let before = partitions(&mut connection).await;
    for moment in ["now()", "now() - interval '20 days'", "'infinity'"] {
        let drop = format!("SELECT drop_upload_partition({moment})");
        let refused = connection.execute(sqlx::AssertSqlSafe(drop)).await.unwrap_err();
        assert!(refused.to_string().contains("younger than a month"), "{refused}");
    }
    assert_eq!(partitions(&mut connection).await, before);
}

#[tokio::test]
async fn a_month_that_is_in_use_is_dropped_another_time() {
    let stack = TestStack::start().await;
    insert_in_months(&stack, &["2026-01"]).await;
    postgres::allow_drops(&stack.database_url).await;
    let store = postgres::open(stack.database_url.clone());
    let mut reading = stack.connect().await;
    let mut transaction = reading.begin().await.unwrap();
    transaction.execute("SELECT count(*) FROM uploads").await.unwrap();
    assert!(maintenance::drop_old_partitions(&store, Clock::System.now(), 1).await.is_err());
    transaction.rollback().await.unwrap();
    assert_eq!(stack.recorded().await, 1);
    maintenance::drop_old_partitions(&store, Clock::System.now(), 1).await.unwrap();
    assert_eq!(stack.recorded().await, 0);
}

/// Who reads the ledger for hours, as a backup does, must not make those wait again and again who write.
#[tokio::test]
async fn a_month_that_is_in_use_keeps_nobody_waiting() {
    let stack = TestStack::start().await;
    insert_in_months(&stack, &["2026-01"]).await;
    postgres::allow_drops(&stack.database_url).await;
    let store = postgres::open(stack.database_url.clone());
    let mut reading = stack.connect().await;
    let mut transaction = reading.begin().await.unwrap();
    transaction.execute("SELECT count(*) FROM uploads").await.unwrap();
    let mut shortest = Duration::MAX;
    for _ in 0..3 {
        let started = Instant::now();
        maintenance::drop_old_partitions(&store, Clock::System.now(), 1).await.unwrap_err();
        shortest = shortest.min(started.elapsed());
    }
    assert!(shortest < Duration::from_millis(300), "writers waited for {shortest:?}");
}

/// Has it fail each time, and count how often.
async fn fails(connection: &mut PgConnection, function: &str, returns: &str) {
    let replace = format!(
        "CREATE SEQUENCE tried_{name}; GRANT USAGE ON SEQUENCE tried_{name} TO PUBLIC;
         CREATE OR REPLACE FUNCTION {function} RETURNS {returns} LANGUAGE plpgsql AS $$
         BEGIN PERFORM nextval('tried_{name}'); RAISE EXCEPTION 'on purpose'; END $$",
        name = function.split('(').next().unwrap()
    );
    connection.execute(sqlx::AssertSqlSafe(replace)).await.unwrap();
}

async fn insert_idempotency_keys(connection: &mut PgConnection) {
    let insert = "INSERT INTO idempotency_keys (id, tenant_id, request_sha256, upload_ids, created_at, expires_at)
        SELECT sha256(n::text::bytea), gen_random_uuid(), sha256(''), '{}', now(), now() + (n - 2500) * interval '1 hour'
        FROM generate_series(1, 2510) AS n";
    connection.execute(insert).await.unwrap();
}

async fn idempotency_keys(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM idempotency_keys").fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn failing_job_stops_no_other_and_drop_waits_to_retry() {
    let url = postgres::fresh_database().await;
    let mut connection = postgres::connect(&url).await;
    fails(&mut connection, "ensure_upload_partitions(first timestamptz, last timestamptz)", "integer").await;
    postgres::allow_drops(&url).await;
    fails(&mut connection, "drop_upload_partition(before timestamptz)", "text").await;
    insert_idempotency_keys(&mut connection).await;
    let options = MaintenanceOptions { fold_every: Duration::from_hours(1), retention_months: 1 };
    let upkeep = tokio::spawn(maintenance::run(postgres::open(url.clone()), Clock::System, options));
    let url = &url;
    let removed = async || (idempotency_keys(&mut postgres::connect(url).await).await == 10).then_some(());
    eventually("what has expired is removed", removed).await;
    let tried = async |what: &str| -> i64 {
        let tried = format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tried_{what}");
        let mut connection = postgres::connect(url).await;
        sqlx::query_scalar(sqlx::AssertSqlSafe(tried)).fetch_one(&mut connection).await.unwrap()
    };
    let again = async || (tried("ensure_upload_partitions").await >= 3).then_some(());
    within(Duration::from_secs(30), "partitions are tried again soon", again).await;
    assert_eq!(tried("drop_upload_partition").await, 1);
    upkeep.abort();
}

#[tokio::test]
async fn idempotency_keys_that_ran_out_are_removed() {
    let url = postgres::fresh_database().await;
    let mut connection = postgres::connect(&url).await;
    insert_idempotency_keys(&mut connection).await;
    maintenance::remove_expired(&postgres::open(url.clone()), Clock::System.now()).await.unwrap();
    assert_eq!(idempotency_keys(&mut connection).await, 10);
}

#[tokio::test]
async fn readyz_says_that_uploads_will_have_no_place() {
    let clock = Clock::Fixed(time("2027-05-30T12:00:00Z"));
    let stack = Setup::new().at(clock, Randomness::System).start().await;
    let readyz = async || stack.client.get(format!("{}/readyz", stack.ops_url)).send().await.unwrap();
    assert_eq!(readyz().await.status().as_u16(), 200);
    // Upkeep itself may be at it just now, as it is after a start.
    let told = async || {
        stack.connect().await.execute("DROP TABLE IF EXISTS uploads_2027_06").await.unwrap();
        let answer = readyz().await;
        (answer.status() == 503).then_some(answer)
    };
    let answer = eventually("it says so", told).await;
    assert!(answer.text().await.unwrap().contains("partition"));
    // And once there is none for now, nothing is issued.
    stack.connect().await.execute("DROP TABLE uploads_2027_05").await.unwrap();
    stack.presign("ext=jpg").await.assert_error(503, "unavailable");
    assert_eq!(readyz().await.status().as_u16(), 503);
}

#[tokio::test]
async fn upkeep_goes_on_after_the_database_was_away() {
    let direct = postgres::fresh_database().await;
    let proxy = Proxy::to(&direct).await;
    let setup = Setup::new().set("DATABASE__ACQUIRE_TIMEOUT_MS", "300").set("UPLOADS__USAGE_FOLD_SECONDS", "1");
    let stack = setup.database(&direct, proxy.url(&direct)).start().await;
    proxy.cut();
    let refused = async || (stack.presign("ext=jpg").await.status == 503).then_some(());
    eventually("the database is away", refused).await;
    insert_in_months(&stack, &["2026-01"]).await;
    proxy.mend();
    let folded = async || {
        let mut connection = stack.connect().await;
        let waiting: i64 =
            sqlx::query_scalar("SELECT count(*) FROM usage_unfolded").fetch_one(&mut connection).await.unwrap();
        (waiting == 0).then_some(())
    };
    within(Duration::from_mins(1), "usage is folded again", folded).await;
}

#[tokio::test]
async fn role_without_tables_manages_partitions_and_folds_usage() {
    let clock = Clock::Fixed(time("2028-02-10T12:00:00Z"));
    let setup = Setup::new().at(clock, Randomness::System).set("UPLOADS__USAGE_FOLD_SECONDS", "1");
    let stack = setup.start().await;
    let there = partitions(&mut stack.connect().await).await;
    assert!(
        there.contains(&"uploads_2028_02".to_owned()) && there.contains(&"uploads_2028_05".to_owned()),
        "{there:?}"
    );
    stack.presign("ext=jpg").await.url();
    let asked = stack.get("/v1/usage?by=day").bearer(&stack.demo.alpha.api_key).send().await;
    assert_eq!(asked.data(200)["total"]["uploads"], 1);
    let folded = async || {
        let folded = "SELECT uploads FROM usage WHERE dimension = 'total' AND period = 'day'";
        let folded: Option<i64> = sqlx::query_scalar(folded).fetch_optional(&mut stack.connect().await).await.unwrap();
        (folded == Some(1)).then_some(())
    };
    eventually("usage is folded", folded).await;
    insert_in_months(&stack, &["2026-01"]).await;
    postgres::allow_drops(&stack.database_url).await;
    maintenance::drop_old_partitions(
        &postgres::open(stack.database_url.clone()),
        Clock::System.now() - TimeDelta::days(1),
        1,
    )
    .await
    .unwrap();
    assert!(!partitions(&mut stack.connect().await).await.contains(&"uploads_2026_01".to_owned()));
    let readyz = stack.client.get(format!("{}/readyz", stack.ops_url)).send().await.unwrap();
    assert_eq!(readyz.status().as_u16(), 200);
}
