//! `GET /v1/uploads/export`: whole or not, as fast as the client takes it, and harmless in a spreadsheet.

use std::time::{Duration, Instant};

use chrono::{SecondsFormat, SubsecRound, TimeDelta};
use presign_gateway::domain::clock::Clock;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::support::binary::{Server, Workbench, stderr};
use crate::support::proxy::Proxy;
use crate::support::stack::{Setup, TestStack};
use crate::support::{eventually, ledger, postgres, within};

async fn export(stack: &TestStack, query: &str) -> String {
    stack.get(&format!("/v1/uploads/export?{query}")).bearer(&stack.demo.alpha.api_key).send().await.text
}

/// The rows of an export, and its last line.
fn parse(ndjson: &str) -> (Vec<Value>, Value) {
    let mut lines: Vec<Value> = ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let end = lines.pop().unwrap();
    (lines, end)
}

/// Uploads of both tenants over the last month.
async fn filled(rows: i64) -> TestStack {
    let stack = TestStack::start().await;
    fill(&stack, rows).await;
    stack
}

async fn fill(stack: &TestStack, rows: i64) {
    let now = Clock::System.now();
    ledger::fill(&mut stack.connect().await, now - TimeDelta::days(30), now, rows).await;
}

#[tokio::test]
async fn an_export_holds_all_that_matches_and_says_that_it_is_whole() {
    let stack = filled(5_001).await;
    let (rows, end) = parse(&export(&stack, "format=ndjson&order=oldest").await);
    assert_eq!(end, json!({ "end": true, "rows": 2_501, "whole": true }));
    assert_eq!(rows.len(), 2_501);
    assert!(rows.iter().all(|row| row["tenant"] == "alpha"));
    assert!(rows.is_sorted_by_key(|row| row["id"].as_str().unwrap()), "oldest first");

    let (some, end) = parse(&export(&stack, "format=ndjson&ext=png&max_width=1000").await);
    let expected = rows.iter().rev().filter(|row| row["ext"] == "png" && row["width"].as_i64().unwrap() <= 1000);
    assert_eq!(some, expected.cloned().collect::<Vec<_>>(), "newest first, and each as the list shows it");
    assert_eq!(end["rows"], some.len());

    let csv = export(&stack, "format=csv").await;
    assert!(csv.starts_with("id,tenant,bucket,key,state,"), "{}", &csv[..200]);
    assert_eq!(csv.split("\r\n").count(), 1 + 2_501 + 1 + 1);
    assert!(csv.ends_with("# whole: 2501 rows\r\n"), "{}", &csv[csv.len() - 100..]);
    assert_eq!(export(&stack, "format=csv&ext=gif").await.split("\r\n").nth(1), Some("# whole: 0 rows"));

    let all = stack.admin(Method::GET, "/uploads/export?format=ndjson").send().await;
    assert_eq!(parse(&all.text).1["rows"], 5_001);
    assert_eq!(all.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(all.header("content-disposition"), Some("attachment; filename=\"uploads.ndjson\""));
    let betas = stack.admin(Method::GET, "/uploads/export?format=ndjson&tenant=beta").send().await;
    assert_eq!(parse(&betas.text).1["rows"], 2_500);
}

#[tokio::test]
async fn invalid_export_request_is_rejected() {
    let stack = TestStack::start().await;
    let get = |query: &str| stack.get(&format!("/v1/uploads/export?{query}")).bearer(&stack.demo.alpha.api_key).send();
    get("format=xml").await.assert_field(400, "invalid_field", "format");
    get("").await.assert_field(400, "invalid_field", "format");
    get("format=csv&state=gone").await.assert_field(400, "invalid_field", "state");
    get("format=csv&limit=5").await.assert_field(400, "unknown_field", "limit");
    get("format=csv&cursor=x").await.assert_field(400, "unknown_field", "cursor");
    let nobodys = stack.admin(Method::GET, "/uploads/export?format=csv&tenant=nobody").send().await;
    nobodys.assert_error(404, "resource_not_found");
}

#[tokio::test]
async fn every_column_of_csv_holds_its_fact() {
    let stack = TestStack::start().await;
    let mut connection = stack.connect().await;
    let (tenant, bucket) = ledger::place_of(&mut connection, "alpha").await;
    let issued_at = (Clock::System.now() - TimeDelta::minutes(1)).trunc_subsecs(6);
    let api_key = sqlx::query_as("SELECT id::text, public_id FROM api_keys WHERE tenant_id = $1");
    let (api_key_id, public_id): (String, String) = api_key.bind(tenant).fetch_one(&mut connection).await.unwrap();
    let mut row = ledger::row(tenant, bucket, issued_at);
    let facts = json!({
        "object_key": "a/b.jpg", "state": "mismatched", "kind": "thumb", "width": 1, "height": 2, "duration_seconds": 2.5,
        "declared_size_bytes": 3, "declared_content_type": "image/jpeg", "declared_sha256": format!("\\x{}", "ab".repeat(32)),
        "write_once": true, "metadata": { "name": "value" }, "caller_id": api_key_id, "caller_subject": "somebody",
        "trace_id": "0102030405060708090a0b0c0d0e0f10", "size_bytes": 4, "etag": "tag", "content_type": "image/png",
        "sha256": format!("\\x{}", "ab".repeat(32)), "seen_at": issued_at + TimeDelta::seconds(7),
    });
    row.as_object_mut().unwrap().extend(facts.as_object().unwrap().clone());
    ledger::insert(&mut connection, &[row.clone()]).await;
    let csv = export(&stack, "format=csv").await;
    let mut lines = csv.lines();
    assert_eq!(
        lines.next().unwrap(),
        "id,tenant,bucket,key,state,ext,type,width,height,duration,size,content_type,sha256,write_once,metadata,caller_kind,api_key,subject,\
         address,issued_at,url_expires_at,seen_size,seen_etag,seen_content_type,seen_sha256,seen_at,mismatches,trace_id"
    );
    let time = |seconds| (issued_at + TimeDelta::seconds(seconds)).to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let (id, digest) = (row["id"].as_str().unwrap(), "ab".repeat(32));
    let expected = format!(
        "{id},alpha,default,a/b.jpg,mismatched,jpg,thumb,1,2,2.5,3,image/jpeg,{digest},true,\"{{\"\"name\"\":\"\"value\"\"}}\",api_key,{public_id},\
         somebody,192.0.2.1,{},{},4,tag,image/png,{digest},{},size content_type,0102030405060708090a0b0c0d0e0f10",
        time(0),
        time(300),
        time(7)
    );
    assert_eq!(lines.next().unwrap(), expected);
}

#[tokio::test]
async fn a_cell_that_a_spreadsheet_would_run_is_made_harmless() {
    let stack = TestStack::start().await;
    let mut connection = stack.connect().await;
    let (tenant, bucket) = ledger::place_of(&mut connection, "alpha").await;
    let subjects = [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "=cmd|'/c calc'!A1,\"x\"",
        "plain, with a comma",
        "a \"quote\"",
        "a=b",
        "line\nbreak",
        "＝1+1",
        "＋1",
        "－1",
        "＠SUM(A1)",
        "\n=1+1",
    ];
    let now = Clock::System.now();
    let rows = subjects.iter().enumerate().map(|(number, subject)| {
        let mut row = ledger::row(tenant, bucket, now - TimeDelta::seconds(i64::try_from(number).unwrap() + 1));
        row["caller_kind"] = json!("jwt");
        row["caller_subject"] = json!(subject);
        row["object_key"] = json!(format!("\t{subject}"));
        row["metadata"] = json!({ "name": "=1,\"+1" });
        row
    });
    ledger::insert(&mut connection, &rows.collect::<Vec<_>>()).await;
    let csv = export(&stack, "format=csv").await;
    for expected in [
        ",'=1+1,",
        ",'+1,",
        ",'-1,",
        ",'@SUM(A1),",
        ",\"'=cmd|'/c calc'!A1,\"\"x\"\"\",",
        ",\"plain, with a comma\",",
        ",\"a \"\"quote\"\"\",",
        ",a=b,",
        ",\"line\nbreak\",",
        ",'\t=1+1,",
        ",'＝1+1,",
        ",'＋1,",
        ",'－1,",
        ",'＠SUM(A1),",
        ",\"'\n=1+1\",",
        ",\"{\"\"name\"\":\"\"=1,\\\"\"+1\"\"}\",",
    ] {
        assert!(csv.contains(expected), "{expected} is not in {csv}");
    }
    for start in ["=", "+", "-", "@", "\t", "\"=", "\"+", "\"-", "\"@", "＝", "＋", "－", "＠", "\"\n"] {
        assert!(!csv.contains(&format!(",{start}")), "{start} begins a cell of {csv}");
    }
}

#[tokio::test]
async fn export_cut_off_by_postgres_says_it_is_not_whole() {
    let direct = postgres::fresh_database().await;
    let proxy = Proxy::to(&direct).await;
    let stack = Setup::new().database(&direct, proxy.url(&direct)).start().await;
    fill(&stack, 60_000).await;
    for (format, end) in
        [("ndjson", "\"whole\":false,\"reason\":\"unavailable\"}\n"), ("csv", " rows, unavailable\r\n")]
    {
        let mut answer = begin(&stack, &format!("format={format}")).await;
        let mut text = answer.chunk().await.unwrap().unwrap().to_vec();
        proxy.cut();
        while let Some(chunk) = answer.chunk().await.unwrap() {
            text.extend(chunk);
        }
        let text = String::from_utf8(text).unwrap();
        assert!(text.ends_with(end), "{}", &text[text.len() - 200..]);
        let told = if format == "csv" {
            text.contains("\r\n# NOT whole: ")
        } else {
            text.contains("\n{\"end\":true,\"rows\":")
        };
        assert!(told, "{}", &text[text.len() - 200..]);
        let early = begin(&stack, "format=csv").await;
        assert_eq!(early.status(), 503, "one that has not begun is refused");
        proxy.mend();
        eventually("the database is back", async || (begin(&stack, "format=csv").await.status() == 200).then_some(()))
            .await;
    }
}

#[tokio::test]
async fn rows_of_a_fast_clock_are_in_exports_and_oldest_first_lists() {
    let stack = TestStack::start().await;
    let mut connection = stack.connect().await;
    let (tenant, bucket) = ledger::place_of(&mut connection, "alpha").await;
    let ahead = |seconds| ledger::row(tenant, bucket, Clock::System.now() + TimeDelta::seconds(seconds));
    ledger::insert(&mut connection, &[ahead(20), ahead(-20), ahead(-40)]).await;
    let (rows, end) = parse(&export(&stack, "format=ndjson").await);
    assert_eq!((rows.len(), &end["whole"]), (3, &json!(true)));
    let page = async |query: &str| {
        let path = format!("/v1/uploads?order=oldest&limit=1{query}");
        stack.get(&path).bearer(&stack.demo.alpha.api_key).send().await.data(200).clone()
    };
    let (mut seen, mut cursor) = (1, page("").await["next_cursor"].clone());
    while let Some(next) = cursor.as_str() {
        let next = page(&format!("&cursor={next}")).await;
        seen += next["items"].as_array().unwrap().len();
        cursor = next["next_cursor"].clone();
    }
    assert_eq!(seen, 3);
    let all = stack.admin(Method::GET, "/uploads/export?format=ndjson").send().await;
    assert_eq!(parse(&all.text).0.len(), 3);
}

#[tokio::test]
async fn one_tenant_leaves_places_for_the_exports_of_others() {
    let stack = Setup::new().set("UPLOADS__MAX_EXPORTS", "4").start().await;
    fill(&stack, 60_000).await;
    let of = |path: &str, bearer: &str| {
        stack.client.get(format!("{path}/uploads/export?format=csv")).bearer_auth(bearer.to_owned()).send()
    };
    let public = format!("{}/v1", stack.url);
    let held = (begin(&stack, "format=csv").await, begin(&stack, "format=csv").await);
    assert_eq!(
        (held.0.status(), held.1.status(), begin(&stack, "format=csv").await.status().as_u16()),
        (reqwest::StatusCode::OK, reqwest::StatusCode::OK, 503)
    );
    let betas = of(&public, &stack.demo.beta.api_key).await.unwrap();
    assert_eq!(betas.status(), 200);
    drop(betas);
    drop(held);
    // Operators leave some, too.
    let admin = format!("{}/admin/v1", stack.ops_url);
    let first = of(&admin, &stack.demo.operator_key).await.unwrap();
    let second = of(&admin, &stack.demo.operator_key).await.unwrap();
    let third = of(&admin, &stack.demo.operator_key).await.unwrap();
    assert_eq!((first.status().as_u16(), second.status().as_u16(), third.status().as_u16()), (200, 200, 503));
    let alphas = async || (begin(&stack, "format=csv").await.status() == 200).then_some(());
    eventually("alpha has a place again", alphas).await;
}

#[tokio::test]
async fn export_over_its_deadline_ends_after_a_whole_row() {
    let stack = Setup::new().set("UPLOADS__EXPORT_TIMEOUT_SECONDS", "1").start().await;
    fill(&stack, 60_000).await;
    let mut stream = slow_reader(&stack).await;
    let (mut text, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    loop {
        pause.tick().await;
        let read = stream.read(&mut piece).await.unwrap();
        if read == 0 {
            break;
        }
        text.extend_from_slice(&piece[..read]);
    }
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains(",\"whole\":false,\"reason\":\"timed_out\"}\n"), "{}", &text[text.len() - 300..]);
    let rows: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let end = rows.iter().find(|row| row["end"] == true).unwrap();
    assert!(end["rows"].as_i64().unwrap() < 30_000, "{end}");
}

/// An export whose head was read, and nothing more.
async fn begin(stack: &TestStack, query: &str) -> Response {
    let request = stack.client.get(format!("{}/v1/uploads/export?{query}", stack.url));
    request.bearer_auth(&stack.demo.alpha.api_key).send().await.unwrap()
}

#[tokio::test]
async fn only_so_many_exports_are_under_way_at_a_time() {
    let stack = Setup::new().set("UPLOADS__MAX_EXPORTS", "4").start().await;
    fill(&stack, 60_000).await;
    let first = begin(&stack, "format=ndjson").await;
    let second = begin(&stack, "format=csv").await;
    let third = begin(&stack, "format=csv").await;
    assert_eq!((first.status().as_u16(), second.status().as_u16(), third.status().as_u16()), (200, 200, 503));
    assert_eq!(third.headers()["retry-after"], "1");
    assert!(third.text().await.unwrap().contains("\"busy\""));
    // A client that leaves makes room, and so does one that has all.
    drop(first);
    eventually("room for another", async || (begin(&stack, "format=csv").await.status() == 200).then_some(())).await;
    assert!(second.text().await.unwrap().ends_with("# whole: 30000 rows\r\n"));
}

/// A connection that keeps little of what it was sent, and the head of an export.
async fn slow_reader(stack: &TestStack) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut stream = socket.connect(stack.url.trim_start_matches("http://").parse().unwrap()).await.unwrap();
    let api_key = &stack.demo.alpha.api_key;
    let head = format!(
        "GET /v1/uploads/export?format=ndjson HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {api_key}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_slow_client_gets_all_and_one_that_takes_nothing_is_cut_off() {
    let stack = Setup::new().set("SERVER__HEADER_TIMEOUT_SECONDS", "1").set("UPLOADS__MAX_EXPORTS", "1").start().await;
    fill(&stack, 24_000).await;

    // Slower than the time allowed to rest, but steady.
    let started = Instant::now();
    let mut stream = slow_reader(&stack).await;
    let (mut text, mut piece) = (Vec::new(), vec![0; 256 * 1024]);
    let mut pause = tokio::time::interval(Duration::from_millis(60));
    loop {
        pause.tick().await;
        let read = stream.read(&mut piece).await.unwrap();
        if read == 0 {
            break;
        }
        text.extend_from_slice(&piece[..read]);
    }
    assert!(started.elapsed() > Duration::from_secs(3), "it was slow: {:?}", started.elapsed());
    let text = String::from_utf8_lossy(&text);
    assert!(
        text.contains("{\"end\":true,\"rows\":12000,\"whole\":true}\n\r\n0\r\n\r\n"),
        "{}",
        &text[text.len() - 300..]
    );

    let mut stalled = slow_reader(&stack).await;
    stalled.read_exact(&mut piece[..100]).await.unwrap();
    assert_eq!(begin(&stack, "format=csv").await.status(), 503, "it takes the place");
    let freed = async || (begin(&stack, "format=csv").await.status() == 200).then_some(());
    within(Duration::from_secs(8), "the place is free again", freed).await;
    let rest = timeout(Duration::from_secs(5), async {
        let mut rest = Vec::new();
        let _ = stalled.read_to_end(&mut rest).await;
        rest
    });
    let rest = rest.await.unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains("\"end\":true"), "cut off, and not as if it were whole");
}

#[tokio::test]
async fn a_client_that_waits_for_a_slow_database_is_not_cut_off() {
    let direct = postgres::fresh_database().await;
    let proxy = Proxy::to(&direct).await;
    let setup = Setup::new().database(&direct, proxy.url(&direct)).set("SERVER__HEADER_TIMEOUT_SECONDS", "1");
    let stack = setup.set("DATABASE__READ_TIMEOUT_MS", "20000").start().await;
    fill(&stack, 60_000).await;
    let mut answer = begin(&stack, "format=csv").await;
    answer.chunk().await.unwrap().unwrap();
    proxy.freeze();
    // All that was read before is taken; then nothing comes for longer than a connection may rest.
    let quiet = Duration::from_millis(2500);
    let mut last = Vec::new();
    while let Ok(chunk) = timeout(quiet, answer.chunk()).await {
        last = chunk.unwrap().expect("the connection stays while the database rests").to_vec();
    }
    proxy.mend();
    while let Some(chunk) = answer.chunk().await.unwrap() {
        last = chunk.to_vec();
    }
    assert!(String::from_utf8_lossy(&last).ends_with("# whole: 30000 rows\r\n"));
}

/// Resident memory in kilobytes, as the operating system counts it.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_export_of_many_rows_takes_no_more_memory_than_one_of_few() {
    // As many as are asked for, in an environment with EXPORT_ROWS=1000000.
    let rows: i64 = std::env::var("EXPORT_ROWS").map_or(100_000, |text| text.parse().unwrap());
    let stack = TestStack::start().await;
    fill(&stack, 2_000).await;
    let workbench = Workbench::new(stack.database_url.clone(), sealing_key(&stack));
    // As the operator would have it: at TRACE, each row of the driver is a line of the log.
    let server = Server::start(&workbench, &[("PRESIGN__TELEMETRY__LEVEL", "info")]).await;
    let all = async || {
        let url = format!("{}/admin/v1/uploads/export?format=ndjson", server.ops_url);
        let mut answer = stack.client.get(url).bearer_auth(&stack.demo.operator_key).send().await.unwrap();
        let (mut bytes, mut last) = (0, Vec::new());
        while let Some(chunk) = answer.chunk().await.unwrap() {
            bytes += chunk.len();
            last = chunk.to_vec();
        }
        (bytes, String::from_utf8_lossy(&last).lines().last().unwrap().to_owned())
    };
    all().await;
    let before = resident(server.pid());
    fill(&stack, rows).await;
    let (bytes, end) = all().await;
    let after = resident(server.pid());
    assert_eq!(end, json!({ "end": true, "rows": rows + 2_000, "whole": true }).to_string());
    assert!(after - before < 64 * 1024, "{before} kB before, {after} kB after {bytes} bytes");
    server.signal(nix::sys::signal::Signal::SIGTERM);
    server.ended().await;
}

fn sealing_key(stack: &TestStack) -> &str {
    use secrecy::ExposeSecret;

    stack.sealing_key.expose_secret()
}

#[tokio::test]
async fn the_command_line_lists_shows_and_exports_the_same() {
    let stack = filled(3_000).await;
    let workbench = Workbench::new(stack.database_url.clone(), sealing_key(&stack));
    let listed = workbench.run(&["uploads", "list", "--tenant", "alpha", "--limit", "7", "--output", "json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let page = stack.get("/v1/uploads?limit=7").bearer(&stack.demo.alpha.api_key).send().await;
    assert_eq!(listed["items"], page.data(200)["items"]);
    let cursor = listed["next_cursor"].as_str().unwrap();
    let next = workbench.run(&["uploads", "list", "--tenant", "alpha", "--limit", "7", "--cursor", cursor]).await;
    assert!(next.contains("More results: --cursor "), "{next}");
    let id = listed["items"][0]["id"].as_str().unwrap();
    let shown: Value =
        serde_json::from_str(&workbench.run(&["uploads", "show", id, "--output", "json"]).await).unwrap();
    assert_eq!(shown, listed["items"][0]);
    assert!(workbench.run(&["uploads", "list", "--state", "deleted"]).await.contains("deleted"));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("uploads.csv");
    let arguments = ["uploads", "export", "--tenant", "alpha", "--format", "csv", "--to-file", file.to_str().unwrap()];
    workbench.run(&arguments).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), export(&stack, "format=csv").await);
    let everything = workbench.run(&["uploads", "export", "--format", "ndjson"]).await;
    assert_eq!(parse(&everything).1, json!({ "end": true, "rows": 3_000, "whole": true }));

    for (arguments, told) in [
        (vec!["uploads", "list", "--state", "gone"], "state must be"),
        (vec!["uploads", "list", "--tenant", "nobody"], "no such tenant"),
        (vec!["uploads", "list", "--cursor", "x"], "cursor must be"),
        (vec!["uploads", "show", "01a00000-0000-7000-8000-000000000000"], "no such upload"),
        (vec!["uploads", "export", "--format", "csv", "--to-file", "/nowhere/at/all"], "cannot be written"),
    ] {
        let error = workbench.fail(&arguments).await;
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn export_command_fails_if_the_export_is_not_whole() {
    let stack = filled(40_000).await;
    let proxy = Proxy::to(&stack.database_url).await;
    let workbench = Workbench::new(proxy.url(&stack.database_url), sealing_key(&stack));
    let mut command = workbench.command(&["uploads", "export", "--format", "csv"]);
    let mut child = command.spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut text = vec![0; 100_000];
    // The pipe is full from here on, and the export waits for us.
    stdout.read_exact(&mut text).await.unwrap();
    proxy.cut();
    stdout.read_to_end(&mut text).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("\r\n# NOT whole: ") && text.ends_with(" rows, failed\r\n"), "{}", &text[text.len() - 200..]);
    assert!(stderr(&output).contains("NOT whole: "), "{}", stderr(&output));
}
