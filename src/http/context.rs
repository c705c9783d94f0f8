//! What is known of a request from its first moment on, and what layers must learn of it later.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use uuid::Uuid;

use crate::domain::tenant::Tenant;
use crate::limit::Quota;

pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// The longest request id that is taken from a client.
const LONGEST_REQUEST_ID: usize = 64;

/// The address at the other end of the connection; the listener puts it into each request.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// Facts of one request, shared by its layers and its handler.
#[derive(Debug, Clone)]
pub struct RequestContext(Arc<Facts>);

#[derive(Debug)]
struct Facts {
    request_id: HeaderValue,
    client_address: IpAddr,
    quota: Mutex<Option<Quota>>,
    tenant: OnceLock<Arc<Tenant>>,
    route: OnceLock<Cow<'static, str>>,
}

impl RequestContext {
    pub(super) fn new(headers: &HeaderMap, peer: IpAddr, trusted_proxies: &[IpNet]) -> Self {
        Self(Arc::new(Facts {
            request_id: request_id(headers),
            client_address: client_address(headers, peer, trusted_proxies),
            quota: Mutex::new(None),
            tenant: OnceLock::new(),
            route: OnceLock::new(),
        }))
    }

    /// The context of a request that came through the layers; `None` only where they are missing.
    pub(super) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    pub(super) fn request_id(&self) -> &HeaderValue {
        &self.0.request_id
    }

    pub(super) fn request_id_text(&self) -> &str {
        self.0.request_id.to_str().unwrap_or_default()
    }

    pub(super) fn client_address(&self) -> IpAddr {
        self.0.client_address
    }

    /// Notes what is left of the tenant's limit, for the answer's `RateLimit` fields; the last word counts.
    pub(super) fn note_quota(&self, quota: Quota) {
        *self.0.quota.lock().unwrap_or_else(PoisonError::into_inner) = Some(quota);
    }

    pub(super) fn quota(&self) -> Option<Quota> {
        *self.0.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the route's pattern, for the log.
    pub(super) fn note_route(&self, pattern: impl Into<Cow<'static, str>>) {
        let _ = self.0.route.set(pattern.into());
    }

    pub(super) fn route(&self) -> Option<&str> {
        self.0.route.get().map(AsRef::as_ref)
    }

    /// Notes the tenant, for the log.
    pub(super) fn note_tenant(&self, tenant: &Arc<Tenant>) {
        let _ = self.0.tenant.set(Arc::clone(tenant));
    }

    pub(super) fn tenant(&self) -> Option<&str> {
        self.0.tenant.get().map(|tenant| tenant.slug.as_str())
    }
}

/// The client's own id where it is short and harmless, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let harmless = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=LONGEST_REQUEST_ID).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
    };
    headers.get(X_REQUEST_ID).filter(harmless).cloned().unwrap_or_else(|| {
        let id = Uuid::from_bytes(crate::domain::randomness::Randomness::System.bytes());
        HeaderValue::try_from(id.simple().to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    })
}

/// The address of whoever is in front of the proxies that we trust: the last one in `X-Forwarded-For` that is none of them.
/// Anything before that may have been invented by the client.
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
