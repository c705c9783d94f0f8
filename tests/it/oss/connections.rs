//! What arrives on a bare connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::stack::{Setup, TestStack};

/// The preface and empty settings (RFC 9113, section 3.4): an HTTP/2 connection that asks for nothing.
const IDLE_HTTP2: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";

async fn connect(stack: &TestStack) -> TcpStream {
    TcpStream::connect(stack.url.trim_start_matches("http://")).await.unwrap()
}

/// Sends the bytes and reads until the gateway closes the connection.
async fn send(stack: &TestStack, bytes: &[u8]) -> String {
    let mut stream = connect(stack).await;
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection hangs; so far: {}", String::from_utf8_lossy(&answer));
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn silent_and_slow_clients_are_cut_off_others_served() {
    let stack = Setup::new().set("SERVER__HEADER_TIMEOUT_SECONDS", "1").start().await;
    // Nothing; the beginning of either protocol; half a head.
    for begun in [
        "",
        "P",
        "PRI * HT",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        IDLE_HTTP2,
        "GET /oss/presign?ext=jpg HTTP/1.1\r\nHost: a\r\n",
    ] {
        let answer = send(&stack, begun.as_bytes()).await;
        assert!(!answer.contains("200 OK"), "{begun:?}: {answer}");
        stack.presign("ext=jpg").await.url();
    }
}

#[tokio::test]
async fn malformed_requests_are_refused_and_issue_nothing() {
    let stack = TestStack::start().await;
    let key = &stack.demo.alpha.api_key;
    let auth = format!("Host: a\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n");
    for (what, request) in [
        ("no version", "GET /oss/presign?ext=jpg\r\n\r\n".to_owned()),
        ("a NUL in the path", format!("GET /oss/\0presign?ext=jpg HTTP/1.1\r\n{auth}\r\n")),
        ("a NUL in a header", format!("GET /oss/presign?ext=jpg HTTP/1.1\r\nX: \0\r\n{auth}\r\n")),
        (
            "two lengths",
            format!("GET /oss/presign?ext=jpg HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n{auth}\r\nab"),
        ),
        (
            "two kinds of length",
            format!(
                "POST /oss/presign?ext=jpg HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n{auth}\r\n0\r\n\r\n"
            ),
        ),
        ("too many headers", format!("GET /oss/presign?ext=jpg HTTP/1.1\r\n{}{auth}\r\n", "X: y\r\n".repeat(200))),
        (
            "a head over the limit",
            format!("GET /oss/presign?ext=jpg HTTP/1.1\r\nX: {}\r\n{auth}\r\n", "y".repeat(40_000)),
        ),
        ("a huge header", format!("GET /oss/presign?ext=jpg HTTP/1.1\r\nX: {}\r\n{auth}\r\n", "y".repeat(1_000_000))),
        ("a huge path", format!("GET /{} HTTP/1.1\r\n{auth}\r\n", "y".repeat(70_000))),
    ] {
        let answer = send(&stack, request.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{what}: {answer}");
    }
    assert_eq!(stack.recorded().await, 0);
    let well = format!("GET http://a/oss/presign?ext=jpg HTTP/1.1\r\n{auth}\r\n");
    assert!(send(&stack, well.as_bytes()).await.starts_with("HTTP/1.1 200 OK"), "an absolute target is fine");
}
