//! A small web server that publishes one text, counts who asks, and misbehaves when told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Publish {
    Text(String),
    Status(u16),
    /// A redirect to this URL.
    Redirect(String),
    /// No HTTP at all.
    Garbage,
    /// A body without an end, and without a word of its length.
    Endless,
    /// A body that is shorter than was said.
    CutOff,
    /// Half a head.
    HalfHead,
    /// Nothing, until it is told to do something else.
    Hang,
}

pub struct Publisher {
    pub address: SocketAddr,
    publish: watch::Sender<Publish>,
    requests: Arc<AtomicUsize>,
}

impl Publisher {
    pub async fn start(publish: Publish) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (publish, orders) = watch::channel(publish);
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(answer(client, orders.clone(), Arc::clone(&counter)));
            }
        });
        Self { address, publish, requests }
    }

    pub fn url(&self) -> String {
        format!("http://{}/keys.json", self.address)
    }

    pub fn set(&self, publish: Publish) {
        self.publish.send_replace(publish);
    }

    /// How many requests have come so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn answer(mut client: TcpStream, mut orders: watch::Receiver<Publish>, counter: Arc<AtomicUsize>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    counter.fetch_add(1, Ordering::SeqCst);
    let order = orders.wait_for(|order| !matches!(order, Publish::Hang)).await.ok()?.clone();
    let head = |status: u16, rest: &str| format!("HTTP/1.1 {status} So\r\nconnection: close\r\n{rest}\r\n");
    let text = match order {
        Publish::Text(text) => head(200, &format!("content-length: {}\r\n", text.len())) + &text,
        Publish::Status(status) => head(status, "content-length: 6\r\n") + "secret",
        Publish::Redirect(url) => head(302, &format!("location: {url}\r\ncontent-length: 0\r\n")),
        Publish::CutOff => head(200, "content-length: 1000\r\n") + "{",
        Publish::HalfHead => "HTTP/1.1 200 So\r\ncontent-len".to_owned(),
        Publish::Endless => head(200, "transfer-encoding: chunked\r\n"),
        Publish::Garbage | Publish::Hang => "what?\r\n\r\n".to_owned(),
    };
    client.write_all(text.as_bytes()).await.ok()?;
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    // Until the other end has had enough.
    while text.contains("chunked") {
        client.write_all(chunk.as_bytes()).await.ok()?;
    }
    client.shutdown().await.ok()
}
