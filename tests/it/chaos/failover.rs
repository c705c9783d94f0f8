//! The primary is lost, and its standby takes over: no row that was acknowledged is missing there.

use nix::sys::signal::Signal;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use secrecy::{ExposeSecret, SecretString};

use super::scene::{PATIENCE, Scene, short_or_long};
use crate::support::binary::{Server, Workbench};
use crate::support::postgres;
use crate::support::postgres_server::Node;
use crate::support::proxy::Proxy;

/// Two hosts of one database, as a setting names them.
fn of_two_hosts(first: &Proxy, second: &Proxy, node: &Node) -> SecretString {
    let url = first.url(&node.url());
    let one = format!("127.0.0.1:{}", first.port());
    SecretString::from(url.expose_secret().replace(&one, &format!("{one},127.0.0.1:{}", second.port())))
}

/// The same database, with another host named first.
fn behind(first: u16, url: &SecretString) -> SecretString {
    let url = url.expose_secret();
    let (before, after) = url.split_once("@127.0.0.1:").unwrap();
    SecretString::from(format!("{before}@127.0.0.1:{first},127.0.0.1:{after}"))
}

#[tokio::test]
async fn start_with_first_host_down_finds_the_primary_at_once() {
    let direct = postgres::fresh_database().await;
    let silent = Proxy::to(&direct).await;
    silent.freeze();
    let nobody = 1;
    for first in [nobody, silent.port()] {
        let url = behind(first, &direct);
        let sealing_key = SealingKey::generate("test", &Randomness::System);
        let workbench = Workbench::new(url.clone(), sealing_key.expose_secret());
        workbench.run(&["tenant", "list"]).await;
        let server = Server::start(&workbench, &[("PRESIGN__DATABASE__READ_TIMEOUT_MS", "10000")]).await;
        let ready = reqwest::get(format!("{}/readyz", server.ops_url)).await.unwrap();
        assert_eq!(ready.status(), 200, "{}", ready.text().await.unwrap());
        server.signal(Signal::SIGTERM);
        let (_, log) = server.ended_with_log().await;
        assert!(!log.contains("not listening for changes") && !log.contains("another host takes writes now"), "{log}");
    }
}

/// How the primary is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Its machine is there, and it is not: connections are refused.
    Killed,
    /// Its machine is not there: nothing is answered, not even that nobody is there.
    Silent,
    /// It is there, and keeps its connections, and takes no more writes: a switchover.
    ReadOnly,
}

async fn fails_over(fault: &'static str, loss: Loss) {
    let mut primary = Node::start().await;
    let mut standby = primary.standby().await;
    let ways = (Proxy::to(&primary.url()).await, Proxy::to(&standby.url()).await);
    // The standby is named first: which one takes writes is found out, not believed.
    let url = of_two_hosts(&ways.1, &ways.0, &primary);
    let mut scene = Scene::on(fault, &primary.url(), url, &[]).await;
    let load = scene.load().await;
    let before = scene.rows().await;
    match loss {
        Loss::Killed => {
            // It falls behind first: what it has not got yet, nobody may have been told.
            standby.freeze();
            load.fails(short_or_long(10, 200), PATIENCE).await;
            primary.kill().await;
            standby.thaw();
        }
        Loss::Silent => {
            ways.0.freeze();
            primary.freeze();
            load.fails(short_or_long(10, 200), PATIENCE).await;
        }
        Loss::ReadOnly => {
            primary.set("default_transaction_read_only", Some("on")).await;
            load.fails(short_or_long(10, 200), PATIENCE).await;
        }
    }
    standby.promote().await;
    scene.database_url = standby.url();
    scene.recovers(&load).await;
    scene.end(load, &before).await;
    standby.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_primary_loses_no_acknowledged_row() {
    fails_over("Postgres: failover, the primary killed", Loss::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_primary_loses_no_acknowledged_row() {
    fails_over("Postgres: failover, the primary silent", Loss::Silent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only_primary_is_replaced_by_its_standby() {
    fails_over("Postgres: switchover, the primary read-only", Loss::ReadOnly).await;
}
