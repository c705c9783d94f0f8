//! Accepts connections, with a limit on how many and on how long a client may take to speak; drains on shutdown.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::context::PeerAddress;

/// Limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct ListenerOptions {
    pub max_connections: usize,
    /// How long a client may take to send a request's head; also how long a connection may rest between requests.
    pub header_timeout: Duration,
    /// How long requests under way may take once shutdown has begun.
    pub drain_timeout: Duration,
}

/// Requests of one HTTP/2 connection at a time.
const MOST_STREAMS: u32 = 256;
/// How long to wait before accepting again when the machine is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` completes, then finishes the requests under way.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: ListenerOptions,
    shutdown: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(options.max_connections));
    let graceful = GracefulShutdown::new();
    let server = Arc::new(builder(options.header_timeout));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accept => accepted,
            () = &mut shutdown => break,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let connection = Connection { server: Arc::clone(&server), router: router.clone(), peer, options };
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            connection.run(stream, watcher).await;
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(options.drain_timeout, graceful.shutdown()).await;
}

fn builder(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).max_concurrent_streams(MOST_STREAMS);
    // A peer that vanished without a word is noticed.
    http2.keep_alive_interval(header_timeout).keep_alive_timeout(header_timeout);
    builder
}

struct Connection {
    server: Arc<Builder<TokioExecutor>>,
    router: Router,
    peer: SocketAddr,
    options: ListenerOptions,
}

impl Connection {
    async fn run(self, stream: TcpStream, watcher: Watcher) {
        // Answers are small and whole: waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let Self { server, router, peer, options } = self;
        let spoken = Arc::new(AtomicBool::new(false));
        let has_spoken = Arc::clone(&spoken);
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            spoken.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(PeerAddress(peer));
            router.clone().oneshot(request)
        });
        let connection = server.serve_connection(TokioIo::new(stream), service).into_owned();
        // The server's own timeout begins when it knows the protocol version; who never says so would stay for ever.
        let silent = async {
            tokio::time::sleep(options.header_timeout).await;
            if has_spoken.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            // Clients that vanish or talk nonsense end here; there is nobody to tell.
            _ = watcher.watch(connection) => {}
            () = silent => {}
        }
    }
}
