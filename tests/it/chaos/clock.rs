//! The machine's clock jumps: by hours, by months, ahead and back, under load.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use presign_gateway::admin::{NewApiKey, PolicyChanges, TenantChanges};
use presign_gateway::domain::caller::{Scope, Scopes};
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::jobs::maintenance;
use reqwest::Method;
use serde_json::json;

use super::check::{self, Rows};
use super::load::{Load, Target, Told, content_of};
use super::report::{Figures, report};
use super::scene::{PATIENCE, recovery, short_or_long};
use crate::support::stack::{Setup, TestStack};
use crate::support::{eventually, ledger, postgres, within};
use crate::v1::{complete, id_in, issue, state};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A gateway whose clock can be set, under load.
struct Day {
    stack: TestStack,
    shift: Arc<AtomicI64>,
    recovered: Duration,
}

impl Day {
    async fn start(setup: Setup) -> Self {
        let shift = Arc::new(AtomicI64::new(0));
        let setup = setup.at(Clock::Shifted(Arc::clone(&shift)), Randomness::System);
        // What is remembered must not outlive a jump, so something is.
        let setup = setup.set("AUTH__CACHE_SECONDS", "30").set("VAULT__CACHE_SECONDS", "30");
        let setup = setup.set("UPLOADS__COMMIT_TIMEOUT_MS", "8000");
        let stack = setup.start().await;
        let much =
            TenantChanges { rate_per_second: Some(1_000_000), burst: Some(1_000_000), ..TenantChanges::default() };
        stack.change_alpha(much).await;
        Self { stack, shift, recovered: Duration::ZERO }
    }

    fn set(&self, seconds: i64) {
        self.shift.store(seconds, Ordering::SeqCst);
    }

    /// What the gateway takes for now.
    fn now(&self) -> DateTime<Utc> {
        Clock::Shifted(Arc::clone(&self.shift)).now()
    }

    /// Waits until uploads are issued again, if they are not.
    async fn recovers(&mut self) {
        let back = Instant::now();
        let works = async || self.stack.presign("ext=jpg").await.status.is_success().then_some(());
        within(PATIENCE, "uploads are issued", works).await;
        assert!(back.elapsed() < recovery(), "{:?}", back.elapsed());
        self.recovered = self.recovered.max(back.elapsed());
    }

    /// A URL is signed for the time that the clock says, and its row says so, too.
    async fn signs_for_its_time(&self) {
        let before = self.now();
        let issued = self.stack.presign("ext=jpg").await;
        let url: url::Url = issued.url().parse().unwrap();
        let (_, date) = url.query_pairs().find(|(name, _)| name == "X-Amz-Date").unwrap();
        let signed = NaiveDateTime::parse_from_str(&date, "%Y%m%dT%H%M%SZ").unwrap().and_utc();
        assert!((signed - before).abs() < TimeDelta::seconds(10), "{signed} at {before}");
        let query = sqlx::query_scalar("SELECT issued_at FROM uploads WHERE id = $1::uuid");
        let query = query.bind(id_in(issued.object_key()));
        let recorded: DateTime<Utc> = query.fetch_one(&mut self.stack.connect().await).await.unwrap();
        assert!((recorded - before).abs() < TimeDelta::seconds(10), "{recorded} at {before}");
    }

    async fn rows(&self) -> Rows {
        check::rows(&mut self.stack.connect().await).await
    }

    fn bucket(&self) -> PathBuf {
        self.stack.files.path().join("buckets").join(&self.stack.demo.alpha.bucket)
    }

    async fn ends(self, fault: &str, load: Load, before: &Rows) -> Told {
        let lasted = load.began.elapsed();
        let told = load.end().await;
        let rows = self.rows().await;
        check::judge(&told, before, &rows, &self.bucket());
        report(&Figures::of(fault, lasted, &told, &rows, Some(self.recovered)));
        self.stack.stop().await;
        told
    }
}

/// A key of alpha's that expires in five minutes.
async fn short_lived_api_key(day: &Day) -> String {
    let new = NewApiKey {
        tenant: Some(day.stack.alpha()),
        label: "short".to_owned(),
        scopes: Scopes::default().with(Scope::UploadsIssue),
        expires_at: Some(Clock::System.now() + TimeDelta::minutes(5)),
    };
    let (_, text) = day.stack.tenants.create_api_key(new).await.unwrap();
    secrecy::ExposeSecret::expose_secret(&text).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_jump_loses_no_upload_and_decisions_follow_it() {
    let mut day = Day::start(Setup::new().set("AUTH__FAILURES_BURST", "1000")).await;
    let target = Target { url: day.stack.url.clone(), api_key: day.stack.demo.alpha.api_key.clone() };
    let api_key = short_lived_api_key(&day).await;
    let load = Load::start(&target, short_or_long(8, 32));
    load.issues(short_or_long(50, 1000), PATIENCE).await;
    let before = day.rows().await;
    // The last one has a month of its own, which nobody has prepared for; so have those before the ledger was begun.
    let jumps = [2 * HOUR, -2 * HOUR, 0, 9 * DAY, 0, -9 * DAY, 0, -200 * DAY, 0, 200 * DAY, 0];
    for seconds in jumps {
        day.set(seconds);
        day.recovers().await;
        day.signs_for_its_time().await;
        load.issues(short_or_long(50, 1000), PATIENCE).await;
        // A limit is counted by time that passes, not by the clock: nobody is locked out.
        day.stack.presign_as(&day.stack.demo.beta.api_key).await.url();
        let by_api_key = day.stack.presign_as(&api_key).await.status;
        assert_eq!(by_api_key, if seconds > 0 { 401 } else { 200 }, "a key that expires, {seconds} s off");
        // Good from now on, for a day.
        let by_token = day.stack.presign_as(&day.stack.token).await.status;
        assert_eq!(by_token, if (0..DAY).contains(&seconds) { 200 } else { 401 }, "a token, {seconds} s off");
    }
    let told = day.ends("the clock jumps by hours, days and months, ahead and back", load, &before).await;
    assert!(told.refused.iter().all(|refused| refused.reason == "unavailable"), "{:?}", told.refused.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_days_off_expires_no_valid_upload() {
    let day = Day::start(Setup::new().set("UPLOADS__SWEEP_SECONDS", "1")).await;
    let policy = PolicyChanges { verify_arrival: Some(true), ..PolicyChanges::default() };
    day.stack.change_alpha(TenantChanges { policy, ..TenantChanges::default() }).await;
    let (id, url) = issue(&day.stack).await;
    // Two rounds from now: the first may have begun before.
    let rounds = async || {
        for _ in 0..2 {
            let began = last_round(&day.stack).await;
            eventually("a round", async || (last_round(&day.stack).await != began).then_some(())).await;
        }
    };
    for ahead in [HOUR, 20 * DAY] {
        day.set(ahead);
        rounds().await;
        assert_eq!(state(&day.stack, &id).await, "issued", "{ahead} s ahead");
    }
    day.set(0);
    // And of one that was called expired, a file that arrives is seen all the same.
    let statement = "UPDATE uploads SET state = 'expired', check_at = NULL";
    sqlx::query(statement).execute(&mut day.stack.connect().await).await.unwrap();
    let put = day.stack.client.put(&url).body(content_of(&id)).send().await.unwrap();
    assert_eq!(put.status(), 200);
    assert_eq!(complete(&day.stack, &id, &json!({})).await.data(200)["state"], "uploaded");

    let (late, _) = issue(&day.stack).await;
    let due =
        "UPDATE uploads SET issued_at = now() - interval '1 hour', url_expires_at = now() - interval '10 minutes',
               check_at = now() - interval '5 minutes' WHERE id = $1::uuid";
    day.set(-20 * DAY);
    sqlx::query(due).bind(&late).execute(&mut day.stack.connect().await).await.unwrap();
    rounds().await;
    assert_eq!(state(&day.stack, &late).await, "issued");
    day.set(0);
    eventually("it is settled", async || (state(&day.stack, &late).await == "expired").then_some(())).await;
    day.stack.stop().await;
}

/// When the sweeper's last round began.
async fn last_round(stack: &TestStack) -> String {
    let status = stack.admin(Method::GET, "/sweeper").send().await;
    status.data(200)["last_round"].to_string()
}

#[tokio::test]
async fn clock_months_ahead_drops_no_retained_partition() {
    let stack = TestStack::start().await;
    let mut connection = stack.connect().await;
    let place = ledger::place_of(&mut connection, "alpha").await;
    let now = Clock::System.now();
    let rows = [40, 100, 300, 500].map(|days| ledger::row(place.0, place.1, now - TimeDelta::days(days)));
    ledger::insert(&mut connection, &rows).await;
    postgres::allow_drops(&stack.database_url).await;
    let store = postgres::open(stack.database_url.clone());
    maintenance::drop_old_partitions(&store, now + TimeDelta::days(300), 12).await.unwrap();
    assert_eq!(stack.recorded().await, 3, "what is older than a year is gone, and nothing else");
}
