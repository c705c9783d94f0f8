//! `/admin/v1`: operators' routes, on the operators' listener, with an operator's key.
//!
//! They call the same use cases as the command line. Unknown fields of a body are rejected. `PATCH`
//! changes the fields it names (RFC 7396). Each row has an `ETag`, and `If-Match` rejects the
//! change if the row changed since it was read.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::domain::Invalid;
use crate::domain::page::Page;
use crate::domain::tenant::Slug;

use super::state::SharedGateway;

mod api_keys;
mod audit;
mod buckets;
mod cors;
mod credentials;
mod jwt_issuers;
mod keyring;
mod sweeper;
mod tenants;
mod uploads;
mod usage;

/// Every route of operators.
pub(super) fn routes() -> OpenApiRouter<SharedGateway> {
    OpenApiRouter::new()
        .routes(routes!(tenants::list, tenants::create))
        .routes(routes!(tenants::show, tenants::update))
        .routes(routes!(tenants::suspend))
        .routes(routes!(tenants::resume))
        .routes(routes!(tenants::archive))
        .routes(routes!(buckets::list, buckets::add))
        .routes(routes!(buckets::show, buckets::update))
        .routes(routes!(buckets::set_default))
        .routes(routes!(buckets::archive))
        .routes(routes!(buckets::examine))
        .routes(routes!(cors::show, cors::set))
        .routes(routes!(credentials::rotate))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::show, api_keys::update))
        .routes(routes!(api_keys::rotate))
        .routes(routes!(api_keys::revoke))
        .routes(routes!(jwt_issuers::list, jwt_issuers::add))
        .routes(routes!(jwt_issuers::show, jwt_issuers::update))
        .routes(routes!(jwt_issuers::archive))
        .routes(routes!(jwt_issuers::test))
        .routes(routes!(keyring::status))
        .routes(routes!(keyring::rotate))
        .routes(routes!(audit::list))
        .routes(routes!(uploads::list))
        .routes(routes!(uploads::show))
        .routes(routes!(uploads::export))
        .routes(routes!(usage::show))
        .routes(routes!(sweeper::status))
}

/// The tenant whose slug a field named `tenant` has.
fn tenant_term(slug: Option<&str>) -> Result<Option<Slug>, Invalid> {
    slug.map(Slug::parse).transpose().map_err(|invalid| Invalid { field: "tenant", ..invalid })
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
#[schema(as = Page)]
pub(super) struct PageView<T> {
    items: Vec<T>,
    /// The `cursor` of the next page; null on the last.
    next_cursor: Option<String>,
}

impl<T> From<Page<T>> for PageView<T> {
    fn from(page: Page<T>) -> Self {
        Self { items: page.items, next_cursor: page.next_cursor }
    }
}
