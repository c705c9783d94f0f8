//! Every route and every layer, in order: the table of contents.
//!
//! Handlers parse and shape; they decide nothing, and they never see the store.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use ipnet::IpNet;
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::auth::Auth;
use crate::domain::tenant::Slug;
use crate::health::Health;
use crate::limit::Limits;
use crate::uploads::Uploads;

pub mod context;
pub mod envelope;
mod extract;
mod guard;
mod language;
pub mod listener;
mod ops;
mod oss;
mod request_log;

/// The use cases behind the routes, and what the edge needs to know.
pub struct Gateway {
    pub auth: Auth,
    pub limits: Limits,
    pub uploads: Uploads,
    pub health: Health,
    pub edge: Edge,
}

/// What is decided before a request reaches a use case.
#[derive(Debug, Clone)]
pub struct Edge {
    pub anonymous_tenant: Option<Slug>,
    pub trusted_proxies: Vec<IpNet>,
    pub cors_origins: Vec<String>,
    pub request_timeout: Duration,
    pub max_query_bytes: usize,
    pub max_body_bytes: usize,
}

/// The public listener's routes.
pub fn public_router(gateway: &Arc<Gateway>) -> Router {
    let routes = Router::new()
        // HEAD would be answered like GET, and so issue an upload that nobody sees.
        .route("/oss/presign", get(oss::presign).head(guard::method_not_allowed))
        .route("/livez", get(ops::livez));
    layered(routes, gateway)
}

/// The operators' routes; never to be exposed.
pub fn ops_router(gateway: &Arc<Gateway>) -> Router {
    let routes = Router::new().route("/livez", get(ops::livez)).route("/readyz", get(ops::readyz));
    layered(routes, gateway)
}

/// The layers; the last one named meets a request first.
fn layered(routes: Router<Arc<Gateway>>, gateway: &Arc<Gateway>) -> Router {
    routes
        .fallback(guard::not_found)
        .method_not_allowed_fallback(guard::method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(gateway), guard::sizes))
        .layer(CatchPanicLayer::custom(guard::panicked))
        .layer(from_fn_with_state(Arc::clone(gateway), guard::timeout))
        .layer(from_fn(envelope::write_errors))
        .layer(option_layer(cors(&gateway.edge.cors_origins)))
        .layer(from_fn_with_state(Arc::clone(gateway), request_log::observe))
        .with_state(Arc::clone(gateway))
}

/// Which web pages may call; none, where no origin is named.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let listed: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let allowed =
        if origins.iter().any(|origin| origin == "*") { AllowOrigin::from(Any) } else { AllowOrigin::list(listed) };
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([axum::http::Method::GET])
        .allow_headers([header::AUTHORIZATION, header::ACCEPT_LANGUAGE, extract::X_API_KEY])
        .expose_headers([header::RETRY_AFTER, envelope::RATELIMIT, envelope::RATELIMIT_POLICY, context::X_REQUEST_ID])
        .max_age(Duration::from_hours(1));
    Some(layer)
}
