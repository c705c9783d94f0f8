//! HTTP/1 as nobody should speak it, on bare connections to both listeners.
//!
//! What hyper refuses by itself has a status and no body; what it lets through is answered in the envelope. Whatever it is: no
//! panic, no 5xx, no connection that hangs, and nothing that looks like one request becomes two.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{impatient, panics, patient};
use crate::support::stack::TestStack;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// 200 or 201.
    Well,
    /// In the envelope.
    Told(u16, &'static str),
    /// By hyper, without a body.
    Bare(u16),
    /// The connection is closed without a word.
    Closed,
}
use Expected::{Bare, Closed, Told, Well};

/// One listener, and requests that it likes.
struct Face {
    address: String,
    /// A GET that is answered with 200.
    get: &'static str,
    /// A POST that is answered with 200 or 201.
    post: &'static str,
    body: &'static str,
    credential: String,
}

impl Face {
    fn public(stack: &TestStack) -> Self {
        let address = stack.url.trim_start_matches("http://").to_owned();
        let credential = stack.demo.alpha.api_key.clone();
        Self { address, get: "/oss/presign?ext=jpg", post: "/v1/uploads", body: r#"{"ext":"jpg"}"#, credential }
    }

    fn ops(stack: &TestStack) -> Self {
        let address = stack.ops_url.trim_start_matches("http://").to_owned();
        let credential = stack.demo.operator_key.clone();
        let (get, post) = ("/admin/v1/tenants", "/admin/v1/tenants/alpha/suspend");
        Self { address, get, post, body: "{}", credential }
    }

    /// Header fields that every request has.
    fn usual(&self) -> String {
        format!("Host: a\r\nConnection: close\r\nAuthorization: Bearer {}\r\n", self.credential)
    }

    /// The usual GET, with more header fields.
    fn get(&self, more: &str) -> Vec<u8> {
        format!("GET {} HTTP/1.1\r\n{}{more}\r\n", self.get, self.usual()).into()
    }

    fn line(&self, line: &str) -> Vec<u8> {
        format!("{line}\r\n{}\r\n", self.usual()).into()
    }

    /// The usual POST, with more header fields, and this as all that follows.
    fn post(&self, more: &str, body: &str) -> Vec<u8> {
        let json = "Content-Type: application/json\r\n";
        format!("POST {} HTTP/1.1\r\n{}{json}{more}\r\n{body}", self.post, self.usual()).into()
    }

    fn chunked(&self, body: &str) -> Vec<u8> {
        self.post("Transfer-Encoding: chunked\r\n", body)
    }

    /// The usual body as one chunk, without the last one.
    fn chunk(&self) -> String {
        format!("{:x}\r\n{}\r\n", self.body.len(), self.body)
    }
}

/// Sends the bytes and reads until the gateway closes the connection.
async fn send(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // One that refuses early may close before all was written.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(read.is_ok(), "the connection hangs; so far: {text}");
    text
}

/// What an answer is, and how many there are.
fn found(answer: &str) -> (Expected, usize) {
    let answers = answer.matches("HTTP/1.").count();
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return (Closed, answers) };
    let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
    let told: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let found = match told["reason"].as_str() {
        _ if status < 300 => Well,
        Some(reason) => {
            assert!(told["code"] == status && told["data"].is_null() && !told["msg"].as_str().unwrap().is_empty());
            Told(status, reason.to_owned().leak())
        }
        None => Bare(status),
    };
    (found, answers)
}

async fn hold(face: &Face, cases: Vec<(&str, Vec<u8>, Expected)>) -> usize {
    let mut wrong = Vec::new();
    let mut issued = 0;
    for (what, bytes, expected) in cases {
        let answer = send(&face.address, &bytes).await;
        issued += answer.matches("X-Amz-Signature=").count();
        let (found, answers) = found(&answer);
        if found != expected || answers > 1 {
            wrong.push(format!("{what}: {found:?} instead of {expected:?}, {answers} answers"));
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", face.get);
    assert_eq!(found(&send(&face.address, &face.get("")).await).0, Well, "others are served");
    issued
}

#[tokio::test]
async fn heads_that_are_too_long_repeated_or_malformed_are_refused() {
    let stack = patient().start().await;
    let before = panics();
    for face in [Face::public(&stack), Face::ops(&stack)] {
        let (get, again) = (|more: &str| face.get(more), face.usual().lines().last().unwrap().to_owned());
        let unauthenticated = Told(401, "unauthenticated");
        let cases = vec![
            ("one long field", get(&format!("X: {}\r\n", "y".repeat(40_000))), Bare(431)),
            ("a long name", get(&format!("{}: y\r\n", "x".repeat(40_000))), Bare(431)),
            ("many fields", get(&"X: y\r\n".repeat(150)), Bare(431)),
            ("many long fields", get(&format!("X: {}\r\n", "y".repeat(900)).repeat(60)), Bare(431)),
            ("a credential twice", get(&format!("{again}\r\n")), unauthenticated),
            ("two kinds of credential", get("X-API-Key: pgw_x\r\n"), unauthenticated),
            ("two hosts", get("Host: b\r\n"), Told(400, "repeated_parameter")),
            ("the same host twice", get("host: a\r\n"), Told(400, "repeated_parameter")),
            ("a folded field", get("X: a\r\n b\r\n"), Bare(400)),
            ("a space before the colon", get("X : a\r\n"), Bare(400)),
            ("a space before the name", get(" X: a\r\n"), Bare(400)),
            ("no colon", get("X\r\n"), Bare(400)),
            ("no name", get(": a\r\n"), Bare(400)),
            ("a name in quotes", get("\"X\": a\r\n"), Bare(400)),
            ("a NUL", get("X: \0\r\n"), Bare(400)),
            ("a bare CR", get("X: a\rb\r\n"), Bare(400)),
            ("DEL", get("X: \x7f\r\n"), Bare(400)),
            ("UTF-8 that is not ours to read", get("X: é\u{2028}\r\n"), Well),
            ("a request id that is none", get("X-Request-Id: '; DROP TABLE uploads; --\r\n"), Well),
            ("lines before it", [b"\r\n\r\n".to_vec(), get("")].concat(), Well),
            ("lines that end with LF", String::from_utf8(get("")).unwrap().replace("\r\n", "\n").into(), Well),
        ];
        hold(&face, cases).await;
        let mut bad = get("");
        bad.splice(bad.len() - 2.., b"X: \xff\xfe\r\n\r\n".iter().copied());
        assert_eq!(found(&send(&face.address, &bad).await).0, Well, "bytes that are no UTF-8, where nobody looks");
        let broken = format!("GET {} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer ", face.get);
        let broken = [broken.as_bytes(), b"\xff\xfe\r\n\r\n"].concat();
        assert_eq!(found(&send(&face.address, &broken).await).0, unauthenticated);
    }
    assert_eq!(panics(), before);
}

#[tokio::test]
async fn targets_methods_and_versions_that_are_not_ours_are_refused() {
    let stack = patient().start().await;
    let before = panics();
    for face in [Face::public(&stack), Face::ops(&stack)] {
        let (line, get) = (|text: &str| face.line(text), face.get);
        let (nothing, not_allowed) = (Told(404, "not_found"), Told(405, "method_not_allowed"));
        let cases = vec![
            ("absolute", line(&format!("GET http://other.example{get} HTTP/1.1")), Well),
            ("absolute, of another scheme", line("GET ftp://a/x HTTP/1.1"), nothing),
            ("absolute, with a user", line("GET http://u:p@a/x HTTP/1.1"), nothing),
            ("asterisk", line("OPTIONS * HTTP/1.1"), nothing),
            ("asterisk, to GET", line("GET * HTTP/1.1"), nothing),
            ("authority", line("CONNECT a:80 HTTP/1.1"), nothing),
            ("CONNECT to a path", line(&format!("CONNECT {get} HTTP/1.1")), not_allowed),
            ("no slash", line(&format!("GET {} HTTP/1.1", &get[1..])), Bare(400)),
            ("two slashes", line(&format!("GET /{get} HTTP/1.1")), nothing),
            ("TRACE", line(&format!("TRACE {get} HTTP/1.1")), not_allowed),
            ("a method that nobody knows", line(&format!("FROBNICATE {get} HTTP/1.1")), not_allowed),
            ("a long method", line(&format!("{} {get} HTTP/1.1", "A".repeat(1000))), not_allowed),
            ("a method in small letters", line(&format!("get {get} HTTP/1.1")), not_allowed),
            ("a method with a bracket", line(&format!("G(T {get} HTTP/1.1")), Bare(400)),
            ("HTTP/0.9", format!("GET {get}\r\n\r\n").into(), Bare(400)),
            ("HTTP/1.0", line(&format!("GET {get} HTTP/1.0")), Well),
            ("HTTP/1.2", line(&format!("GET {get} HTTP/1.2")), Bare(400)),
            ("HTTP/2.0", line(&format!("GET {get} HTTP/2.0")), Bare(400)),
            ("HTTP/3", line(&format!("GET {get} HTTP/3")), Bare(400)),
            ("two spaces", line(&format!("GET  {get} HTTP/1.1")), Bare(400)),
            ("a long path", line(&format!("GET /{} HTTP/1.1", "y".repeat(30_000))), nothing),
            ("a longer path", line(&format!("GET /{} HTTP/1.1", "y".repeat(70_000))), Bare(431)),
            ("a long query", line(&format!("GET {get}?{} HTTP/1.1", "y".repeat(5000))), Told(414, "query_too_long")),
            ("a NUL", line("GET /\0 HTTP/1.1"), Bare(400)),
            ("a fragment", line(&format!("GET {get}#x HTTP/1.1")), Well),
        ];
        hold(&face, cases).await;
    }
    assert_eq!(panics(), before);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn where_a_body_ends_is_never_in_doubt() {
    let stack = patient().start().await;
    let before = panics();
    let face = Face::public(&stack);
    let (post, chunked, chunk) =
        (|more: &str, body: &str| face.post(more, body), |body: &str| face.chunked(body), face.chunk());
    let length = face.body.len();
    let malformed = Told(400, "malformed_body");
    let second = format!("GET {} HTTP/1.1\r\n{}\r\n", face.get, face.usual());
    let cases = vec![
        ("one length", post(&format!("Content-Length: {length}\r\n"), face.body), Well),
        ("the same length twice", post(&format!("Content-Length: {length}\r\n").repeat(2), face.body), Well),
        ("two lengths", post(&format!("Content-Length: {length}\r\nContent-Length: 2\r\n"), face.body), Bare(400)),
        ("a list of lengths", post("Content-Length: 13, 13\r\n", face.body), Bare(400)),
        ("a length with a sign", post("Content-Length: +13\r\n", face.body), Bare(400)),
        ("a negative length", post("Content-Length: -1\r\n", face.body), Bare(400)),
        ("a hexadecimal length", post("Content-Length: 0x0d\r\n", face.body), Bare(400)),
        ("no number", post("Content-Length: \r\n", face.body), Bare(400)),
        ("a length over 64 bits", post("Content-Length: 18446744073709551616\r\n", face.body), Bare(400)),
        ("a huge length", post("Content-Length: 9223372036854775807\r\n", face.body), Told(413, "body_too_large")),
        // RFC 9112, section 6.3: the chunks count. Both orders.
        (
            "a length and chunks",
            post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", &format!("{chunk}0\r\n\r\n")),
            Well,
        ),
        (
            "chunks and a length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", &format!("{chunk}0\r\n\r\n")),
            Well,
        ),
        (
            "a second request behind the chunks",
            post("Content-Length: 999\r\nTransfer-Encoding: chunked\r\n", &format!("{chunk}0\r\n\r\n{second}")),
            Well,
        ),
        (
            "a second request behind the length",
            post(&format!("Content-Length: {length}\r\n"), &format!("{}{second}", face.body)),
            Well,
        ),
        ("chunks that are not the last coding", post("Transfer-Encoding: chunked, gzip\r\n", ""), Bare(400)),
        ("a coding that is no more", post("Transfer-Encoding: identity\r\n", ""), Bare(400)),
        ("chunks, hidden", post("Transfer-Encoding: xchunked\r\n", ""), Bare(400)),
        (
            "chunks in HTTP/1.0",
            String::from_utf8(chunked(&format!("{chunk}0\r\n\r\n"))).unwrap().replace("HTTP/1.1", "HTTP/1.0").into(),
            Bare(400),
        ),
        ("one chunk", chunked(&format!("{chunk}0\r\n\r\n")), Well),
        ("an extension", chunked(&format!("{length:x};a=\"b;c\"\r\n{}\r\n0;x\r\n\r\n", face.body)), Well),
        (
            "a long extension",
            chunked(&format!("{length:x};{}\r\n{}\r\n0\r\n\r\n", "a".repeat(20_000), face.body)),
            malformed,
        ),
        (
            "a trailer",
            chunked(&format!("{chunk}0\r\nX: y\r\nAuthorization: Bearer z\r\nContent-Length: 5\r\n\r\n")),
            Well,
        ),
        ("no size", chunked("\r\nabc\r\n0\r\n\r\n"), malformed),
        ("a size that is none", chunked("zz\r\nabc\r\n0\r\n\r\n"), malformed),
        ("a size with a sign", chunked("+3\r\nabc\r\n0\r\n\r\n"), malformed),
        ("a negative size", chunked("-3\r\nabc\r\n0\r\n\r\n"), malformed),
        ("a size with a prefix", chunked("0x3\r\nabc\r\n0\r\n\r\n"), malformed),
        ("a size over 64 bits", chunked("10000000000000003\r\nabc\r\n0\r\n\r\n"), malformed),
        ("more than its size", chunked("2\r\nabcdef\r\n0\r\n\r\n"), malformed),
        ("a chunk that ends with LF", chunked(&format!("{length:x}\n{}\n0\n\n", face.body)), malformed),
        (
            "chunks over the limit",
            chunked(&format!("{}0\r\n\r\n", format!("1000\r\n{}\r\n", " ".repeat(4096)).repeat(20))),
            Told(413, "body_too_large"),
        ),
        ("many small chunks", chunked(&format!("{}{chunk}0\r\n\r\n", "1\r\n \r\n".repeat(3000))), Well),
        ("no JSON at the end", chunked(&format!("{chunk}1\r\n}}\r\n0\r\n\r\n")), malformed),
        (
            "an expectation that nobody has",
            post(&format!("Expect: 200-ok\r\nContent-Length: {length}\r\n"), face.body),
            Well,
        ),
    ];
    let issued = hold(&face, cases).await;
    assert_eq!(
        i64::try_from(issued).unwrap() + 1,
        stack.recorded().await,
        "each URL has its row, and each row was asked for"
    );
    assert_eq!(panics(), before);
}

#[tokio::test]
async fn clients_that_stop_in_the_middle_are_dropped() {
    let stack = patient().start().await;
    let before = panics();
    let face = Face::public(&stack);
    let length = face.body.len();
    for (what, bytes) in [
        ("half a head", face.get("")[..40].to_vec()),
        ("half a body", face.post(&format!("Content-Length: {}\r\n", length + 5), face.body)),
        ("chunks without an end", face.chunked(&face.chunk())),
        ("half a chunk", face.chunked("fff\r\nabc")),
        ("a huge chunk", face.chunked("ffffffffffffff\r\nabc")),
        ("nothing but an end", Vec::new()),
    ] {
        let mut stream = TcpStream::connect(&face.address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "{what}: the connection hangs");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{what}: {answer}");
    }
    assert_eq!(stack.recorded().await, 0);
    assert_eq!(panics(), before);
}

/// Writes these bytes every now and then until the server hangs up; says what it answered.
async fn until_dropped(stream: &mut TcpStream, now_and_then: &[u8]) -> String {
    let (mut answers, mut buffer) = (String::new(), [0; 4096]);
    loop {
        match timeout(Duration::from_millis(100), stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => return answers,
            Ok(Ok(length)) => answers.push_str(&String::from_utf8_lossy(&buffer[..length])),
            Err(_) => drop(stream.write_all(now_and_then).await),
        }
    }
}

#[tokio::test]
async fn idle_and_slow_clients_are_dropped_and_active_ones_stay() {
    let stack = impatient("1").await;
    let address = Face::public(&stack).address;
    let ask = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    let half = "GET /livez HTTP/1.1\r\nHost: a\r\nX: ";
    let dropped = async {
        for (what, first, then, answered) in [
            ("nothing", "", "", 0),
            ("a byte at a time", "G", "E", 0),
            ("half a head, and a byte at a time", half, "y", 0),
            ("an answered request, and nothing", ask, "", 1),
            ("an answered request, and a byte at a time", &format!("{ask}{half}"), "y", 1),
        ] {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(first.as_bytes()).await.unwrap();
            let answers = timeout(Duration::from_secs(20), until_dropped(&mut stream, then.as_bytes())).await;
            let answers = answers.unwrap_or_else(|_| panic!("{what}: the connection is kept"));
            assert_eq!(answers.matches("HTTP/1.1 200").count(), answered, "{what}: {answers}");
        }
    };
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let asking = until_dropped(&mut stream, ask.as_bytes());
    tokio::select! {
        () = dropped => {}
        answers = asking => panic!("one that asks was dropped: {answers}"),
    }
}

#[tokio::test]
async fn encoded_slashes_dots_nuls_and_non_utf8_get_404() {
    let stack = patient().start().await;
    let before = panics();
    let face = Face::public(&stack);
    stack.presign("ext=jpg").await.url();
    let id = "01a203fe-9eeb-7344-910f-c05f00b8cddb";
    for part in [
        "%00",
        "%2f",
        "%2F..%2F",
        "..",
        "%2e%2e",
        "%",
        "%zz",
        "%f",
        "%ff%fe",
        "%u0041",
        "\u{ff}",
        "%c0%af",
        "%ed%a0%80",
        ";x",
        "%5c",
        "%0d%0aX:y",
        "%E2%80%AE",
        "*",
        "\\",
    ] {
        for target in [
            format!("/v1/uploads/{part}"),
            format!("/v1/uploads/{id}{part}"),
            format!("/v1/uploads/{part}/url"),
            format!("/v1/{part}/uploads"),
            format!("/oss/presign{part}?ext=jpg"),
            format!("/{part}"),
        ] {
            let answer = send(&face.address, &face.line(&format!("GET {target} HTTP/1.1"))).await;
            let (found, _) = found(&answer);
            let is_refused = matches!(found, Told(400 | 404, _) | Bare(400));
            assert!(is_refused, "{target}: {answer}");
        }
        for target in [
            format!("/v1/uploads?key={part}"),
            format!("/v1/uploads?cursor={part}"),
            format!("/v1/uploads?{part}=1"),
            format!("/v1/usage?by={part}"),
            format!("/v1/uploads/export?format=csv&subject={part}"),
        ] {
            let answer = send(&face.address, &face.line(&format!("GET {target} HTTP/1.1"))).await;
            let (found, _) = found(&answer);
            assert!(matches!(found, Well | Told(400, _) | Bare(400)), "{target}: {answer}");
        }
    }
    // Bytes that are no UTF-8, not encoded.
    for target in [&b"/v1/uploads/\xff"[..], b"/v1/uploads?key=\xff\xfe", b"/\xff", b"/oss/presign?ext=\xff"] {
        let request = [b"GET ", target, b" HTTP/1.1\r\n", face.usual().as_bytes(), b"\r\n"].concat();
        let (found, _) = found(&send(&face.address, &request).await);
        assert!(matches!(found, Told(400 | 404, _) | Bare(400) | Well), "{found:?}");
    }
    assert_eq!(stack.recorded().await, 1);
    assert_eq!(panics(), before);
}
