//! The gateway's own process: killed, told to stop, and told to stop with a full queue.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sqlx::{Executor, PgConnection};

use super::check::Rows;
use super::load::{Load, Told};
use super::scene::{PATIENCE, Scene, short_or_long};
use crate::support::within;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_gateway_loses_no_issued_upload() {
    let mut scene = Scene::start("gateway: kill -9, again and again", &[]).await;
    let load = scene.load().await;
    let before = scene.rows().await;
    for _ in 0..short_or_long(3, 20) {
        scene.end_server(Signal::SIGKILL).await;
        load.fails(1, PATIENCE).await;
        scene.serve().await;
        load.issues(short_or_long(100, 2000), PATIENCE).await;
    }
    scene.recovers(&load).await;
    scene.end(load, &before).await;
}

/// Nobody gives up while the ledger is held up, on a slow machine either.
const PATIENT: [(&str, &str); 2] =
    [("PRESIGN__UPLOADS__COMMIT_TIMEOUT_MS", "13000"), ("PRESIGN__SERVER__REQUEST_TIMEOUT_SECONDS", "14")];

/// How long nobody can write to the ledger while the gateway stops: longer than stopping takes by itself.
const HELD_UP: Duration = Duration::from_secs(2);

/// Keeps everybody from writing to the ledger, and waits until somebody wants to.
async fn hold_up(scene: &Scene) -> PgConnection {
    let mut lock = scene.connect().await;
    lock.execute("BEGIN; LOCK TABLE uploads IN EXCLUSIVE MODE").await.unwrap();
    let waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'uploads'::regclass";
    within(PATIENCE, "somebody waits for the ledger", async || {
        sqlx::query(waiting).fetch_optional(&mut scene.connect().await).await.unwrap().map(drop)
    })
    .await;
    lock
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_it_answers_each_request_that_it_took() {
    let mut scene = Scene::start("gateway: SIGTERM under load, again and again", &PATIENT).await;
    let load = scene.load().await;
    let before = scene.rows().await;
    for _ in 0..short_or_long(2, 10) {
        let mut lock = hold_up(&scene).await;
        let server = scene.server.take().unwrap();
        let told = Instant::now();
        server.signal(Signal::SIGTERM);
        tokio::time::sleep(HELD_UP).await;
        lock.execute("COMMIT").await.unwrap();
        assert!(server.ended().await.success());
        assert!(told.elapsed() < Duration::from_secs(20), "the deadline of server.shutdown_timeout_seconds");
        scene.serve().await;
        load.issues(short_or_long(100, 2000), PATIENCE).await;
    }
    scene.recovers(&load).await;
    let mut connection = scene.connect().await;
    let told = scene.end(load, &before).await;
    assert_eq!(told.refused.len(), 0, "none was refused: {:?}", told.refused.first());
    nobody_was_left_untold(&told, &mut connection).await;
}

/// A request that was cut off is one that was never taken: its row would say that it was.
async fn nobody_was_left_untold(told: &Told, connection: &mut PgConnection) {
    for cut in &told.cut {
        let row =
            sqlx::query("SELECT 1 FROM uploads WHERE width = $1 AND height = $2").bind(cut.width).bind(cut.height);
        let row = row.fetch_optional(&mut *connection).await.unwrap();
        assert!(row.is_none(), "recorded, and its client was never told: {cut:?}");
    }
}

/// A queue that the usual clients never fill.
const QUEUE: &str = "32";

/// A gateway whose queue is full, since nobody can write to the ledger and a crowd has come.
struct FullQueue {
    scene: Scene,
    load: Load,
    crowd: Load,
    before: Rows,
    lock: PgConnection,
}

impl FullQueue {
    async fn begins(fault: &'static str) -> Self {
        let settings = [&PATIENT[..], &[("PRESIGN__UPLOADS__RECORDER_QUEUE", QUEUE)]].concat();
        let scene = Scene::start(fault, &settings).await;
        let load = scene.load().await;
        let before = scene.rows().await;
        let mut lock = scene.connect().await;
        lock.execute("BEGIN; LOCK TABLE uploads IN EXCLUSIVE MODE").await.unwrap();
        let crowd = load.crowd(&scene.target, 128);
        // A commit is waited for, a place in the queue is not.
        load.is_refused_at_once(PATIENCE).await;
        Self { scene, load, crowd, before, lock }
    }

    async fn recovers_and_ends(self) -> Told {
        let Self { mut scene, load, crowd, before, .. } = self;
        crowd.disperse().await;
        scene.serve().await;
        scene.recovers(&load).await;
        scene.end(load, &before).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_with_a_full_queue_it_writes_what_it_took() {
    let mut full = FullQueue::begins("gateway: SIGTERM with a full queue").await;
    let server = full.scene.server.take().unwrap();
    server.signal(Signal::SIGTERM);
    let issued = full.load.issued();
    tokio::time::sleep(HELD_UP).await;
    assert_eq!(full.load.issued(), issued, "nobody can write");
    full.lock.execute("COMMIT").await.unwrap();
    assert!(server.ended().await.success());
    let written = full.load.issued() - issued;
    assert!(written > 0, "those that waited have their URL");
    let mut connection = full.scene.connect().await;
    let told = full.recovers_and_ends().await;
    nobody_was_left_untold(&told, &mut connection).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_killed_with_a_full_queue_issued_no_unwritten_upload() {
    let mut full = FullQueue::begins("gateway: kill -9 with a full queue").await;
    full.scene.end_server(Signal::SIGKILL).await;
    full.lock.execute("COMMIT").await.unwrap();
    full.recovers_and_ends().await;
}
