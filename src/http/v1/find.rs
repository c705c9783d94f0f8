//! `GET /v1/uploads` and its export: the uploads of the caller's tenant.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::domain::search::Search;
use crate::http::admin::PageView;
use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::export;
use crate::http::extract::caller::Admit;
use crate::http::search::SearchQuery;
use crate::http::state::SharedGateway;
use crate::uploads::view::UploadView;

/// Which page of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct UploadQuery {
    /// The `next_cursor` of an earlier page, with the same filters and order.
    cursor: Option<String>,
    /// Rows, 1 to 500; default 100.
    #[serde(default, deserialize_with = "crate::http::extract::number::limit")]
    limit: Option<u16>,
}

/// How uploads are exported.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportQuery {
    /// `csv` or `ndjson`.
    #[param(required, value_type = String)]
    format: Option<String>,
}

impl SearchQuery<UploadQuery> {
    pub(in crate::http) fn search(self) -> Result<Search, ApiError> {
        let Self { own, filter, order } = self;
        Ok(Search::new(filter, order, own.cursor.as_deref(), own.limit)?)
    }
}

/// List uploads of this app.
///
/// A page examines a limited number of uploads, so it may be short or empty: there are more as long as
/// there is a `next_cursor`. The same cursor returns the same page, except for uploads that were being
/// committed or that come from an instance whose clock is behind: for some seconds (the commit timeout
/// plus the clocks' difference) they can still appear in an earlier page.
#[utoipa::path(get, path = "/v1/uploads", tag = "uploads", operation_id = "list_uploads", params(SearchQuery<UploadQuery>), security(("bearer" = [])),
    responses((status = 200, description = "A page of uploads", body = SuccessBody<PageView<UploadView>>)))]
pub(super) async fn list(
    State(gateway): State<SharedGateway>,
    Admit(admitted): Admit,
    query: SearchQuery<UploadQuery>,
) -> Result<Success<PageView<UploadView>>, ApiError> {
    let search = query.search()?;
    Ok(Success(gateway.uploads.reader.list(&admitted, &search).await?.view().into()))
}

/// Export uploads of this app.
///
/// The export has every matching upload that was recorded before it began, and may have some that are
/// committed meanwhile. If `from` and `to` are some seconds past (the commit timeout plus the
/// instances' clock difference), each export has the same rows. The last line says whether it is whole:
/// in NDJSON `{"end":true,"rows":2,"whole":true}`, in CSV `# whole: 2 rows`. After a failure it is
/// `{"end":true,"rows":2,"whole":false,"reason":"unavailable"}` or `# NOT whole: 2 rows, unavailable`
/// (`timed_out` if it took longer than the gateway allows). Without such a line the connection was cut.
/// A CSV cell that a spreadsheet would read as a formula starts with an apostrophe.
#[utoipa::path(get, path = "/v1/uploads/export", tag = "uploads", operation_id = "export_uploads", params(SearchQuery<ExportQuery>), security(("bearer" = [])),
    responses((status = 200, description = "The uploads, a line each", content((String = "text/csv"), (String = "application/x-ndjson")))))]
pub(super) async fn export(
    State(gateway): State<SharedGateway>,
    Admit(admitted): Admit,
    query: SearchQuery<ExportQuery>,
) -> Result<Response, ApiError> {
    let SearchQuery { own, filter, order } = query;
    let search = Search::new(filter, order, None, None)?;
    let format = export::format(own.format.as_deref())?;
    let export = gateway.uploads.exporter.export(&admitted, search, format).await?;
    export::stream(export, gateway.edge.export_timeout).await
}
