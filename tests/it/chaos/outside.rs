//! The object store: down, slow, talking nonsense. Nothing that hands out a URL asks it; what does says what is wrong.

use std::time::{Duration, Instant};

use presign_gateway::admin::{PolicyChanges, TenantChanges};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sqlx::{PgConnection, Row};

use super::load::content_of;
use super::scene::{IS_LONG, PATIENCE, SLOW, Scene, recovery, short_or_long};
use crate::support::binary;
use crate::support::faulty_store;
use crate::support::jwks_server::{Publish, Publisher};
use crate::support::tcp_gate::{Door, Way};
use crate::support::within;
use crate::v1::id_in;

/// How long the gateway waits for the store here.
const BUCKET_TIMEOUT: Duration = Duration::from_millis(700);
/// An answer about the store takes no longer. The short form's machine does much else.
fn longest_answer() -> Duration {
    Duration::from_secs(short_or_long(12, 3))
}

/// How the store fails, and what is said of it.
struct Fault {
    name: &'static str,
    /// What who looks gets instead; nobody is there where it is nothing.
    publish: Option<Publish>,
    /// What `complete` is answered.
    complete: (u16, &'static str),
    /// What the sweeper says is wrong.
    sweeper: &'static str,
    /// What the doctor says; `None` where it would be at it for a minute.
    doctor: Option<&'static str>,
}

impl Fault {
    const fn new(
        name: &'static str,
        publish: Option<Publish>,
        complete: (u16, &'static str),
        sweeper: &'static str,
        doctor: Option<&'static str>,
    ) -> Self {
        Self { name, publish, complete, sweeper, doctor }
    }
}

fn faults(elsewhere: &Publisher) -> [Fault; 7] {
    let (away, nonsense) = ((503, "bucket_unavailable"), (502, "bucket_failed"));
    let redirect = Publish::Redirect(elsewhere.url());
    [
        Fault::new("down", None, away, "cannot connect", Some("cannot connect")),
        Fault::new("500", Some(Publish::Status(500)), away, "HTTP 500", Some("HTTP 500")),
        Fault::new("redirect", Some(redirect), nonsense, "HTTP 302", Some("HTTP 302")),
        Fault::new("endless", Some(Publish::Endless), nonsense, "without a size", Some("without a size")),
        Fault::new("garbage", Some(Publish::Garbage), away, "cannot connect", Some("cannot connect")),
        Fault::new("cut off", Some(Publish::HalfHead), away, "cannot connect", Some("cannot connect")),
        Fault::new("silent", Some(Publish::Hang), away, "no response in time", None),
    ]
}

/// A gateway under load, and the store behind a door.
struct Behind {
    scene: Scene,
    door: Door,
    client: Client,
}

impl Behind {
    async fn start(fault: &'static str) -> Self {
        let timeout = BUCKET_TIMEOUT.as_millis().to_string();
        let settings = [
            ("PRESIGN__UPLOADS__BUCKET_TIMEOUT_MS", timeout.as_str()),
            ("PRESIGN__UPLOADS__SWEEP_SECONDS", "1"),
            ("PRESIGN__UPLOADS__SWEEP_PER_SECOND", "500"),
        ];
        let scene = Scene::patient(fault, &settings).await;
        let door = Door::to(scene.s3_url.trim_start_matches("http://").parse().unwrap()).await;
        faulty_store::lead(&mut scene.connect().await, "alpha", &door.url).await;
        let policy = PolicyChanges { verify_arrival: Some(true), ..PolicyChanges::default() };
        scene.change_tenant("alpha", TenantChanges { policy, ..TenantChanges::default() }).await;
        let client = Client::builder().no_proxy().build().unwrap();
        Self { scene, door, client }
    }

    /// An upload; its id.
    async fn upload(&self, put: bool) -> String {
        let asked = self.client.get(format!("{}/oss/presign?ext=jpg", self.scene.target.url));
        let answer: Value = asked.bearer_auth(&self.scene.target.api_key).send().await.unwrap().json().await.unwrap();
        let object_key = answer["data"]["key"].as_str().unwrap();
        if put {
            let url = answer["data"]["url"].as_str().unwrap();
            assert_eq!(self.client.put(url).body(content_of(object_key)).send().await.unwrap().status(), 200);
        }
        id_in(object_key)
    }

    /// What is answered to one who says that an upload has arrived.
    async fn complete(&self, id: &str) -> (u16, String) {
        let began = Instant::now();
        let asked = self.client.post(format!("{}/v1/uploads/{id}/complete", self.scene.target.url));
        let answer = asked.bearer_auth(&self.scene.target.api_key).json(&json!({})).send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert!(began.elapsed() < longest_answer(), "{status} after {:?}", began.elapsed());
        assert_eq!(body["code"], if status == StatusCode::OK { 0 } else { status.as_u16() }, "{body}");
        (status.as_u16(), body["reason"].as_str().unwrap_or_default().to_owned())
    }

    /// Lets the store fail, or be well again.
    fn set(&self, publisher: &Publisher, fault: Option<&Fault>) {
        self.door.set(match fault {
            None => Way::Open,
            Some(Fault { publish: None, .. }) => Way::Closed,
            Some(Fault { publish: Some(publish), .. }) => {
                publisher.set(publish.clone());
                Way::Astray(publisher.address)
            }
        });
    }

    /// `complete` says what is wrong, and so does the doctor.
    async fn is_told(&self, fault: &Fault, id: &str) {
        let expected = (fault.complete.0, fault.complete.1.to_owned());
        // A connection of before may be found broken first.
        let told = async || (self.complete(id).await == expected).then_some(());
        within(PATIENCE, fault.name, told).await;
        let Some(doctors) = fault.doctor.filter(|_| *IS_LONG || fault.publish.is_none()) else { return };
        let mut doctor = self.scene.workbench.command(&["doctor", "alpha"]);
        let output = doctor.envs(SLOW).output().await.unwrap();
        let said = binary::stdout(&output) + &binary::stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{}: {said}", fault.name);
        assert!(said.contains(doctors) && said.contains('✗'), "{}: {said}", fault.name);
    }

    /// `complete` works again, soon.
    async fn completes(&mut self, id: &str) {
        let back = Instant::now();
        let works = async || (self.complete(id).await.0 == 200).then_some(());
        within(PATIENCE, "complete works again", works).await;
        assert!(back.elapsed() < recovery(), "{:?}", back.elapsed());
        self.scene.recovered_within(back.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faulty_store_stops_no_presign_and_doctor_names_the_fault() {
    let mut behind = Behind::start("object store: down, slow, garbage, redirects, endless, cut off, 500s").await;
    let publisher = Publisher::start(Publish::Hang).await;
    let elsewhere = Publisher::start(Publish::Status(200)).await;
    let load = behind.scene.load().await;
    let before = behind.scene.rows().await;
    behind.door.set(Way::Slow(BUCKET_TIMEOUT / 4));
    let id = behind.upload(true).await;
    assert_eq!(behind.complete(&id).await.0, 200, "a slow one is waited for");
    let faults = faults(&elsewhere);
    for fault in &faults[..short_or_long(4, faults.len())] {
        let id = behind.upload(true).await;
        behind.set(&publisher, Some(fault));
        behind.is_told(fault, &id).await;
        load.issues(short_or_long(20, 2000), PATIENCE).await;
        behind.set(&publisher, None);
        behind.completes(&id).await;
    }
    let told = behind.scene.end(load, &before).await;
    assert_eq!(told.refused.len() + told.cut.len(), 0, "{:?}", told.refused.first());
    assert_eq!(elsewhere.requests(), 0, "a redirect was followed");
}

/// Uploads whose URL ran out, half of which arrived; nobody looks for them yet.
async fn put_aside(behind: &Behind) -> Vec<uuid::Uuid> {
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(behind.upload(number % 2 == 0).await.parse().unwrap());
    }
    let statement =
        "UPDATE uploads SET issued_at = now() - interval '1 hour', url_expires_at = now() - interval '10 minutes',
                                        check_at = NULL WHERE id = ANY($1)";
    sqlx::query(statement).bind(&ids).execute(&mut behind.scene.connect().await).await.unwrap();
    ids
}

/// How many there are of each state, and how many are waited for.
async fn states(connection: &mut PgConnection, ids: &[uuid::Uuid]) -> (Vec<(String, i64)>, i64) {
    let query = "SELECT state, count(*), count(check_at) FROM uploads WHERE id = ANY($1) GROUP BY 1 ORDER BY 1";
    let rows = sqlx::query(query).bind(ids).fetch_all(connection).await.unwrap();
    (rows.iter().map(|row| (row.get(0), row.get(1))).collect(), rows.iter().map(|row| row.get::<i64, _>(2)).sum())
}

impl Behind {
    /// Why the sweeper leaves alpha's bucket alone.
    async fn failing(&self) -> Option<String> {
        let asked = self.client.get(format!("{}/admin/v1/sweeper", self.scene.server().ops_url));
        let answer = asked.bearer_auth(&self.scene.demo.operator_key).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let buckets = answer["data"]["backlog"]["buckets"].as_array()?;
        let alpha = buckets.iter().find(|bucket| bucket["tenant"] == "alpha")?;
        alpha["failing"]["reason"].as_str().map(str::to_owned)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faulty_store_makes_the_sweeper_expire_nothing() {
    let behind = Behind::start("object store: the same, while the sweeper is at it").await;
    let publisher = Publisher::start(Publish::Hang).await;
    let elsewhere = Publisher::start(Publish::Status(200)).await;
    let faults = faults(&elsewhere);
    let faults = &faults[..short_or_long(1, faults.len())];
    let mut aside = Vec::new();
    for _ in faults {
        aside.push(put_aside(&behind).await);
    }
    let load = behind.scene.load().await;
    let before = behind.scene.rows().await;
    let mut connection = behind.scene.connect().await;
    for (fault, ids) in faults.iter().zip(&aside) {
        behind.set(&publisher, Some(fault));
        let due = "UPDATE uploads SET check_at = now() - interval '5 minutes' WHERE id = ANY($1)";
        sqlx::query(due).bind(ids).execute(&mut connection).await.unwrap();
        let told = async || behind.failing().await.filter(|reason| reason.contains(fault.sweeper));
        within(PATIENCE, fault.name, told).await;
        assert_eq!(states(&mut connection, ids).await, (vec![("issued".to_owned(), 6)], 6), "{}", fault.name);
        behind.set(&publisher, None);
        // As long as it failed, at most so long it was left alone.
        let settled = async || {
            let (states, waiting) = states(&mut behind.scene.connect().await, ids).await;
            (waiting == 0).then_some(states)
        };
        let settled = within(PATIENCE, "it goes on by itself", settled).await;
        assert_eq!(settled, [("expired".to_owned(), 3), ("uploaded".to_owned(), 3)], "{}", fault.name);
    }
    let told = behind.scene.end(load, &before).await;
    assert_eq!(told.refused.len() + told.cut.len(), 0, "{:?}", told.refused.first());
}
