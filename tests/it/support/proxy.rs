//! A TCP proxy in front of Postgres or of a store that can be cut and frozen.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    /// Connections are dropped, new ones too.
    Cut,
    /// Connections stay, and nothing moves.
    Frozen,
    /// What Postgres announces is not passed on, as by a pool in transaction mode. New connections only.
    Mute,
}

pub struct Proxy {
    address: SocketAddr,
    target: Arc<Mutex<(String, u16)>>,
    mode: watch::Sender<Mode>,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    /// A proxy to the server that the URL names.
    pub async fn to(url: &SecretString) -> Self {
        let target = Arc::new(Mutex::new(address_in(url)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, modes) = watch::channel(Mode::Open);
        let connections = Arc::new(AtomicUsize::new(0));
        let (counted, current) = (Arc::clone(&connections), Arc::clone(&target));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let target = current.lock().unwrap().clone();
                let modes = modes.clone();
                tokio::spawn(async move {
                    // A server that is away refuses; what came for it is dropped.
                    if let Ok(server) = TcpStream::connect(target).await {
                        forward(client, server, modes).await;
                    }
                });
            }
        });
        Self { address, target, mode, connections }
    }

    /// From now on new connections go to the server that the URL names.
    pub fn lead_to(&self, url: &SecretString) {
        *self.target.lock().unwrap() = address_in(url);
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The same URL, by way of the proxy.
    pub fn url(&self, url: &SecretString) -> SecretString {
        let mut url: url::Url = url.expose_secret().parse().unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        SecretString::from(url.to_string())
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    pub fn freeze(&self) {
        self.mode.send_replace(Mode::Frozen);
    }

    pub fn mute(&self) {
        self.mode.send_replace(Mode::Mute);
    }

    pub fn mend(&self) {
        self.mode.send_replace(Mode::Open);
    }
}

fn address_in(url: &SecretString) -> (String, u16) {
    let url: url::Url = url.expose_secret().parse().unwrap();
    (url.host_str().unwrap().to_owned(), url.port().unwrap())
}

async fn forward(mut client: TcpStream, mut server: TcpStream, mut modes: watch::Receiver<Mode>) {
    loop {
        let mode = *modes.borrow_and_update();
        match mode {
            Mode::Cut => return,
            Mode::Mute => {
                tokio::select! {
                    _ = copy_muted(&mut client, &mut server) => {}
                    _ = modes.changed() => {}
                }
                return;
            }
            Mode::Frozen => modes.changed().await.unwrap_or_default(),
            Mode::Open => tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => return,
                _ = modes.changed() => {}
            },
        }
    }
}

/// Forwards all messages of Postgres but `NotificationResponse`
/// (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).
async fn copy_muted(client: &mut TcpStream, server: &mut TcpStream) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let messages = async {
        loop {
            let kind = from_server.read_u8().await?;
            let length = from_server.read_u32().await?;
            let mut body = vec![0; length as usize - 4];
            from_server.read_exact(&mut body).await?;
            if kind != b'A' {
                to_client.write_all(&[&[kind][..], &length.to_be_bytes(), &body].concat()).await?;
            }
        }
    };
    tokio::select! {
        ended = messages => ended,
        ended = tokio::io::copy(&mut from_client, &mut to_server) => ended.map(drop),
    }
}
