//! HTTP/2 as nobody should speak it: floods, resets, windows that never open, frames that have no place. What h2 does about each is
//! its own matter; what counts is that work and memory are bounded, that others are served, and that each URL has its row.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{impatient, panics, patient};
use crate::support::stack::TestStack;
use crate::support::{eventually, within};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Frames and flags of RFC 9113, section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const WHOLE: u8 = END_STREAM | END_HEADERS;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header field that is not indexed (RFC 7541, section 6.2.2), with a name of its own.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        // A length in 7 bits, or more.
        let mut length = text.len();
        if length < 127 {
            bytes.push(u8::try_from(length).unwrap());
        } else {
            bytes.push(127);
            length -= 127;
            while length >= 128 {
                bytes.push(u8::try_from(length % 128 + 128).unwrap());
                length /= 128;
            }
            bytes.push(u8::try_from(length).unwrap());
        }
        bytes.extend(text.as_bytes());
    }
    bytes
}

fn fields(pairs: &[(&str, &str)]) -> Vec<u8> {
    pairs.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// The header fields of a presign.
fn presign(stack: &TestStack) -> Vec<u8> {
    let credential = format!("Bearer {}", stack.demo.alpha.api_key);
    fields(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/oss/presign?ext=jpg"),
        ("authorization", &credential),
    ])
}

async fn connect(stack: &TestStack, settings: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(stack.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await.unwrap();
    stream
}

/// A frame that came: its kind, its stream, its payload.
type Came = (u8, u32, Vec<u8>);

async fn next_frame(stream: &mut TcpStream) -> Option<Came> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, _, stream_id @ ..] = head;
    let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
    stream.read_exact(&mut payload).await.ok()?;
    Some((kind, u32::from_be_bytes(stream_id), payload))
}

/// All that comes until the gateway closes the connection.
async fn until_closed(stream: &mut TcpStream) -> Vec<Came> {
    let read = async {
        let mut came = Vec::new();
        while let Some(frame) = next_frame(stream).await {
            came.push(frame);
        }
        came
    };
    timeout(Duration::from_secs(30), read).await.unwrap_or_else(|_| panic!("the connection stays open"))
}

/// The error code of the last GOAWAY.
fn told_to_go(came: &[Came]) -> Option<u32> {
    let (_, _, payload) = came.iter().rfind(|(kind, ..)| *kind == GOAWAY)?;
    Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()))
}

/// URLs that were handed out.
fn urls(came: &[Came]) -> usize {
    let text = |(_, _, payload): &Came| String::from_utf8_lossy(payload).matches("X-Amz-Signature=").count();
    came.iter().filter(|(kind, ..)| *kind == DATA).map(text).sum()
}

const ENHANCE_YOUR_CALM: u32 = 11;

#[tokio::test]
async fn a_rapid_reset_ends_the_connection_and_others_are_served() {
    let stack = patient().start().await;
    let before = panics();
    let mut stream = connect(&stack, &[]).await;
    let fields = presign(&stack);
    let mut written = 0;
    for first in (0..10_000u32).step_by(100) {
        let pair = |number: u32| {
            let id = number * 2 + 1;
            [frame(HEADERS, WHOLE, id, &fields), frame(RST_STREAM, 0, id, &CANCEL)].concat()
        };
        let batch: Vec<u8> = (first..first + 100).flat_map(pair).collect();
        if stream.write_all(&batch).await.is_err() {
            break;
        }
        written += 100;
    }
    stack.presign("ext=png").await.url();
    let came = until_closed(&mut stream).await;
    // A connection that is cut may lose the last word.
    assert!(matches!(told_to_go(&came), Some(ENHANCE_YOUR_CALM) | None), "{came:?}");
    let recorded = stack.recorded().await;
    assert!(recorded < 500, "{written} were sent, and {recorded} were worked on");
    assert!(i64::try_from(urls(&came)).unwrap() < recorded);
    assert_eq!(panics(), before);
}

#[tokio::test]
async fn streams_that_are_reset_one_by_one_leave_nothing_behind() {
    let stack = patient().start().await;
    let before = panics();
    let connection = TcpStream::connect(stack.url.trim_start_matches("http://")).await.unwrap();
    let (client, connection) = h2::client::handshake(connection).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let mut received = 0;
    for number in 0..300 {
        let request = http::Request::get("http://a/oss/presign?ext=jpg")
            .header("authorization", format!("Bearer {}", stack.demo.alpha.api_key))
            .body(())
            .unwrap();
        let Ok(ready) = client.ready().await else { panic!("the connection is closed after {number}") };
        client = ready;
        let (response, mut sending) = client.send_request(request, true).unwrap();
        if number % 3 == 0 {
            // Answered; its body is not waited for.
            received += i64::from(response.await.unwrap().status() == 200);
        } else {
            tokio::task::yield_now().await;
            sending.send_reset(h2::Reason::CANCEL);
        }
    }
    assert!(received > 0);
    // What is under way is finished or dropped, and the connection is as good as before.
    let request = http::Request::get("http://a/livez").body(()).unwrap();
    let (response, _) = client.ready().await.unwrap().send_request(request, true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
    let recorded = stack.recorded().await;
    assert!((received..=300).contains(&recorded), "{received} answered, {recorded} on record");
    driver.abort();
    assert_eq!(panics(), before);
}

#[tokio::test]
async fn excess_streams_are_refused_and_each_url_has_its_row() {
    let stack = patient().start().await;
    let mut stream = connect(&stack, &[]).await;
    let fields = presign(&stack);
    let streams: Vec<u8> = (0..400u32).flat_map(|number| frame(HEADERS, WHOLE, number * 2 + 1, &fields)).collect();
    stream.write_all(&streams).await.unwrap();
    let (mut answered, mut came) = (0, Vec::new());
    while answered < 400 {
        let frame = timeout(Duration::from_secs(20), next_frame(&mut stream)).await.unwrap();
        let Some(frame) = frame else { break };
        answered += usize::from(matches!(frame.0, HEADERS | RST_STREAM));
        came.push(frame);
    }
    assert!(answered == 400 || told_to_go(&came).is_some(), "{answered}");
    assert!(i64::try_from(urls(&came)).unwrap() <= stack.recorded().await);
    stack.presign("ext=png").await.url();
}

#[tokio::test]
async fn floods_of_frames_end_their_connection_and_others_are_served() {
    let stack = impatient("1").await;
    let before = panics();
    let head = fields(&[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/livez")]);
    let bomb: Vec<u8> = {
        // One long field is put into the table, and then named again and again in a byte each.
        let mut block = field("x", &"y".repeat(3000));
        block[0] = 0x40;
        [head.clone(), block, vec![0xbe; 12_000]].concat()
    };
    let piece = field("x", &"y".repeat(1000));
    let continuations = [frame(HEADERS, END_STREAM, 1, &head), frame(CONTINUATION, 0, 1, &piece).repeat(5000)];
    let empty = [frame(HEADERS, END_STREAM, 1, &head), frame(CONTINUATION, 0, 1, &[]).repeat(100_000)];
    let headers_then = |then: Vec<u8>| {
        [
            frame(
                HEADERS,
                END_HEADERS,
                1,
                &fields(&[
                    (":method", "POST"),
                    (":scheme", "http"),
                    (":authority", "a"),
                    (":path", "/v1/uploads"),
                    ("authorization", "Bearer x"),
                ]),
            ),
            then,
        ]
        .concat()
    };
    for (what, bytes) in [
        ("continuations", continuations.concat()),
        ("empty continuations", empty.concat()),
        ("settings", frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]).repeat(100_000)),
        ("pings", frame(PING, 0, 0, &[7; 8]).repeat(100_000)),
        ("priorities", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 16]).repeat(100_000)),
        ("window updates", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(100_000)),
        ("unknown frames", frame(0xee, 0, 0, &[0; 100]).repeat(20_000)),
        ("empty data", headers_then(frame(DATA, 0, 1, &[]).repeat(100_000))),
        ("padding", headers_then(frame(DATA, PADDED, 1, &[&[255][..], &[0; 255]].concat()).repeat(5000))),
        ("a bomb of header fields", frame(HEADERS, WHOLE, 1, &bomb)),
        ("resets of nothing", frame(RST_STREAM, 0, 1, &CANCEL).repeat(50_000)),
    ] {
        let mut stream = connect(&stack, &[]).await;
        // Nothing is read meanwhile, so the gateway may have to stop reading, too.
        let write = async {
            for part in bytes.chunks(64 * 1024) {
                stream.write_all(part).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let _ = timeout(Duration::from_secs(10), write).await;
        let serves = async || (stack.presign("ext=jpg").await.status == 200).then_some(());
        eventually("others are served", serves).await;
        let came = until_closed(&mut stream).await;
        let answered = came.iter().filter(|(kind, ..)| *kind == HEADERS).count();
        assert!(answered <= 1, "{what}: {answered} answers");
        assert_eq!(urls(&came), 0, "{what}");
    }
    assert_eq!(panics(), before);
}

#[tokio::test]
async fn client_with_a_closed_window_is_cut_off_and_recorded() {
    let stack = impatient("1").await;
    // SETTINGS_INITIAL_WINDOW_SIZE of nothing.
    let mut stream = connect(&stack, &[0, 4, 0, 0, 0, 0]).await;
    let fields = presign(&stack);
    let streams: Vec<u8> = (0..20u32).flat_map(|number| frame(HEADERS, WHOLE, number * 2 + 1, &fields)).collect();
    stream.write_all(&streams).await.unwrap();
    within(Duration::from_secs(30), "all are on record", async || (stack.recorded().await == 20).then_some(())).await;
    let came = until_closed(&mut stream).await;
    assert_eq!(urls(&came), 0, "no body fits into no window");
    stack.presign("ext=jpg").await.url();
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn frames_and_fields_that_have_no_place_are_refused() {
    let stack = impatient("2").await;
    let before = panics();
    let credential = format!("Bearer {}", stack.demo.alpha.api_key);
    let get = presign(&stack);
    let with = |more: &[(&str, &str)]| frame(HEADERS, WHOLE, 1, &[get.clone(), fields(more)].concat());
    let (method, scheme, authority) = ((":method", "GET"), (":scheme", "http"), (":authority", "a"));
    let path = (":path", "/oss/presign?ext=jpg");
    let only = |pairs: &[(&str, &str)]| {
        frame(HEADERS, WHOLE, 1, &[fields(pairs), field("authorization", &credential)].concat())
    };
    let post = fields(&[
        (":method", "POST"),
        scheme,
        authority,
        (":path", "/v1/uploads"),
        ("authorization", &credential),
        ("content-length", "5"),
    ]);
    let cases = [
        ("an upper-case name", with(&[("X-Y", "z")])),
        ("a connection field", with(&[("connection", "close")])),
        ("chunks", with(&[("transfer-encoding", "chunked")])),
        ("te", with(&[("te", "gzip")])),
        ("a NUL in a value", with(&[("x", "a\0b")])),
        ("a line end in a value", with(&[("x", "a\r\nb")])),
        ("a name with a space", with(&[("x y", "z")])),
        ("an empty name", with(&[("", "z")])),
        ("a pseudo field behind others", with(&[(":path", "/livez")])),
        ("an unknown pseudo field", only(&[method, scheme, authority, path, (":x", "y")])),
        ("two paths", only(&[method, scheme, authority, path, path])),
        ("two methods", only(&[method, method, scheme, authority, path])),
        ("no path", only(&[method, scheme, authority])),
        ("an empty path", only(&[method, scheme, authority, (":path", "")])),
        ("no method", only(&[scheme, authority, path])),
        ("no scheme", only(&[method, authority, path])),
        ("a status", only(&[method, scheme, authority, path, (":status", "200")])),
        ("a path with a space", only(&[method, scheme, authority, (":path", "/oss/presign?ext=jpg HTTP/1.1")])),
        ("two hosts beside it", with(&[("host", "a"), ("host", "b")])),
        ("two credentials", with(&[("authorization", &credential)])),
        ("CONNECT", only(&[(":method", "CONNECT"), authority])),
        (
            "CONNECT with a protocol",
            only(&[(":method", "CONNECT"), (":protocol", "websocket"), scheme, authority, path]),
        ),
        ("a stream of the server's", frame(HEADERS, WHOLE, 2, &get)),
        ("stream 0", frame(HEADERS, WHOLE, 0, &get)),
        ("a push", frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], &get[..]].concat())),
        ("data without a stream", frame(DATA, END_STREAM, 1, b"abc")),
        ("data on stream 0", frame(DATA, END_STREAM, 0, b"abc")),
        ("a reset of no stream", frame(RST_STREAM, 0, 0, &CANCEL)),
        ("a short reset", [with(&[]), frame(RST_STREAM, 0, 1, &[0])].concat()),
        ("a window of nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("a window over its end", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255]).repeat(2)),
        ("a setting over its end", frame(SETTINGS, 0, 0, &[0, 4, 255, 255, 255, 255])),
        ("a setting of half a length", frame(SETTINGS, 0, 0, &[0, 4, 0])),
        ("a ping of half a length", frame(PING, 0, 0, &[0; 4])),
        ("a frame over the limit", frame(HEADERS, WHOLE, 1, &vec![0; 17_000])),
        ("more padding than frame", frame(HEADERS, WHOLE | PADDED, 1, &[&[255][..], &get[..10]].concat())),
        ("a stream that waits for itself", frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 16])),
        ("a broken block", frame(HEADERS, WHOLE, 1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
        ("an index that there is not", frame(HEADERS, WHOLE, 1, &[0xe4])),
        ("another frame within a block", [frame(HEADERS, END_STREAM, 1, &get), frame(PING, 0, 0, &[0; 8])].concat()),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &get)),
        ("less than was declared", [frame(HEADERS, END_HEADERS, 1, &post), frame(DATA, END_STREAM, 1, b"{}")].concat()),
        (
            "more than was declared",
            [frame(HEADERS, END_HEADERS, 1, &post), frame(DATA, END_STREAM, 1, b"{\"ext\":\"jpg\"}")].concat(),
        ),
        (
            "a header list over the limit",
            frame(HEADERS, END_STREAM, 1, &get)
                .into_iter()
                .chain(frame(CONTINUATION, 0, 1, &field("x", &"y".repeat(15_000))))
                .chain(frame(CONTINUATION, 0, 1, &field("x", &"y".repeat(15_000))))
                .chain(frame(CONTINUATION, END_HEADERS, 1, &field("x", &"y".repeat(15_000))))
                .collect(),
        ),
    ];
    let mut issued = 0;
    let mut taken = Vec::new();
    for (what, bytes) in cases {
        let mut stream = connect(&stack, &[]).await;
        let _ = stream.write_all(&bytes).await;
        let read = async {
            let mut came = Vec::new();
            while let Some(frame) = next_frame(&mut stream).await {
                let is_end = matches!(frame.0, GOAWAY | RST_STREAM | DATA);
                came.push(frame);
                if is_end {
                    break;
                }
            }
            came
        };
        let came = timeout(Duration::from_secs(20), read).await.unwrap_or_else(|_| panic!("{what}: it hangs"));
        issued += urls(&came);
        if urls(&came) > 0 {
            taken.push(what);
        }
    }
    assert_eq!(taken, Vec::<&str>::new());
    assert!(i64::try_from(issued).unwrap() <= stack.recorded().await);
    stack.presign("ext=jpg").await.url();
    assert_eq!(panics(), before);
}
