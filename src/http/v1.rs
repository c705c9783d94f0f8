//! `/v1`: apps' routes beside `/oss/presign`, to issue bound uploads, track them and find them.

use axum::Router;
use axum::routing::{MethodFilter, on};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::middleware::limits;
use super::state::SharedGateway;

mod batch;
mod complete;
mod delete;
mod download;
mod find;
mod issued;
mod request;
mod uploads;
mod usage;

pub(super) use self::batch::BatchCreate;
pub(super) use self::find::UploadQuery;
pub(super) use self::request::UploadCreate;

/// Where HEAD would do as GET does: hand out a URL that nobody sees, or begin an export.
pub(super) fn not_by_head() -> Router<SharedGateway> {
    let refuse = || on(MethodFilter::HEAD, limits::only_get);
    Router::new()
        .route("/v1/uploads/{id}/url", refuse())
        .route("/v1/uploads/{id}/download", refuse())
        .route("/v1/uploads/export", refuse())
}

/// Every route of apps.
pub(super) fn routes() -> OpenApiRouter<SharedGateway> {
    OpenApiRouter::new()
        .routes(routes!(uploads::issue))
        .routes(routes!(batch::issue))
        .routes(routes!(uploads::show, delete::delete))
        .routes(routes!(uploads::renew))
        .routes(routes!(find::list))
        .routes(routes!(find::export))
        .routes(routes!(usage::show))
        .routes(routes!(complete::complete))
        .routes(routes!(download::download))
}
