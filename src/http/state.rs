//! The state that handlers and layers share: the use cases, and the settings that apply before a
//! handler runs.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::admin::Admin;
use crate::auth::Auth;
use crate::config::Config;
use crate::crypto::keyring::Keyring;
use crate::domain::egress::AllowedHosts;
use crate::domain::language::Language;
use crate::domain::tenant::Slug;
use crate::jobs::invalidation::Listening;
use crate::jobs::sweeper::Sweeper;
use crate::rate_limit::Limits;
use crate::readiness::Readiness;
use crate::telemetry::metrics::auth::AuthMetrics;
use crate::telemetry::metrics::http::HttpMetrics;
use crate::telemetry::{LineBudget, Signals};
use crate::uploads::Uploads;

/// The use cases behind the routes, and the settings of the edge.
pub struct Gateway {
    pub auth: Arc<Auth>,
    pub limits: Limits,
    pub uploads: Uploads,
    pub sweeper: Arc<Sweeper>,
    /// In nobody's name yet.
    pub tenants: Admin,
    pub keyring: Arc<Keyring>,
    pub readiness: Readiness,
    pub listening: Arc<Listening>,
    pub edge: Edge,
    pub telemetry: HttpTelemetry,
}

/// The telemetry of requests.
pub struct HttpTelemetry {
    pub signals: Signals,
    pub(super) http: HttpMetrics,
    pub(super) auth: AuthMetrics,
    /// The budget of request log lines.
    pub(super) lines: LineBudget,
}

impl HttpTelemetry {
    /// Maximum request log lines a second, for successes and for client errors each.
    #[must_use]
    pub fn new(signals: Signals, lines_per_second: u64) -> Self {
        let metrics = &signals.metrics;
        let (http, auth) = (metrics.http(), metrics.auth());
        Self { http, auth, lines: LineBudget::new(lines_per_second, metrics.log()), signals }
    }
}

/// Settings that apply before a request reaches a use case.
#[derive(Debug, Clone)]
pub struct Edge {
    pub anonymous_tenant: Option<Slug>,
    pub trusted_proxies: Vec<IpNet>,
    pub cors_origins: Vec<String>,
    /// The default language of error texts outside `/oss/`.
    pub default_language: Language,
    pub request_timeout: Duration,
    /// How long an export may take, instead of the request timeout.
    pub export_timeout: Duration,
    pub max_query_bytes: usize,
    pub max_body_bytes: usize,
    /// Hosts that a bucket's endpoint may use although they are not public.
    pub allowed_hosts: AllowedHosts,
}

impl From<&Config> for Edge {
    fn from(config: &Config) -> Self {
        let server = &config.server;
        Self {
            anonymous_tenant: config.oss.anonymous_tenant.clone(),
            trusted_proxies: server.trusted_proxies.clone(),
            cors_origins: server.cors_origins.clone(),
            default_language: server.default_language,
            request_timeout: server.request_timeout_seconds.as_seconds(),
            export_timeout: config.uploads.export_timeout_seconds.as_seconds(),
            max_query_bytes: server.max_query_bytes.count(),
            max_body_bytes: server.max_body_bytes.count(),
            allowed_hosts: config.outbound.allowed_hosts.clone(),
        }
    }
}

/// The state of every handler.
pub(super) type SharedGateway = Arc<Gateway>;
