//! `/v1`: what apps do beside `/oss/presign`: bind uploads, follow them, find them.

use axum::http::HeaderName;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::SharedGateway;

mod complete;
mod delete;
mod download;
mod uploads;

/// A request that is sent again under the same one gets what it got the first time
/// (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>).
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Every route of apps.
pub(super) fn routes() -> OpenApiRouter<SharedGateway> {
    OpenApiRouter::new()
        .routes(routes!(uploads::show, delete::delete))
        .routes(routes!(complete::complete))
        .routes(routes!(download::download))
}
