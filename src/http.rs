//! Every route and every layer, in order: the table of contents.
//!
//! Handlers parse requests and shape responses. They decide nothing and never see the store.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{HeaderValue, Method, header};
use axum::middleware::map_request;
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use futures_util::FutureExt;
use futures_util::future::Either;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::middleware::request_log::FastRoute;
use self::middleware::{limits, request_log};
use self::state::SharedGateway;

mod admin;
pub(crate) mod context;
pub mod envelope;
pub mod error;
mod export;
mod extract;
pub mod fuzz;
mod middleware;
pub mod openapi;
mod ops;
mod oss;
mod search;
pub(crate) mod server;
mod span;
pub mod state;
mod time;
mod v1;

/// Answers every request.
pub trait HttpService:
    Service<Request, Response = Response, Error = Infallible, Future: Send + 'static> + Clone + Send + 'static
{
}

impl<S> HttpService for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static> + Clone + Send + 'static
{
}

/// Operators' requests may take this long, because the doctor waits for a bucket several times.
const OPS_REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// HEAD must not be handled like GET, because it would issue an upload that nobody sees. The others
/// would be reported as allowed.
const NOT_GET: MethodFilter = MethodFilter::HEAD
    .or(MethodFilter::OPTIONS)
    .or(MethodFilter::POST)
    .or(MethodFilter::PUT)
    .or(MethodFilter::PATCH)
    .or(MethodFilter::DELETE);

/// The public listener: its routes, their OpenAPI document, and the page that shows it.
pub fn public_service(gateway: &SharedGateway) -> impl HttpService {
    let routes = Router::from(public_routes())
        .route(oss::PATH, on(NOT_GET, limits::only_get))
        .merge(v1::not_by_head())
        .merge(openapi::page(openapi::PUBLIC_PATH, openapi::public_document()));
    let others = finished(routes, gateway);
    let presigning = Arc::clone(gateway);
    let service = service_fn(move |request: Request| {
        if oss::is_presign(&request) {
            // Most requests are this one. Past the router it costs a tenth less of our own time (`docs/performance.md`).
            Either::Left(oss::presign.call(request, Arc::clone(&presigning)).map(Ok))
        } else {
            Either::Right(others.clone().oneshot(request))
        }
    });
    let cors = cors(&gateway.edge.cors_origins);
    layered(service, gateway, oss::fast_route, gateway.edge.request_timeout, cors)
}

/// The operators' listener, which must not be exposed: its routes, their OpenAPI document, and the
/// page that shows it.
pub fn ops_service(gateway: &SharedGateway) -> impl HttpService {
    let routes = Router::from(ops_routes()).merge(openapi::page(openapi::ADMIN_PATH, openapi::admin_document()));
    layered(finished(routes, gateway), gateway, |_| None, OPS_REQUEST_TIMEOUT, None)
}

fn public_routes() -> OpenApiRouter<SharedGateway> {
    OpenApiRouter::new().routes(routes!(oss::presign)).merge(v1::routes()).routes(routes!(ops::livez))
}

fn ops_routes() -> OpenApiRouter<SharedGateway> {
    admin::routes().routes(routes!(ops::livez)).routes(routes!(ops::readyz)).routes(routes!(ops::metrics))
}

/// The routes, and the response if there is no route.
fn finished(routes: Router<SharedGateway>, gateway: &SharedGateway) -> Router {
    routes
        .method_not_allowed_fallback(limits::method_not_allowed)
        .fallback(limits::not_found)
        .layer(map_request(request_log::note_route))
        .with_state(Arc::clone(gateway))
}

/// The layers; a request meets the first one first.
///
/// They wrap the router instead of being part of it. Inside it, each layer would be boxed and, with
/// all inner layers, cloned for each request (`docs/performance.md` has the cost).
fn layered(
    inner: impl HttpService,
    gateway: &SharedGateway,
    fast_route: FastRoute,
    timeout: Duration,
    cors: Option<CorsLayer>,
) -> impl HttpService {
    let (observed, protected) = (Arc::clone(gateway), Arc::clone(gateway));
    ServiceBuilder::new()
        .layer_fn(move |mut inner| {
            let gateway = Arc::clone(&observed);
            service_fn(move |request| request_log::observe(&gateway, fast_route, &mut inner, request))
        })
        .option_layer(cors)
        .layer_fn(move |mut inner| {
            let gateway = Arc::clone(&protected);
            service_fn(move |request| limits::protect(&gateway.edge, timeout, &mut inner, request))
        })
        .service(inner)
}

/// Origins of web pages that may call the API; `None` if no origin is configured.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let listed: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let allowed =
        if origins.iter().any(|origin| origin == "*") { AllowOrigin::from(Any) } else { AllowOrigin::list(listed) };
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::ACCEPT_LANGUAGE,
            header::CONTENT_TYPE,
            extract::caller::X_API_KEY,
            extract::idempotency_key::IDEMPOTENCY_KEY,
        ])
        .expose_headers([
            header::LOCATION,
            header::CONTENT_DISPOSITION,
            header::RETRY_AFTER,
            envelope::RATELIMIT,
            envelope::RATELIMIT_POLICY,
            context::X_REQUEST_ID,
        ])
        .max_age(Duration::from_hours(1));
    Some(layer)
}
