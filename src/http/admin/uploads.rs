//! `/admin/v1/uploads`: uploads of every tenant, read-only.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::domain::ids::UploadId;
use crate::domain::search::Search;
use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::error::reason::Reason;
use crate::http::export;
use crate::http::extract::path::Path;
use crate::http::search::SearchQuery;
use crate::http::state::SharedGateway;
use crate::uploads::view::UploadView;

use super::{PageView, tenant_term};
use crate::http::extract::operator::Operator;

/// Whose uploads, and which page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AdminUploadQuery {
    /// Only uploads of this tenant (its slug).
    tenant: Option<String>,
    /// The `next_cursor` of an earlier page, with the same filters and order.
    cursor: Option<String>,
    /// Rows, 1 to 500; default 100.
    #[serde(default, deserialize_with = "crate::http::extract::number::limit")]
    limit: Option<u16>,
}

/// Whose uploads, and how they are exported.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AdminExportQuery {
    /// Only uploads of this tenant (its slug).
    tenant: Option<String>,
    /// `csv` or `ndjson`.
    #[param(required, value_type = String)]
    format: Option<String>,
}

/// List uploads of all tenants.
///
/// A page looks at so many uploads at most, and may be short, or empty: there is more as long as there is a `next_cursor`.
/// The page of a cursor is the same whenever it is asked for, but for uploads that are being committed just now, or have their
/// time from a clock that is behind: for some seconds (the commit timeout, and what the instances' clocks differ by) such a one
/// can still appear in an earlier page.
#[utoipa::path(get, path = "/admin/v1/uploads", tag = "uploads", operation_id = "list_uploads", params(SearchQuery<AdminUploadQuery>),
    responses((status = 200, description = "A page of uploads", body = SuccessBody<PageView<UploadView>>)))]
pub(super) async fn list(
    State(gateway): State<SharedGateway>,
    Operator(_): Operator,
    query: SearchQuery<AdminUploadQuery>,
) -> Result<Success<PageView<UploadView>>, ApiError> {
    let SearchQuery { own, filter, order } = query;
    let search = Search::new(filter, order, own.cursor.as_deref(), own.limit)?;
    let tenant = tenant_term(own.tenant.as_deref())?;
    Ok(Success(gateway.uploads.reader.list_any_tenant(tenant.as_ref(), &search).await?.view().into()))
}

/// Show any tenant's upload.
///
/// The answer is what is on record: the gateway does not look into the bucket, and never shows a
/// URL.
#[utoipa::path(get, path = "/admin/v1/uploads/{id}", tag = "uploads", operation_id = "get_upload",
    params(("id" = Uuid, Path, description = "The upload's id")),
    responses((status = 200, description = "The upload", body = SuccessBody<UploadView>)))]
pub(super) async fn show(
    State(gateway): State<SharedGateway>,
    Operator(_): Operator,
    Path(id): Path<String>,
) -> Result<Success<UploadView>, ApiError> {
    let id = Uuid::try_parse(&id).map_err(|_| ApiError::with_detail(Reason::ResourceNotFound, "upload"))?;
    let upload = gateway.uploads.reader.show_any_tenant(UploadId::from(id)).await?;
    Ok(Success(UploadView::from(&upload)))
}

/// Export uploads of all tenants.
///
/// Everything that matches and was on record when the export began; of what is committed while it goes on, some may be there
/// and some not. `from` and `to` that are some seconds past (the commit timeout, and what the instances' clocks differ by) give
/// the same each time. The last line says whether it is whole: in NDJSON
/// `{"end":true,"rows":2,"whole":true}`, in CSV `# whole: 2 rows`. Where a failure came between, it is
/// `{"end":true,"rows":2,"whole":false,"reason":"unavailable"}` or `# NOT whole: 2 rows, unavailable` (`timed_out`, where it took longer than the gateway allows); where there is no such
/// line at all, the connection was cut. A cell of CSV that a spreadsheet would take for a formula has an apostrophe before it.
#[utoipa::path(get, path = "/admin/v1/uploads/export", tag = "uploads", operation_id = "export_uploads", params(SearchQuery<AdminExportQuery>),
    responses((status = 200, description = "The uploads, a line each", content((String = "text/csv"), (String = "application/x-ndjson")))))]
pub(super) async fn export(
    State(gateway): State<SharedGateway>,
    Operator(_): Operator,
    query: SearchQuery<AdminExportQuery>,
) -> Result<Response, ApiError> {
    let SearchQuery { own, filter, order } = query;
    let search = Search::new(filter, order, None, None)?;
    let format = export::format(own.format.as_deref())?;
    let tenant = tenant_term(own.tenant.as_deref())?;
    let export = gateway.uploads.exporter.export_any_tenant(tenant.as_ref(), search, format).await?;
    export::stream(export, gateway.edge.export_timeout).await
}
