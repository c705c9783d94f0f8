//! An OTLP receiver: gRPC and HTTP on one port, which keeps what it is sent, and fails when it is told to.

mod kept;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub use kept::{Attributes, Kept, Link, LogRecord, Span};

use super::{canary, eventually, within};

/// As large as what an exporter holds back while it waits.
const LARGEST: usize = 64 << 20;

/// How it treats what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treat {
    Keep,
    /// Never answers, until it is told to do something else; what somebody still waits for is kept then.
    Freeze,
    /// Keeps it, and answers after this time.
    Slow(Duration),
    /// UNAVAILABLE, or 503.
    Refuse,
}

/// The receiver. Its port is its own as long as it lives, even while it is closed.
pub struct Collector {
    pub address: SocketAddr,
    inner: Arc<Inner>,
    /// Bound, and never listening: nobody else gets the port.
    _claim: TcpSocket,
    serving: Mutex<Option<JoinHandle<()>>>,
}

struct Inner {
    treat: watch::Sender<Treat>,
    kept: Mutex<Kept>,
}

impl Collector {
    pub fn start() -> Self {
        let collector = Self::closed();
        collector.open();
        collector
    }

    /// One that nobody can reach yet.
    pub fn closed() -> Self {
        let claim = reusable();
        claim.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = claim.local_addr().unwrap();
        let (treat, _) = watch::channel(Treat::Keep);
        let inner = Arc::new(Inner { treat, kept: Mutex::default() });
        Self { address, inner, _claim: claim, serving: Mutex::new(None) }
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`, whatever the protocol.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Listens, from now on.
    pub fn open(&self) {
        let socket = reusable();
        socket.bind(self.address).unwrap();
        let listener = socket.listen(64).unwrap();
        let router = router(&self.inner);
        let serving = tokio::spawn(async move {
            // Dropped together with this task, and all connections with it.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(router.clone());
                connections.spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    drop(builder.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        *self.serving.lock().unwrap() = Some(serving);
    }

    /// Closes the port and every connection.
    pub async fn close(&self) {
        let serving = self.serving.lock().unwrap().take();
        if let Some(serving) = serving {
            serving.abort();
            drop(serving.await);
        }
    }

    pub fn set(&self, treat: Treat) {
        self.inner.treat.send_replace(treat);
    }

    /// What was received so far.
    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something that was looked for has arrived.
    pub async fn find<T>(&self, what: &str, find: impl Fn(&Kept) -> Option<T>) -> T {
        eventually(what, async || find(&self.kept())).await
    }

    /// The same, for so long.
    pub async fn find_within<T>(&self, time: Duration, what: &str, find: impl Fn(&Kept) -> Option<T>) -> T {
        within(time, what, async || find(&self.kept())).await
    }

    /// Waits for a root, or a span whose parent is elsewhere, and all that is below it: `count` spans in all.
    pub async fn trace(&self, trace_id: &str, count: usize) -> Vec<Span> {
        let whole = |kept: &Kept| Some(kept.trace(trace_id)).filter(|spans| spans.len() >= count);
        self.find(&format!("{count} spans of {trace_id}"), whole).await
    }

    /// Waits for the server span of a request.
    pub async fn server_span(&self, request_id: &str) -> Span {
        self.find(&format!("the span of request {request_id}"), |kept| kept.server_span(request_id)).await
    }

    /// Waits until metrics that were collected from now on have arrived, so many times.
    pub async fn metrics_again(&self, times: usize) {
        let before = self.kept().metric_exports;
        // One may be under way.
        let again = |kept: &Kept| (kept.metric_exports > before + times).then_some(());
        self.find_within(Duration::from_secs(20), "metrics again", again).await;
    }

    /// What of all that was received must not be known outside.
    pub fn secret(&self) -> Option<String> {
        self.kept().raw.iter().find_map(|bytes| canary::find(&String::from_utf8_lossy(bytes)))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take() {
            serving.abort();
        }
    }
}

fn reusable() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket
}

fn router(inner: &Arc<Inner>) -> Router {
    let service = Grpc(Arc::clone(inner));
    let grpc = tonic::service::Routes::new(TraceServiceServer::new(service.clone()).max_decoding_message_size(LARGEST))
        .add_service(MetricsServiceServer::new(service.clone()).max_decoding_message_size(LARGEST))
        .add_service(LogsServiceServer::new(service).max_decoding_message_size(LARGEST));
    let http = Router::new()
        .route("/v1/traces", post(over_http::<ExportTraceServiceRequest>))
        .route("/v1/metrics", post(over_http::<ExportMetricsServiceRequest>))
        .route("/v1/logs", post(over_http::<ExportLogsServiceRequest>))
        .layer(axum::extract::DefaultBodyLimit::max(LARGEST))
        .with_state(Arc::clone(inner));
    grpc.prepare().into_axum_router().merge(http)
}

/// What can be sent.
trait Export: Message + Default + 'static {
    fn keep(self, kept: &mut Kept);
}

impl Export for ExportTraceServiceRequest {
    fn keep(self, kept: &mut Kept) {
        kept.spans(self.resource_spans);
    }
}

impl Export for ExportMetricsServiceRequest {
    fn keep(self, kept: &mut Kept) {
        kept.metrics(self.resource_metrics);
    }
}

impl Export for ExportLogsServiceRequest {
    fn keep(self, kept: &mut Kept) {
        kept.logs(self.resource_logs);
    }
}

/// What is refused.
struct Refused;

impl Inner {
    async fn receive(&self, export: impl Export, protocol: &'static str, headers: HeaderMap) -> Result<(), Refused> {
        let mut orders = self.treat.subscribe();
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).attempts += 1;
        let treat = orders.wait_for(|treat| *treat != Treat::Freeze).await.map_or(Treat::Refuse, |treat| *treat);
        if treat == Treat::Refuse {
            return Err(Refused);
        }
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.raw.push(export.encode_to_vec());
            kept.note_headers(protocol, &headers);
            export.keep(&mut kept);
        }
        if let Treat::Slow(time) = treat {
            tokio::time::sleep(time).await;
        }
        Ok(())
    }
}

#[derive(Clone)]
struct Grpc(Arc<Inner>);

impl Grpc {
    async fn receive<E: Export, A: Default>(
        &self,
        request: tonic::Request<E>,
    ) -> Result<tonic::Response<A>, tonic::Status> {
        let (metadata, _, export) = request.into_parts();
        match self.0.receive(export, "grpc", metadata.into_headers()).await {
            Ok(()) => Ok(tonic::Response::new(A::default())),
            Err(Refused) => Err(tonic::Status::unavailable("told to refuse")),
        }
    }
}

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        self.receive(request).await
    }
}

#[tonic::async_trait]
impl MetricsService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        self.receive(request).await
    }
}

#[tonic::async_trait]
impl LogsService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, tonic::Status> {
        self.receive(request).await
    }
}

async fn over_http<E: Export>(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(export) = E::decode(body) else { return StatusCode::BAD_REQUEST.into_response() };
    match inner.receive(export, "http", headers).await {
        // An empty message is an answer without anything in it.
        Ok(()) => ([(header::CONTENT_TYPE, "application/x-protobuf")], Bytes::new()).into_response(),
        Err(Refused) => (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response(),
    }
}
