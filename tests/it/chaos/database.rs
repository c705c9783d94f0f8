//! Postgres: killed, restarted, frozen, out of reach, full, read-only, at odds with itself, and slow.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use sqlx::{Connection, Executor};
use tempfile::TempDir;

use super::load::Load;
use super::scene::{PATIENCE, SLOW, Scene, short_or_long};
use crate::support::postgres_server::{Node, open_folder};
use crate::support::proxy::Proxy;

/// A gateway under load, its Postgres, and the way in between.
struct Day {
    scene: Scene,
    node: Node,
    proxy: Proxy,
    load: Load,
    before: super::check::Rows,
}

impl Day {
    async fn begins(fault: &'static str, node: Node) -> Self {
        Self::begins_with(fault, node, &[]).await
    }

    /// The same, where nobody may be refused: on a machine that does much else commits are slow.
    async fn begins_patiently(fault: &'static str) -> Self {
        Self::begins_with(fault, Node::start().await, &SLOW).await
    }

    async fn begins_with(fault: &'static str, node: Node, settings: &[(&str, &str)]) -> Self {
        let (scene, proxy) = Scene::on_node(fault, &node, settings).await;
        let load = scene.load().await;
        let before = scene.rows().await;
        Self { scene, node, proxy, load, before }
    }

    /// Waits until requests fail, as they must.
    async fn fails(&self) {
        self.load.fails(short_or_long(10, 200), PATIENCE).await;
    }

    /// Starts Postgres again.
    async fn resumes(&mut self) {
        self.node.resume().await;
        self.proxy.lead_to(&self.node.url());
        self.scene.database_url = self.node.url();
    }

    /// Has the gateway connect anew.
    async fn reconnects(&self) {
        self.proxy.cut();
        self.load.fails(1, PATIENCE).await;
        self.proxy.mend();
    }

    async fn recovers(&mut self) {
        self.scene.recovers(&self.load).await;
    }

    async fn ends(self) -> super::load::Told {
        let Self { scene, mut node, load, before, .. } = self;
        let told = scene.end(load, &before).await;
        node.stop().await;
        told
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_postgres_loses_no_issued_upload() {
    let mut day = Day::begins("Postgres: kill -9 and recovery, again and again", Node::start().await).await;
    for _ in 0..short_or_long(2, 10) {
        day.node.kill().await;
        day.fails().await;
        day.resumes().await;
        day.recovers().await;
    }
    day.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_postgres_restarted_it_goes_on_by_itself() {
    let mut day = Day::begins("Postgres: restart, again and again", Node::start().await).await;
    for _ in 0..short_or_long(2, 10) {
        day.node.stop().await;
        day.fails().await;
        day.resumes().await;
        day.recovers().await;
    }
    day.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_postgres_gets_timely_503_and_recovery() {
    let mut day = Day::begins("Postgres: frozen (SIGSTOP) for 10 s", Node::start().await).await;
    day.node.freeze();
    day.fails().await;
    // How long the fault lasts: longer than anybody may wait for a commit.
    tokio::time::sleep(Duration::from_secs(short_or_long(6, 10))).await;
    day.node.thaw();
    day.recovers().await;
    let told = day.ends().await;
    let slowest = told.issued.iter().max_by_key(|issued| issued.took).unwrap();
    assert!(
        slowest.took < Duration::from_millis(short_or_long(5500, 3500)),
        "uploads.commit_timeout_ms is 2000: {slowest:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_connections_cut_again_and_again_it_goes_on_by_itself() {
    let mut day = Day::begins("Postgres: connections cut, again and again", Node::start().await).await;
    for _ in 0..short_or_long(3, 20) {
        day.reconnects().await;
        day.recovers().await;
    }
    day.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exhausted_connections_get_503_and_recovery() {
    let mut day = Day::begins("Postgres: too many connections", Node::start().await).await;
    day.node.execute("ALTER ROLE presign CONNECTION LIMIT 0").await;
    day.reconnects().await;
    day.fails().await;
    day.node.execute("ALTER ROLE presign CONNECTION LIMIT -1").await;
    day.recovers().await;
    day.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_database_read_only_nothing_is_handed_out() {
    let mut day = Day::begins("Postgres: read-only", Node::start().await).await;
    day.node.set("default_transaction_read_only", Some("on")).await;
    day.fails().await;
    let mut connection = day.node.connect().await;
    connection.execute("SET default_transaction_read_only = off").await.unwrap();
    connection.execute("ALTER SYSTEM RESET default_transaction_read_only").await.unwrap();
    connection.execute("SELECT pg_reload_conf()").await.unwrap();
    day.recovers().await;
    day.ends().await;
}

/// Fails one statement in five as Postgres does itself, now with the one error, now with the other.
const AT_ODDS: &str = "
    CREATE SEQUENCE at_odds;
    CREATE FUNCTION at_odds() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE number bigint := nextval('at_odds');
    BEGIN
        IF number % 10 = 0 THEN RAISE EXCEPTION 'could not serialize access' USING ERRCODE = 'serialization_failure'; END IF;
        IF number % 10 = 5 THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = 'deadlock_detected'; END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER at_odds AFTER INSERT ON uploads FOR EACH STATEMENT EXECUTE FUNCTION at_odds();";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlock_or_serialization_error_is_retried() {
    let mut day =
        Day::begins("Postgres: serialization errors and deadlocks, one statement in five", Node::start().await).await;
    day.node.execute(AT_ODDS).await;
    day.load.issues(short_or_long(500, 20_000), PATIENCE).await;
    day.node.execute("DROP TRIGGER at_odds ON uploads").await;
    day.recovers().await;
    let told = day.ends().await;
    let (refused, issued) = (told.refused.len(), told.issued.len());
    assert!(refused * 10 < issued, "{refused} refused, {issued} issued: one in five would be without a second try");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_real_deadlock_nobody_is_refused() {
    let mut day = Day::begins_patiently("Postgres: deadlocks with somebody else's locks").await;
    day.node.set("deadlock_timeout", Some("500ms")).await;
    let mut undone = 0;
    for _ in 0..short_or_long(5, 20) {
        let mut other = day.node.connect().await;
        // Ours holds the ledger, and waits for this; then this one waits for the ledger.
        other.execute("BEGIN; LOCK TABLE usage_batches IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'usage_batches'::regclass";
        crate::support::within(PATIENCE, "ours waits", async || {
            sqlx::query(waits).fetch_optional(&mut day.node.connect().await).await.unwrap().map(drop)
        })
        .await;
        // Ours waited first, so that it is ours which Postgres undoes.
        undone += usize::from(other.execute("LOCK TABLE uploads IN ACCESS EXCLUSIVE MODE").await.is_ok());
        other.close().await.unwrap();
        // What is undone twice is refused: the next one comes when all is well.
        day.load.issues(short_or_long(40, 500), PATIENCE).await;
    }
    let deadlocks = "SELECT 1 FROM pg_stat_database WHERE datname = current_database() AND deadlocks > 0";
    crate::support::within(PATIENCE, "Postgres has found deadlocks", async || {
        sqlx::query(deadlocks).fetch_optional(&mut day.node.connect().await).await.unwrap().map(drop)
    })
    .await;
    day.recovers().await;
    let told = day.ends().await;
    assert!(undone > 0, "ours was undone");
    assert_eq!(told.refused.len(), 0, "what was undone is written again: {:?}", told.refused.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_slow_commits_nothing_fails() {
    let mut day = Day::begins_patiently("Postgres: each commit 100 ms slower").await;
    day.node.set("commit_siblings", Some("0")).await;
    day.node.set("commit_delay", Some("100000")).await;
    day.load.issues(short_or_long(200, 5000), PATIENCE).await;
    day.node.set("commit_delay", None).await;
    day.recovers().await;
    let told = day.ends().await;
    assert_eq!(told.refused.len() + told.cut.len(), 0, "{:?}", told.refused.first());
}

/// A small file system of its own; gone with this.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` for whoever may not mount any.
    fn mount() -> Option<Self> {
        let folder = open_folder();
        let tmpfs = ["-t", "tmpfs", "-o", "size=160m,mode=755", "tmpfs"];
        let mounted = Command::new("mount").args(tmpfs).arg(folder.path()).output().ok()?;
        mounted.status.success().then(|| Self(folder))
    }

    /// A folder on it that Postgres's user may enter.
    fn folder(&self) -> TempDir {
        let folder = tempfile::tempdir_in(self.0.path()).unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        folder
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let ballast = std::fs::File::create(self.0.path().join("ballast")).unwrap();
        let full = std::io::copy(&mut std::io::repeat(0), &mut &ballast).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    fn free(&self) {
        std::fs::remove_file(self.0.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Before the folder itself is removed.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_disk_full_nothing_is_handed_out_and_what_was_stays() {
    let Some(disk) = SmallDisk::mount() else {
        let _ = writeln!(std::io::stderr(), "a full disk was not tried: only root may mount a small one");
        return;
    };
    let mut day = Day::begins("Postgres: out of disk", Node::start_in(disk.folder()).await).await;
    disk.fill();
    day.fails().await;
    disk.free();
    // Without room for its log Postgres ends itself; whoever looks after it starts it again.
    if !day.node.is_running() {
        day.node.ended().await;
        day.resumes().await;
    }
    day.recovers().await;
    day.ends().await;
}
