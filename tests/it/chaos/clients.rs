//! Clients that do nothing, that are slow, that vanish, and that ask for far too much.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use presign_gateway::admin::TenantChanges;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::check::percentile;
use super::load::{Issued, Load, Target};
use super::scene::{IS_LONG, PATIENCE, Scene, short_or_long};
use crate::support::within;

/// Connections that are made at a time.
const AT_ONCE: usize = 100;

fn address_of(scene: &Scene) -> SocketAddr {
    scene.target.url.trim_start_matches("http://").parse().unwrap()
}

/// A connection, from one of several addresses: each has so many ports only.
async fn connect(to: SocketAddr, number: usize) -> TcpStream {
    let from = Ipv4Addr::new(127, 0, 0, 1 + u8::try_from(number % 8).unwrap());
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// Reads one answer; its body ends the envelope's JSON.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") && !answer.ends_with(b"ok") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "{}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8(answer).unwrap()
}

/// How many files this process, and those that it starts, may have open; as many as wanted, where that may be had.
fn allow_files(wanted: usize) -> usize {
    let me = std::process::id().to_string();
    let allowed = || {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX)
    };
    if allowed() < wanted {
        // The first is enough where the hard limit is high; else only root may raise it, and what there is will have to do.
        for limits in [format!("--nofile={wanted}:"), format!("--nofile={wanted}:{wanted}")] {
            if allowed() < wanted {
                let _ = Command::new("prlimit").args(["--pid", &me, &limits]).output();
            }
        }
    }
    allowed()
}

impl Scene {
    async fn open_connections(&self) -> usize {
        let open = self.metric("presign_gateway_http_connections", &[("listener", "public")]).await;
        format!("{open:.0}").parse().unwrap()
    }
}

/// A request that is answered, on a connection that then rests.
async fn rest(to: SocketAddr, number: usize) -> TcpStream {
    let mut stream = connect(to, number).await;
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_answer(&mut stream).await;
    stream
}

async fn many_at_rest(to: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut resting = Vec::with_capacity(count);
    while resting.len() < count {
        let first = resting.len();
        let some = (first..count.min(first + AT_ONCE)).map(|number| rest(to, number));
        resting.extend(futures_util::future::join_all(some).await);
    }
    resting
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_cost_little_and_excess_ones_wait() {
    const SPARE: usize = 1000;
    let wanted = short_or_long(2_000, 20_000);
    let idle = wanted.min(allow_files(wanted + SPARE).saturating_sub(SPARE));
    let places = idle + 200;
    let settings = [
        ("PRESIGN__SERVER__MAX_CONNECTIONS", places.to_string()),
        ("PRESIGN__SERVER__HEADER_TIMEOUT_SECONDS", "300".to_owned()),
    ];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut scene = Scene::patient("clients: thousands of idle connections", &settings).await;
    let to = address_of(&scene);
    let load = scene.load().await;
    let before = scene.rows().await;
    let memory = scene.server().memory_kb();
    let mut resting = many_at_rest(to, idle).await;
    load.issues(short_or_long(100, 2000), PATIENCE).await;
    let each = (scene.server().memory_kb().saturating_sub(memory)) * 1024 / u64::try_from(idle).unwrap();
    assert!(each < 64 * 1024, "{each} bytes each");
    scene.note = Some(format!("{idle} idle connections, {each} bytes each"));

    // All other places, too.
    let left = places - scene.open_connections().await;
    resting.extend(many_at_rest(to, left).await);
    let mut beyond = Vec::new();
    for number in 0..50 {
        let mut stream = connect(to, number).await;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        beyond.push(stream);
    }
    load.issues(short_or_long(100, 2000), PATIENCE).await;
    for stream in &beyond {
        assert_eq!(stream.try_read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "it waits");
    }
    assert_eq!(scene.open_connections().await, places);
    resting.truncate(resting.len() - beyond.len());
    for stream in &mut beyond {
        timeout(PATIENCE, read_answer(stream)).await.unwrap();
    }
    drop((resting, beyond));
    scene.recovers(&load).await;
    let told = scene.end(load, &before).await;
    assert_eq!(told.refused.len() + told.cut.len(), 0, "{:?}", told.refused.first());
}

/// Whoever crawls is cut off by then: after 3 seconds, on a machine that does nothing else.
const CUT_OFF: Duration = Duration::from_secs(12);

/// Sends the beginning, then a byte a second until the other end has had enough; what was answered, and after how long.
async fn crawl(to: SocketAddr, number: usize, first: String) -> (String, Duration) {
    let started = Instant::now();
    let mut stream = connect(to, number).await;
    stream.write_all(first.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut pace = interval(Duration::from_secs(1));
    while started.elapsed() < 2 * CUT_OFF {
        tokio::select! {
            read = stream.read_buf(&mut answer) => if matches!(read, Ok(0) | Err(_)) { break },
            _ = pace.tick() => if stream.write_all(b"x").await.is_err() { break },
        }
    }
    (String::from_utf8(answer).unwrap(), started.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_and_bodies_time_out_and_block_nobody() {
    let settings =
        [("PRESIGN__SERVER__HEADER_TIMEOUT_SECONDS", "2"), ("PRESIGN__SERVER__REQUEST_TIMEOUT_SECONDS", "3")];
    let mut scene = Scene::patient("clients: heads and bodies, a byte a second", &settings).await;
    let to = address_of(&scene);
    let load = scene.load().await;
    let before = scene.rows().await;
    let usual = scene.open_connections().await;
    let head = "GET /oss/presign?ext=jpg HTTP/1.1\r\nHost: a\r\nX-Slow: ".to_owned();
    let body = format!(
        "POST /v1/uploads HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
        scene.target.api_key
    );
    let each = short_or_long(150, 1000);
    let mut longest = Duration::ZERO;
    for _ in 0..short_or_long(1, 6) {
        let mut slow = JoinSet::new();
        for number in 0..each {
            slow.spawn(crawl(to, number, head.clone()));
            slow.spawn(crawl(to, number, body.clone()));
        }
        load.issues(short_or_long(100, 2000), PATIENCE).await;
        let mut refused = 0;
        for (answer, took) in slow.join_all().await {
            assert!(took < CUT_OFF, "{took:?}: {answer}");
            longest = longest.max(took);
            assert!(!answer.contains("200 OK"), "{answer}");
            refused += usize::from(answer.starts_with("HTTP/1.1 503") && answer.contains(r#""reason":"unavailable""#));
        }
        assert_eq!(refused, each, "each body that did not come is answered");
    }
    scene.note = Some(format!("{} at a time, cut off after at most {} ms", 2 * each, longest.as_millis()));
    let all_gone = async || (scene.open_connections().await <= usual + 5).then_some(());
    within(PATIENCE, "their connections are gone", all_gone).await;
    scene.recovers(&load).await;
    let told = scene.end(load, &before).await;
    assert_eq!(told.refused.len() + told.cut.len(), 0, "{:?}", told.refused.first());
}

/// Sends a whole request, and is gone: with a reset, or as one that has said all it had to say.
async fn vanish(to: SocketAddr, number: usize, request: String) {
    let mut stream = connect(to, number).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    if number.is_multiple_of(2) {
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vanished_clients_leave_only_rows() {
    let mut scene = Scene::patient("clients: gone after sending", &[]).await;
    let to = address_of(&scene);
    let load = scene.load().await;
    let before = scene.rows().await;
    let usual = scene.open_connections().await;
    let request = |number: usize| {
        let key = &scene.target.api_key;
        // Widths that no other client asks for.
        let (width, json) = (20_000, r#"{"ext":"jpg","width":20000}"#);
        match number % 4 {
            0 | 1 => format!(
                "GET /oss/presign?ext=jpg&width={width} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n"
            ),
            _ => format!(
                "POST /v1/uploads HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}",
                json.len()
            ),
        }
    };
    // What the first of them need is made by then.
    let rounds = short_or_long(10, 100);
    let mut memory = 0;
    for round in 0..rounds {
        let some = (0..AT_ONCE).map(|number| vanish(to, number, request(number)));
        futures_util::future::join_all(some).await;
        if round == rounds / 5 {
            memory = scene.server().memory_kb();
        }
    }
    load.issues(short_or_long(100, 2000), PATIENCE).await;
    let all_gone = async || (scene.open_connections().await <= usual + 5).then_some(());
    within(PATIENCE, "their connections are gone", all_gone).await;
    let grown = scene.server().memory_kb().saturating_sub(memory);
    assert!(grown < 32 * 1024, "{grown} kB more than before");
    let query = "SELECT count(*) FROM uploads WHERE width = 20000";
    let rows: i64 = sqlx::query_scalar(query).fetch_one(&mut scene.connect().await).await.unwrap();
    scene.note = Some(format!("{} vanished, {rows} rows of theirs, {grown} kB more memory", rounds * AT_ONCE));
    scene.recovers(&load).await;
    let told = scene.end(load, &before).await;
    assert_eq!(told.refused.len() + told.cut.len(), 0, "{:?}", told.refused.first());
}

/// What one request of the flood was answered.
struct Answered {
    status: StatusCode,
    retry_after: Option<u64>,
    reason: String,
    took: Duration,
}

async fn ask(client: Client, target: Target) -> Answered {
    let started = Instant::now();
    let asked = client.get(format!("{}/oss/presign?ext=jpg", target.url)).bearer_auth(&target.api_key);
    let answer = asked.send().await.unwrap();
    let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let status = answer.status();
    let body: Value = answer.json().await.unwrap();
    let reason = body["reason"].as_str().unwrap_or_default().to_owned();
    Answered { status, retry_after, reason, took: started.elapsed() }
}

/// So many requests a second, evenly, for so long.
async fn flood(target: &Target, per_second: u32, lasts: Duration) -> Vec<Answered> {
    let client = Client::builder().no_proxy().build().unwrap();
    let (began, mut drops) = (Instant::now(), JoinSet::new());
    let mut pace = interval(Duration::from_secs(1) / per_second);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while began.elapsed() < lasts {
        pace.tick().await;
        drops.spawn(ask(client.clone(), target.clone()));
    }
    drops.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn burst_of_one_tenant_does_not_slow_another() {
    let scene = Scene::patient("clients: 100 times the limit from one tenant, another works", &[]).await;
    // The short form's machine does much else.
    let limit = short_or_long(1, 5);
    let changes = TenantChanges { rate_per_second: Some(limit), burst: Some(limit), ..TenantChanges::default() };
    scene.change_tenant("beta", changes).await;
    let noisy = Target { url: scene.target.url.clone(), api_key: scene.demo.beta.api_key.clone() };
    let load = Load::paced(&scene.target, 4, Duration::from_millis(10));
    load.issues(short_or_long(50, 500), PATIENCE).await;
    let before = scene.rows().await;
    let lasts = Duration::from_secs(short_or_long(2, 20));
    let quiet = load.issued();
    // How long one tenant works alone.
    tokio::time::sleep(lasts).await;
    let begins = load.issued();
    let started = Instant::now();
    let drops = flood(&noisy, 100 * limit, lasts).await;
    let most = limit * (u32::try_from(started.elapsed().as_secs()).unwrap() + 3);
    let ends = load.issued();
    load.issues(20, PATIENCE).await;

    let (served, refused): (Vec<_>, Vec<_>) = drops.into_iter().partition(|drop| drop.status == StatusCode::OK);
    for drop in &refused {
        assert_eq!((drop.status.as_u16(), drop.reason.as_str()), (429, "rate_limited"));
        assert!(drop.retry_after.is_some_and(|seconds| (1..=2).contains(&seconds)), "{:?}", drop.retry_after);
    }
    let served = u32::try_from(served.len()).unwrap();
    assert!((limit..=most).contains(&served), "{served} served, {most} at most; {} refused", refused.len());
    let told = scene.end_with(load, &before, |told| {
        let p99 = |issued: &[Issued]| percentile(issued.iter().map(|issued| issued.took), 99);
        let (alone, beside) = (p99(&told.issued[quiet..begins]), p99(&told.issued[begins..ends]));
        let refusal = percentile(refused.iter().map(|drop| drop.took), 99);
        let bound = if *IS_LONG { alone * 2 } else { alone * 2 + Duration::from_secs(2) };
        assert!(beside <= bound, "p99 {alone:?} alone, {beside:?} beside");
        assert!(refusal < Duration::from_secs(short_or_long(3, 1)), "refused late: p99 {refusal:?}");
        let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
        Some(format!(
            "p99 of the other tenant {} alone, {} beside; {} refused, p99 {}; {served} served",
            ms(alone),
            ms(beside),
            refused.len(),
            ms(refusal)
        ))
    });
    let told = told.await;
    assert_eq!(told.refused.len() + told.cut.len(), 0, "{:?}", told.refused.first());
}
