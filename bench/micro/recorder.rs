//! The recorder alone, on a Postgres with its default durability, which has no other work.
//!
//! One round is as many rows at once as make several full batches for every writer; the figures are rows a second.

use std::cell::OnceCell;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use futures_util::future::{join_all, try_join_all};
use presign_gateway::domain::binding::{Bindings, Metadata};
use presign_gateway::domain::caller::CallerKind;
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::extension::Extension;
use presign_gateway::domain::ids::{BucketId, TenantId, UploadId};
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::upload::{FileFacts, NewUpload, Pixels, RequestSource, UploadKind};
use presign_gateway::telemetry::metrics::Metrics;
use presign_gateway::uploads::recorder::{Recorder, RecorderOptions};
use secrecy::ExposeSecret;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor, PgPool};
use uuid::Uuid;

use super::database::Database;

const WRITERS: [u32; 3] = [1, 2, 4];
const BATCHES: [usize; 5] = [1, 8, 32, 128, 512];
/// Of a round, for each writer.
const BATCHES_A_ROUND: usize = 4;
const MAX_ROWS: usize = 512 * 4 * BATCHES_A_ROUND;

/// Each has a connection, which is used all the time.
const CLIENTS: [u32; 4] = [1, 2, 4, 32];
const INSERTS_A_ROUND: usize = 16;
/// As in `bench/peers/plain`: no index but the primary key.
const PLAIN_TABLE: &str = "CREATE TABLE IF NOT EXISTS plain_uploads (
    id uuid PRIMARY KEY, object_key text NOT NULL, ext text NOT NULL, kind text, width int, height int,
    issued_at timestamptz NOT NULL DEFAULT now())";
const PLAIN_INSERT: &str =
    "INSERT INTO plain_uploads (id, object_key, ext, kind, width, height) VALUES ($1, $2, $3, $4, $5, $6)";

pub fn measure(criterion: &mut Criterion, database: &Database<'_>) {
    let mut group = criterion.benchmark_group("recorder");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    for writers in WRITERS {
        for batch in BATCHES {
            recorder(&mut group, database, writers, batch);
        }
    }
    for clients in CLIENTS {
        plain(&mut group, database, clients);
    }
    group.finish();
}

fn recorder(group: &mut BenchmarkGroup<'_, WallTime>, database: &Database<'_>, writers: u32, batch: usize) {
    let count = usize::try_from(writers).unwrap();
    let rows = batch * count * BATCHES_A_ROUND;
    group.throughput(Throughput::Elements(rows.try_into().unwrap()));
    let name = BenchmarkId::new(format!("gateway, writers: {writers}"), format!("batches of {batch}"));
    let (started, like) = (OnceCell::new(), upload());
    let start = || {
        let commit_timeout = Duration::from_secs(20);
        let options = RecorderOptions { queue: MAX_ROWS, writers: count, max_batch: batch, commit_timeout };
        let store = database.store(writers);
        database.runtime.block_on(async {
            make_room(&pool(database, 1)).await;
            (Recorder::start(&store, options, Metrics::off().recorder()), store)
        })
    };
    group.bench_function(name, |bencher| {
        let (recorder, _) = started.get_or_init(start);
        bencher.iter_custom(|rounds| database.runtime.block_on(record(recorder, &like, rows, rounds)));
    });
    if let Some((recorder, store)) = started.into_inner() {
        database.runtime.block_on(async { (recorder.drain().await, store.close().await) });
    }
}

async fn record(recorder: &Recorder, like: &NewUpload, rows: usize, rounds: u64) -> Duration {
    let mut elapsed = Duration::ZERO;
    for _ in 0..rounds {
        let uploads: Vec<NewUpload> = std::iter::repeat_with(|| another(like)).take(rows).collect();
        let start = Instant::now();
        let outcomes = join_all(uploads.into_iter().map(|upload| recorder.record(upload))).await;
        elapsed += start.elapsed();
        assert!(outcomes.iter().all(Result::is_ok), "every row is recorded");
    }
    elapsed
}

fn plain(group: &mut BenchmarkGroup<'_, WallTime>, database: &Database<'_>, clients: u32) {
    let rows = usize::try_from(clients).unwrap() * INSERTS_A_ROUND;
    group.throughput(Throughput::Elements(rows.try_into().unwrap()));
    let name = BenchmarkId::new("baseline, one INSERT a row", format!("connections: {clients}"));
    let (connected, like) = (OnceCell::new(), upload());
    let connect = || {
        let pool = pool(database, clients);
        database.runtime.block_on(make_room(&pool));
        pool
    };
    group.bench_function(name, |bencher| {
        let pool = connected.get_or_init(connect);
        bencher.iter_custom(|rounds| database.runtime.block_on(insert(pool, &like, clients, rounds)));
    });
    if let Some(pool) = connected.into_inner() {
        database.runtime.block_on(pool.close());
    }
}

/// Every client has its own connection, and inserts one row after another.
async fn insert(pool: &PgPool, like: &NewUpload, clients: u32, rounds: u64) -> Duration {
    let client = async || -> sqlx::Result<()> {
        let mut connection = pool.acquire().await?;
        for _ in 0..rounds * INSERTS_A_ROUND as u64 {
            let row = another(like);
            let query = sqlx::query(PLAIN_INSERT).bind(row.id.uuid()).bind(row.object_key).bind(row.file.ext.as_str());
            let query = query.bind(row.file.kind.map(UploadKind::as_str)).bind(row.file.width.map(Pixels::get));
            query.bind(row.file.height.map(Pixels::get)).execute(&mut *connection).await?;
        }
        Ok(())
    };
    let start = Instant::now();
    try_join_all((0..clients).map(|_| client())).await.unwrap();
    start.elapsed()
}

fn pool(database: &Database<'_>, connections: u32) -> PgPool {
    let url = database.url();
    let _in_runtime = database.runtime.enter();
    let options = PgPoolOptions::new().min_connections(connections).max_connections(connections);
    options.connect_lazy(url.expose_secret()).unwrap()
}

/// So that no measurement finds what another left.
async fn make_room(pool: &PgPool) {
    pool.execute(PLAIN_TABLE).await.unwrap();
    pool.execute("TRUNCATE uploads, usage_batches, usage_deltas, plain_uploads").await.unwrap();
    pool.execute("CHECKPOINT").await.unwrap();
}

fn upload() -> NewUpload {
    let now = Clock::System.now();
    NewUpload {
        id: UploadId::generate(now, &Randomness::System),
        tenant_id: TenantId::generate(now, &Randomness::System),
        bucket_id: BucketId::generate(now, &Randomness::System),
        object_key: String::new(),
        file: FileFacts {
            ext: Extension::Jpg,
            kind: Some(UploadKind::Origin),
            width: Pixels::new(100),
            height: Pixels::new(100),
            duration: None,
        },
        bindings: Bindings::default(),
        metadata: Metadata::default(),
        caller_kind: CallerKind::ApiKey,
        caller_id: Some(Uuid::from_bytes(Randomness::System.bytes())),
        caller_subject: None,
        source: RequestSource { client_address: Ipv4Addr::LOCALHOST.into(), trace_id: None },
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        issued_at: now,
        url_expires_at: now + TimeDelta::seconds(300),
        check_at: None,
    }
}

/// The next upload of the same caller.
fn another(like: &NewUpload) -> NewUpload {
    let issued_at = Clock::System.now();
    let id = UploadId::generate(issued_at, &Randomness::System);
    let object_key = format!("2026/11/22/{id}.jpg");
    NewUpload { id, object_key, issued_at, url_expires_at: issued_at + TimeDelta::seconds(300), ..like.clone() }
}
