//! A way to a server that can be closed, be slow, and lead those astray who do not put.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the server.
    Open,
    /// Connections are refused.
    Closed,
    /// To the server, so long after a connection was made.
    Slow(Duration),
    /// To the server for those who put; to another one for all others.
    Astray(SocketAddr),
}

pub struct Door {
    pub url: String,
    way: watch::Sender<Way>,
}

impl Door {
    /// A door to a server on this machine.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (way, ways) = watch::channel(Way::Open);
        tokio::spawn(keep(listener, target, ways));
        Self { url, way }
    }

    /// From now on this is the way; connections of before are cut.
    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn keep(first: TcpListener, target: SocketAddr, mut ways: watch::Receiver<Way>) {
    let address = first.local_addr().unwrap();
    let mut listener = Some(first);
    loop {
        let way = *ways.borrow_and_update();
        if way == Way::Closed {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(address).await.ok();
        }
        let Some(open) = &listener else {
            // Somebody else may have its address for a moment.
            let _ = tokio::time::timeout(Duration::from_millis(50), ways.changed()).await;
            continue;
        };
        tokio::select! {
            accepted = open.accept() => drop(tokio::spawn(pass(accepted.unwrap().0, target, ways.clone()))),
            changed = ways.changed() => if changed.is_err() { return },
        }
    }
}

async fn pass(mut client: TcpStream, target: SocketAddr, mut ways: watch::Receiver<Way>) -> Option<()> {
    let way = *ways.borrow_and_update();
    let led = async {
        let target = match way {
            Way::Astray(other) if !puts(&client).await? => other,
            Way::Slow(pause) => {
                tokio::time::sleep(pause).await;
                target
            }
            _ => target,
        };
        let mut server = TcpStream::connect(target).await.ok()?;
        copy_bidirectional(&mut client, &mut server).await.ok()
    };
    tokio::select! {
        _ = led => {}
        _ = ways.changed() => {}
    }
    Some(())
}

/// Whether a request begins as one that puts.
async fn puts(client: &TcpStream) -> Option<bool> {
    let mut begin = [0];
    let read = client.peek(&mut begin).await.ok()?;
    (read > 0).then_some(begin == *b"P")
}
