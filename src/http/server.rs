//! Accepts connections, limits their number and their idle time, and drains them on shutdown.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::config::server::ServerConfig;
use crate::telemetry::metrics::http::ConnectionMetrics;

use crate::http::HttpService;
use crate::http::context::PeerAddress;

use self::idle_timeout::{Activity, WatchedStream};

mod idle_timeout;

/// Limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct ServerOptions {
    pub max_connections: usize,
    /// How long a client may take to send a request's head, how long a connection may be idle
    /// between requests, and how long a client may read nothing of a response. A connection is
    /// checked four times in that time, so it may live a quarter longer.
    pub header_timeout: Duration,
    /// Maximum length of a request's head with the request line; at least 8 KiB.
    pub max_header_bytes: usize,
    /// How long requests in progress may take after shutdown has begun.
    pub drain_timeout: Duration,
}

impl From<&ServerConfig> for ServerOptions {
    /// The limits of the public listener.
    fn from(config: &ServerConfig) -> Self {
        Self {
            max_connections: config.max_connections.count(),
            header_timeout: config.header_timeout_seconds.as_seconds(),
            max_header_bytes: config.max_header_bytes.count(),
            drain_timeout: config.shutdown_timeout_seconds.as_seconds(),
        }
    }
}

/// Requests of one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 256;
/// How long to wait before accepting again if the machine has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often that is logged.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Serves until `shutdown` completes, then finishes the requests in progress.
pub async fn serve(
    listener: TcpListener,
    service: impl HttpService,
    options: ServerOptions,
    metrics: ConnectionMetrics,
    shutdown: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(options.max_connections));
    let graceful = GracefulShutdown::new();
    let server = Arc::new(builder(options));
    let mut shutdown = std::pin::pin!(shutdown);
    let mut told_at: Option<Instant> = None;
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accept => accepted,
            () = &mut shutdown => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if told_at.is_none_or(|at| at.elapsed() > LOG_INTERVAL) {
                    told_at = Some(Instant::now());
                    tracing::warn!(cause = %error, "accepting connections failed: the open-file limit (ulimit -n) may be too low");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = Connection { server: Arc::clone(&server), service: service.clone(), peer, options };
        let watcher = graceful.watcher();
        let open = metrics.opened();
        tokio::spawn(async move {
            connection.run(stream, watcher).await;
            drop((place, open));
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(options.drain_timeout, graceful.shutdown()).await;
}

fn builder(options: ServerOptions) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Its own timeout for heads would set and clear a timer for each request; `Activity` covers them, too.
    builder.http1().header_read_timeout(None).max_buf_size(options.max_header_bytes);
    let max_header_bytes = u32::try_from(options.max_header_bytes).unwrap_or(u32::MAX);
    builder.http2().max_concurrent_streams(MAX_STREAMS).max_header_list_size(max_header_bytes);
    builder
}

struct Connection<S> {
    server: Arc<Builder<TokioExecutor>>,
    service: S,
    peer: SocketAddr,
    options: ServerOptions,
}

impl<S: HttpService> Connection<S> {
    async fn run(self, stream: TcpStream, watcher: Watcher) {
        // Answers are small and whole: waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let Self { server, service, peer, options } = self;
        let activity = Arc::new(Activity::default());
        let connection_activity = Arc::clone(&activity);
        let answering = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddress(peer));
            let under_way = connection_activity.begin();
            let answer = service.clone().oneshot(request.map(Body::new));
            async move { answer.await.map(|answer| answer.map(|body| under_way.until_sent(body))) }
        });
        let stream = TokioIo::new(WatchedStream::new(stream, Arc::clone(&activity)));
        let connection = server.serve_connection(stream, answering).into_owned();
        tokio::select! {
            // Clients that vanish or talk nonsense end here; there is nobody to tell.
            _ = watcher.watch(connection) => {}
            () = activity.ceases(options.header_timeout) => {}
        }
    }
}
