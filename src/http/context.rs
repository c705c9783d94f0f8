//! The context of a request: what is known from its start, and what handlers note for the layers
//! around them.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use tracing::Span;
use uuid::Uuid;

use crate::domain::randomness::Randomness;
use crate::domain::tenant::Tenant;
use crate::domain::upload::{RequestSource, TraceId};
use crate::rate_limit::Quota;
use crate::telemetry::correlation::{Correlation, Identified};
use crate::telemetry::trace::{BegunTrace, Tracing};

use super::span::request_span;

pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The prefix of an API key.
const API_KEY: &str = crate::auth::api_key::PREFIX;
const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// Maximum length of a request id that is accepted from a client.
const MAX_REQUEST_ID: usize = 64;

/// The peer's address; the listener adds it to each request.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// Details of one request, shared by its layers and its handler.
#[derive(Debug, Clone)]
pub struct RequestContext(Arc<Details>);

#[derive(Debug)]
struct Details {
    request_id: HeaderValue,
    /// Where its trace is kept.
    trace: Option<Correlation>,
    client_address: IpAddr,
    quota: Mutex<Option<Quota>>,
    tenant: OnceLock<Arc<Tenant>>,
    route: OnceLock<Cow<'static, str>>,
    refusal: OnceLock<&'static str>,
}

impl RequestContext {
    /// Determines the client's address and starts the trace, if the request is sampled.
    pub(super) fn begin(request: &Request, peer: IpAddr, trusted_proxies: &[IpNet], tracing: &Tracing) -> (Self, Span) {
        let headers = request.headers();
        let client_address = client_address(headers, peer, trusted_proxies);
        let (trace, span) = match tracing.of_request(headers, client_address) {
            Some(beginning) => {
                let span = request_span(request, client_address);
                (beginning.with(&span), span)
            }
            None => (None, Span::none()),
        };
        let request_id = request_id(headers, trace.as_ref());
        let facts = Details {
            request_id,
            trace: trace.map(|trace| trace.ids),
            client_address,
            quota: Mutex::new(None),
            tenant: OnceLock::new(),
            route: OnceLock::new(),
            refusal: OnceLock::new(),
        };
        (Self(Arc::new(facts)), span)
    }

    /// The request's id in log lines.
    pub(super) fn identified(&self) -> Arc<dyn Identified> {
        Arc::<Details>::clone(&self.0)
    }

    /// The request source that is recorded with an upload.
    pub(super) fn source(&self) -> RequestSource {
        let trace_id = self.0.trace.map(|trace| TraceId(trace.trace_id.to_bytes()));
        RequestSource { client_address: self.0.client_address, trace_id }
    }

    /// The context of a request; `None` only without the layers.
    pub(super) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    pub(super) fn request_id(&self) -> &HeaderValue {
        &self.0.request_id
    }

    pub(super) fn request_id_text(&self) -> &str {
        self.0.request_id()
    }

    pub(super) fn client_address(&self) -> IpAddr {
        self.0.client_address
    }

    /// Notes the rest of the tenant's limit for the `RateLimit` fields; the last call wins.
    pub(super) fn note_quota(&self, quota: Quota) {
        *self.0.quota.lock().unwrap_or_else(PoisonError::into_inner) = Some(quota);
    }

    pub(super) fn quota(&self) -> Option<Quota> {
        *self.0.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the matched route, for the log.
    pub(super) fn note_route(&self, pattern: impl Into<Cow<'static, str>>) {
        let _ = self.0.route.set(pattern.into());
    }

    pub(super) fn route(&self) -> Option<&Cow<'static, str>> {
        self.0.route.get()
    }

    /// Notes why authentication failed, for the log.
    pub(super) fn note_refusal(&self, refusal: &'static str) {
        let _ = self.0.refusal.set(refusal);
    }

    pub(super) fn refusal(&self) -> Option<&'static str> {
        self.0.refusal.get().copied()
    }

    /// Notes the tenant, for the log.
    pub(super) fn note_tenant(&self, tenant: &Arc<Tenant>) {
        let _ = self.0.tenant.set(Arc::clone(tenant));
    }

    pub(super) fn tenant(&self) -> Option<&str> {
        self.0.tenant.get().map(|tenant| tenant.slug.as_str())
    }
}

impl Identified for Details {
    fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    fn trace(&self) -> Option<Correlation> {
        self.trace
    }
}

/// The client's id if it is short and harmless, otherwise the id of the trace that starts here,
/// otherwise a new one.
fn request_id(headers: &HeaderMap, trace: Option<&BegunTrace>) -> HeaderValue {
    let harmless = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=MAX_REQUEST_ID).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
            // An API key in the wrong place would be in every log.
            && !bytes.windows(API_KEY.len()).any(|part| part == API_KEY.as_bytes())
    };
    headers.get(X_REQUEST_ID).filter(harmless).cloned().unwrap_or_else(|| {
        let of_trace = trace.filter(|trace| trace.is_new).map(|trace| trace.ids.trace_id.to_bytes());
        let id = of_trace.unwrap_or_else(|| Randomness::System.bytes());
        HeaderValue::try_from(Uuid::from_bytes(id).simple().to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    })
}

/// The client's address in front of trusted proxies: the last one in `X-Forwarded-For` that is not
/// a trusted proxy. A client can forge everything before it.
fn client_address(headers: &HeaderMap, peer: IpAddr, trusted_proxies: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted_proxies.iter().any(|network| network.contains(&address));
    let mut client = peer.to_canonical();
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev().filter_map(|line| line.to_str().ok());
    let mut hops = lines.flat_map(|line| line.rsplit(',')).map(|hop| hop.trim().parse::<IpAddr>());
    while is_trusted(client) {
        let Some(Ok(hop)) = hops.next() else { break };
        client = hop.to_canonical();
    }
    client
}
