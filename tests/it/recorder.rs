//! The recorder alone, on real Postgres.

use std::net::Ipv4Addr;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use futures_util::FutureExt;
use futures_util::future::join_all;
use presign_gateway::domain::binding::{Bindings, Metadata, Sha256};
use presign_gateway::domain::caller::CallerKind;
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::extension::Extension;
use presign_gateway::domain::ids::{BucketId, TenantId, UploadId};
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::upload::{FileFacts, NewUpload, Pixels, RequestSource, Seconds, TraceId, UploadKind};
use presign_gateway::jobs::maintenance;
use presign_gateway::store::uploads::writer::Appender;
use presign_gateway::store::{StoreError, usage};
use presign_gateway::telemetry::metrics::Metrics;
use presign_gateway::uploads::recorder::{RecordError, Recorder, RecorderOptions};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::{Connection, Executor};

use crate::support::{eventually, postgres, within};

const OPTIONS: RecorderOptions =
    RecorderOptions { queue: 1000, writers: 2, max_batch: 100, commit_timeout: Duration::from_secs(20) };

fn upload() -> NewUpload {
    let (now, randomness) = (Clock::System.now(), Randomness::System);
    let id = UploadId::generate(now, &randomness);
    NewUpload {
        id,
        tenant_id: TenantId::generate(now, &randomness),
        bucket_id: BucketId::generate(now, &randomness),
        object_key: format!("{id}.jpg"),
        file: FileFacts { ext: Extension::Jpg, kind: None, width: None, height: None, duration: None },
        bindings: Bindings::default(),
        metadata: Metadata::default(),
        caller_kind: CallerKind::Anonymous,
        caller_id: None,
        caller_subject: None,
        source: RequestSource { client_address: Ipv4Addr::LOCALHOST.into(), trace_id: None },
        access_key_id: "id".to_owned(),
        issued_at: now,
        url_expires_at: now + TimeDelta::seconds(300),
        check_at: None,
    }
}

async fn recorded(url: &SecretString) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM uploads").fetch_one(&mut postgres::connect(url).await).await.unwrap()
}

#[tokio::test]
async fn many_uploads_at_once_share_commits_and_each_is_recorded() {
    let url = postgres::fresh_database().await;
    let recorder = Recorder::start(&postgres::open(url.clone()), OPTIONS, Metrics::off().recorder());
    let uploads: Vec<_> = (0..500).map(|_| upload()).collect();
    for result in join_all(uploads.iter().cloned().map(|upload| recorder.record(upload))).await {
        result.unwrap();
    }
    assert_eq!(recorded(&url).await, 500);
    // Rows of one commit carry the same transaction id.
    let commits: i64 = sqlx::query_scalar("SELECT count(DISTINCT xmin::text) FROM uploads")
        .fetch_one(&mut postgres::connect(&url).await)
        .await
        .unwrap();
    assert!(commits <= 50, "{commits} commits for 500 rows");
}

#[tokio::test]
async fn batch_of_many_tenants_is_counted_and_folded_for_each() {
    let url = postgres::fresh_database().await;
    let store = postgres::open(url.clone());
    // More than fits a page.
    let uploads: Vec<_> = (0..400).map(|_| upload()).collect();
    let rows: Vec<&NewUpload> = uploads.iter().collect();
    Appender::new(store.clone()).append_any_tenant(&rows, OPTIONS.commit_timeout).await.unwrap();
    let mut connection = postgres::connect(&url).await;
    let mut count =
        async |sql: &'static str| -> (i64, i64) { sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap() };
    let batches = "SELECT count(*), coalesce(sum(cardinality(counts)), 0)::bigint FROM usage_batches";
    let tenants = "SELECT count(DISTINCT tenant_id), sum(uploads)::bigint FROM usage_unfolded";
    assert_eq!((count(batches).await, count(tenants).await), ((1, 400), (400, 400)));
    assert_eq!(usage::gather_any_tenant(&store, 10).await.unwrap(), 1);
    assert_eq!((count(batches).await, count(tenants).await), ((0, 0), (400, 400)));
    maintenance::fold_usage(&store).await.unwrap();
    let folded = "SELECT count(*), sum(uploads)::bigint FROM usage WHERE dimension = 'total' AND period = 'hour'";
    assert_eq!(count(folded).await, (400, 400));
}

/// The statement names no column of the type that it reads: they go by their order.
#[tokio::test]
async fn every_column_is_recorded_in_its_place() {
    let url = postgres::fresh_database().await;
    let (caller_id, digest) = (uuid::Uuid::from_u128(7), [0xab; 32]);
    let (width, height, duration) = (Pixels::new(1), Pixels::new(2), Seconds::new(2.5));
    let plain = upload();
    let full = NewUpload {
        file: FileFacts { ext: Extension::Jpg, kind: Some(UploadKind::Thumb), width, height, duration },
        bindings: Bindings {
            size_bytes: Some(3),
            content_type: Some("image/jpeg"),
            sha256: Some(Sha256::from(digest)),
            write_once: true,
        },
        metadata: Metadata::of_encoded([("name".to_owned(), "value".to_owned())].into()),
        caller_kind: CallerKind::Jwt,
        caller_id: Some(caller_id),
        caller_subject: Some("somebody".into()),
        source: RequestSource { client_address: Ipv4Addr::new(192, 0, 2, 1).into(), trace_id: Some(TraceId([1; 16])) },
        access_key_id: "AKID".to_owned(),
        check_at: Some(plain.issued_at + TimeDelta::seconds(600)),
        ..plain
    };
    Appender::new(postgres::open(url.clone())).append_any_tenant(&[&full], OPTIONS.commit_timeout).await.unwrap();
    let row = "SELECT jsonb_strip_nulls(to_jsonb(uploads)) FROM uploads";
    let row: Value = sqlx::query_scalar(row).fetch_one(&mut postgres::connect(&url).await).await.unwrap();
    let mut expected = json!({
        "id": full.id, "tenant_id": full.tenant_id, "bucket_id": full.bucket_id, "object_key": full.object_key, "ext": "jpg",
        "kind": "thumb", "width": 1, "height": 2, "duration_seconds": 2.5, "declared_size_bytes": 3,
        "declared_content_type": "image/jpeg", "declared_sha256": format!("\\x{}", "ab".repeat(32)), "write_once": true,
        "metadata": { "name": "value" }, "caller_kind": "jwt", "caller_id": caller_id, "caller_subject": "somebody",
        "client_address": "192.0.2.1", "access_key_id": "AKID", "trace_id": "01".repeat(16), "state": "issued",
    });
    for (column, time) in
        [("issued_at", full.issued_at), ("url_expires_at", full.url_expires_at), ("check_at", full.check_at.unwrap())]
    {
        let recorded: DateTime<Utc> = row[column].as_str().unwrap().parse().unwrap();
        assert_eq!(recorded, time.trunc_subsecs(6), "{column}");
        expected[column] = row[column].clone();
    }
    assert_eq!(row, expected);
}

#[tokio::test]
async fn one_bad_row_does_not_sink_its_neighbours() {
    let url = postgres::fresh_database().await;
    let recorder = Recorder::start(
        &postgres::open(url.clone()),
        RecorderOptions { writers: 1, ..OPTIONS },
        Metrics::off().recorder(),
    );
    let mut uploads: Vec<_> = (0..50).map(|_| upload()).collect();
    uploads[20].url_expires_at = uploads[20].issued_at;
    uploads[30].id = uploads[10].id;
    uploads[40].object_key = String::new();
    let results = join_all(uploads.iter().cloned().map(|upload| recorder.record(upload))).await;
    for (index, result) in results.iter().enumerate() {
        let is_bad = [20, 30, 40].contains(&index);
        assert_eq!(matches!(result, Err(RecordError::NotCommitted(_))), is_bad, "{index}: {result:?}");
    }
    assert_eq!(recorded(&url).await, 47);
}

#[tokio::test]
async fn transaction_rolled_back_by_postgres_is_retried() {
    let url = postgres::fresh_database().await;
    let at_odds = "
        CREATE SEQUENCE at_odds;
        CREATE FUNCTION at_odds() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            IF nextval('at_odds') % 2 = 1 THEN RAISE EXCEPTION 'at odds' USING ERRCODE = TG_ARGV[0]; END IF;
            RETURN NULL;
        END $$;";
    let mut connection = postgres::connect(&url).await;
    connection.execute(at_odds).await.unwrap();
    let recorder = Recorder::start(
        &postgres::open(url.clone()),
        RecorderOptions { writers: 1, ..OPTIONS },
        Metrics::off().recorder(),
    );
    for (number, code) in [(1, "serialization_failure"), (2, "deadlock_detected")] {
        let trigger = format!(
            "CREATE OR REPLACE TRIGGER at_odds AFTER INSERT ON uploads FOR EACH STATEMENT EXECUTE FUNCTION at_odds('{code}')"
        );
        connection.execute(sqlx::AssertSqlSafe(trigger)).await.unwrap();
        recorder.record(upload()).await.unwrap();
        assert_eq!(recorded(&url).await, number);
    }
}

#[tokio::test]
async fn draining_writes_what_was_taken_and_takes_no_more() {
    let url = postgres::fresh_database().await;
    let options = RecorderOptions { max_batch: 7, writers: 3, ..OPTIONS };
    let recorder = Recorder::start(&postgres::open(url.clone()), options, Metrics::off().recorder());
    let mut taken: Vec<_> = (0..200).map(|_| Box::pin(recorder.record(upload()))).collect();
    for record in &mut taken {
        assert!(record.now_or_never().is_none(), "it is in the queue, and not written yet");
    }
    recorder.drain().await;
    for result in join_all(taken).await {
        result.unwrap();
    }
    assert_eq!(recorded(&url).await, 200);
    assert!(matches!(recorder.record(upload()).await, Err(RecordError::Closed)));
}

#[tokio::test]
async fn a_month_without_a_partition_is_told_as_that() {
    let url = postgres::fresh_database().await;
    let recorder = Recorder::start(&postgres::open(url.clone()), OPTIONS, Metrics::off().recorder());
    let id = UploadId::first_at("2001-01-01T00:00:00Z".parse().unwrap());
    let error = recorder.record(NewUpload { id, ..upload() }).await.unwrap_err();
    let RecordError::NotCommitted(cause) = &error else { panic!("{error:?}") };
    assert!(matches!(**cause, StoreError::NoPartition(_)), "{cause:?}");
    assert!(cause.to_string().contains("presign-gateway migrate"), "{cause}");
}

#[tokio::test]
async fn a_writer_with_nothing_to_write_gives_its_connection_back() {
    let store = postgres::open(postgres::fresh_database().await);
    let recorder = Recorder::start(&store, OPTIONS, Metrics::off().recorder());
    recorder.record(upload()).await.unwrap();
    let given_back = eventually("the pool has its connection", async || {
        let connections = store.connections();
        (connections.used == 0 && connections.idle == 1).then_some(())
    });
    given_back.await;
    recorder.record(upload()).await.unwrap();
}

#[tokio::test]
async fn a_commit_that_hangs_holds_up_no_other() {
    let url = postgres::fresh_database().await;
    let recorder = Recorder::start(&postgres::open(url.clone()), OPTIONS, Metrics::off().recorder());
    let (hangs, other) = (upload(), upload());
    // The same id, in a transaction that does not end: whoever inserts it waits.
    let mut connection = postgres::connect(&url).await;
    let mut transaction = connection.begin().await.unwrap();
    let insert = "INSERT INTO uploads (id, tenant_id, bucket_id, object_key, ext, caller_kind, client_address, access_key_id, issued_at, url_expires_at)
                  VALUES ($1, $1, $1, 'a.jpg', 'jpg', 'anonymous', '127.0.0.1', 'id', now(), now() + interval '1 minute')";
    sqlx::query(insert).bind(hangs.id.uuid()).execute(&mut *transaction).await.unwrap();
    let mut hanging = Box::pin(recorder.record(hangs));
    assert!((&mut hanging).now_or_never().is_none());
    within(OPTIONS.commit_timeout / 4, "the first writer waits", async || {
        let waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        sqlx::query(waiting).fetch_optional(&mut postgres::connect(&url).await).await.unwrap().map(drop)
    })
    .await;
    tokio::time::timeout(OPTIONS.commit_timeout / 4, recorder.record(other)).await.expect("another writer").unwrap();
    transaction.rollback().await.unwrap();
    hanging.await.unwrap();
}
