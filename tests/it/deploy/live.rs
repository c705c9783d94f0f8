//! A gateway that has done a bit of everything, and a real Prometheus that is asked whatever dashboard and rules ask.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use presign_gateway::admin::{PolicyChanges, TenantChanges};
use presign_gateway::domain::jwt_issuer::JwtAlgorithm;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::Connection;

use super::files::{dashboard, dashboard_queries, recorded, rules};
use super::promql;
use super::server::{self, Prometheus};
use crate::oss::jwt::published;
use crate::oss::jwt::{add, issuer};
use crate::support::eventually;
use crate::support::faulty_store::{Fault, FaultyStore};
use crate::support::jwks_server::{Publish, Publisher};
use crate::support::stack::{Instance, Setup, TestStack};
use crate::support::tokens::{IssuerKey, claims, claims_with};
use crate::v1::{complete, id_in};

/// Where no data is what a gateway that is well has, or one that sends no traces.
const MAY_BE_EMPTY: [&str; 8] = [
    "presign_gateway_sealing_key_age_seconds",
    "(ALERTS{",
    "otel_sdk_processor_",
    "presign_gateway_telemetry_lost_",
    "cache_requests_total{job=\"presign-gateway\",instance=~\".+\",result=\"failure\"",
    "db_client_operation_duration_seconds_count{job=\"presign-gateway\",instance=~\".+\",error_type!=\"\"",
    "commit_duration_seconds_count{job=\"presign-gateway\",instance=~\".+\",outcome=\"failed\"",
    "limit!=\"tenant\"",
];

/// A gateway with much to tell of.
struct Busy {
    stack: TestStack,
    /// Before beta's bucket.
    _store: FaultyStore,
    key: IssuerKey,
    _publishers: [Publisher; 2],
}

impl Busy {
    async fn start() -> Self {
        let setup = Setup::new().set("UPLOADS__SWEEP_SECONDS", "1").set("UPLOADS__COMMIT_TIMEOUT_MS", "1500");
        let setup = setup.set("AUTH__FAILURES_BURST", "1000000").set("TELEMETRY__REQUEST_LINES_PER_SECOND", "1");
        let stack = setup.start().await;
        let store = FaultyStore::start(&stack).await;
        store.serve(&stack, "beta").await;
        store.set(Fault::Status(503, "SlowDown"));
        let policy = PolicyChanges { verify_arrival: Some(true), ..PolicyChanges::default() };
        stack.change_alpha(TenantChanges { policy: policy.clone(), ..TenantChanges::default() }).await;
        let little = TenantChanges { rate_per_second: Some(1), burst: Some(2), policy, ..TenantChanges::default() };
        stack.tenants.update_tenant(&stack.beta(), little, None).await.unwrap();
        let key = IssuerKey::es256();
        let good = Publisher::start(Publish::Text(key.jwks())).await;
        let bad = Publisher::start(Publish::Status(500)).await;
        add(&stack, &stack.alpha(), issuer(JwtAlgorithm::Es256, published::at(&good))).await.unwrap();
        let mut failing = issuer(JwtAlgorithm::Es256, published::at(&bad));
        "failing".clone_into(&mut failing.audience);
        add(&stack, &stack.alpha(), failing).await.unwrap();
        Self { stack, _store: store, key, _publishers: [good, bad] }
    }

    /// A presign that takes too long.
    async fn time_out(&self) {
        let mut locking = self.stack.connect().await;
        let mut lock = locking.begin().await.unwrap();
        sqlx::query("LOCK TABLE uploads IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
        self.stack.presign("ext=jpg").await.assert_error(503, "unavailable");
        lock.rollback().await.unwrap();
    }

    /// A bit of everything. (What comes of a presign is not looked at: on a busy machine it may take too long.)
    async fn work(&self) {
        let stack = &self.stack;
        for kind in ["&type=thumb", "&type=origin", "&type=video", ""] {
            stack.presign(&format!("ext=png{kind}")).await;
        }
        for credential in ["pgw_000000000000_x", "nonsense", "a.b.c"] {
            stack.presign_as(credential).await.assert_error(401, "unauthenticated");
        }
        stack.get("/oss/presign?ext=jpg").send().await.assert_error(401, "unauthenticated");
        stack.get("/nowhere").send().await.assert_error(404, "not_found");
        stack.presign_as(&self.key.token(Some("first"), &claims())).await;
        let of_failing = self.key.token(Some("first"), &claims_with("aud", json!("failing")));
        stack.presign_as(&of_failing).await.assert_error(503, "unavailable");
        for _ in 0..3 {
            stack.presign_as(&stack.demo.beta.api_key).await;
        }
        let issued = stack.presign("ext=png&type=origin").await;
        if issued.status == 200 {
            let id = id_in(issued.object_key());
            complete(stack, &id, &json!({})).await;
            stack.client.put(issued.url()).body("x").send().await.unwrap();
            complete(stack, &id, &json!({})).await;
            let delete = stack.get(&format!("/v1/uploads/{id}")).method(Method::DELETE);
            delete.bearer(&stack.demo.alpha.api_key).send().await;
        }
        let due =
            "UPDATE uploads SET issued_at = now() - interval '1 hour', url_expires_at = now() - interval '10 minutes',
                   check_at = now() - interval '5 minutes' WHERE state = 'issued'";
        sqlx::query(due).execute(&mut stack.connect().await).await.unwrap();
    }

    /// One more gateway, whose sealing key has an age, since its id is a date; a read of the database has failed.
    async fn troubled_instance(&self) -> Instance {
        let dated = SealingKey::generate("k20260101", &Randomness::System);
        let keys = format!("{},{}", dated.expose_secret(), self.stack.sealing_key.expose_secret());
        let other = self.stack.another(&[("VAULT__KEYS", &keys), ("DATABASE__READ_TIMEOUT_MS", "500")]).await;
        let mut locking = self.stack.connect().await;
        let mut lock = locking.begin().await.unwrap();
        sqlx::query("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
        let asked = self.stack.call(Method::GET, format!("{}/oss/presign?ext=jpg", other.url));
        asked.bearer(&self.stack.demo.alpha.api_key).send().await.assert_error(503, "unavailable");
        lock.rollback().await.unwrap();
        other
    }

    /// The labels of each series that `/metrics` has.
    async fn scrape(&self, ops_url: &str) -> Series {
        let answer = self.stack.client.get(format!("{ops_url}/metrics")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut series = Series::new();
        for line in answer.text().await.unwrap().lines().filter(|line| !line.starts_with('#')) {
            for selector in promql::names(line.rsplit_once(' ').unwrap().0).selectors {
                series.entry(selector.metric).or_default().extend(selector.labels);
            }
        }
        series
    }
}

/// Names, and the labels of each.
type Series = BTreeMap<String, BTreeSet<String>>;

/// All queries of dashboard and rules, with the choices at the top made, each with its place.
fn queries() -> Vec<(String, String)> {
    let own = rules().into_iter().map(|rule| (rule.alert.or(rule.record).unwrap(), rule.query));
    let filled = |query: String| {
        let query = query.replace("$__rate_interval", "10s").replace("$instance", ".+");
        query.replace("$route", ".*").replace("$tenant", ".*")
    };
    let all = dashboard_queries(&dashboard()).into_iter().chain(own);
    let all: Vec<_> = all.map(|(place, query)| (place, filled(query))).collect();
    assert!(all.iter().all(|(_, query)| !query.contains('$')), "{all:#?}");
    all
}

fn may_be_empty(query: &str) -> bool {
    MAY_BE_EMPTY.iter().any(|part| query.contains(part))
}

/// What dashboard and rules name, and a scrape has not.
fn missing(series: &Series) -> BTreeSet<String> {
    let (recorded, of_prometheus) = (recorded(&rules()), ["up", "ALERTS", "job", "instance"]);
    let mut missing = BTreeSet::new();
    for selector in queries().iter().flat_map(|(_, query)| promql::names(query).selectors) {
        let name = &selector.metric;
        // Telemetry is exported by the program itself only, not by a gateway in a test.
        if recorded.contains(name) || of_prometheus.contains(&name.as_str()) || is_of_exporters(name) {
            continue;
        }
        let Some(labels) = series.get(name) else {
            missing.insert(name.clone());
            continue;
        };
        let is_there = |label: &String| labels.contains(label) || of_prometheus.contains(&label.as_str());
        missing
            .extend(selector.labels.iter().filter(|label| !is_there(label)).map(|label| format!("{name}{{{label}}}")));
    }
    missing
}

/// Counted only where something is exported.
fn is_of_exporters(name: &str) -> bool {
    name.starts_with("otel_sdk_") || name.starts_with("presign_gateway_telemetry_lost")
}

#[tokio::test]
async fn scrape_has_every_metric_of_dashboard_and_rules() {
    let busy = Busy::start().await;
    busy.work().await;
    busy.time_out().await;
    let of_other = busy.scrape(&busy.troubled_instance().await.ops_url).await;
    let begun = Instant::now();
    // The sweeper has its own pace.
    let still_missing = async || {
        let mut series = busy.scrape(&busy.stack.ops_url).await;
        for (name, labels) in of_other.clone() {
            series.entry(name).or_default().extend(labels);
        }
        let missing = missing(&series);
        (missing.is_empty() || begun.elapsed() > Duration::from_secs(8)).then_some(missing)
    };
    let missing = eventually("the sweeper has worked", still_missing).await;
    assert!(missing.is_empty(), "{missing:#?}");
}

#[tokio::test]
async fn a_real_prometheus_answers_whatever_dashboard_and_rules_ask() {
    if !server::is_installed() {
        return;
    }
    let busy = Busy::start().await;
    let prometheus = Prometheus::start(&busy.stack.ops_url).await;
    busy.time_out().await;
    let alerts: Vec<_> = rules().into_iter().filter_map(|rule| rule.alert).collect();
    let mut open = queries();
    // An alert need not fire.
    let must_have_data = |place: &str, query: &str| !alerts.iter().any(|alert| alert == place) && !may_be_empty(query);
    // What is wrong with this gateway is on its way to be an alert.
    let on_their_way = async || {
        let states = prometheus.alert_states().await;
        ["PresignGatewayBucketsFailing", "PresignGatewayJwksFailing"].iter().all(|alert| states[*alert] == "pending")
    };
    for _ in 0..100 {
        busy.work().await;
        let mut still_open = Vec::new();
        for (place, query) in open {
            let answer = prometheus.query(&query).await.unwrap_or_else(|error| panic!("{place}: {query}: {error}"));
            if answer.is_empty() && must_have_data(&place, &query) {
                still_open.push((place, query));
            }
        }
        open = still_open;
        if open.is_empty() && on_their_way().await {
            break;
        }
    }
    assert!(open.is_empty(), "no data: {open:#?}");
    assert_eq!(prometheus.number("up{job=\"presign-gateway\"}").await, Some(1.0));

    assert!(on_their_way().await, "{:#?}", prometheus.alert_states().await);
    let states = prometheus.alert_states().await;
    for alert in ["Down", "NotListening", "Sealed", "RecorderQueue", "SealingKeyOld"] {
        assert_eq!(states[&format!("PresignGateway{alert}")], "inactive", "{alert}");
    }
}
