//! Accepts connections, with a limit on how many and on how long a client may take to speak; drains on shutdown.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::context::PeerAddress;

/// Limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct ListenerOptions {
    pub max_connections: usize,
    pub header_timeout: Duration,
    /// How long requests under way may take once shutdown has begun.
    pub drain_timeout: Duration,
}

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
        let watcher = graceful.watcher();
        let (server, router) = (Arc::clone(&server), router.clone());
        tokio::spawn(async move {
            let connection = server.serve_connection(TokioIo::new(without_delay(stream)), service(router, peer));
            // Clients that vanish or talk nonsense end here; there is nobody to tell.
            let _ = watcher.watch(connection.into_owned()).await;
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(options.drain_timeout, graceful.shutdown()).await;
}

fn builder(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(256);
    builder
}

fn without_delay(stream: TcpStream) -> TcpStream {
    // Answers are small and whole: waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    stream
}

fn service(
    router: Router,
    peer: SocketAddr,
) -> impl hyper::service::Service<
    hyper::Request<Incoming>,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future: Send,
> {
    hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(PeerAddress(peer));
        router.clone().oneshot(request)
    })
}
