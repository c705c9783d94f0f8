//! `/v1/usage`.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::domain::usage::{UsageBy, UsageRange};
use crate::error::ApiError;
use crate::http::SharedGateway;
use crate::http::body::Query;
use crate::http::envelope::{Success, SuccessBody};
use crate::http::extract::Admit;
use crate::uploads::usage::UsageView;

/// Which uploads are counted, and what is told apart.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsageQuery {
    /// Uploads that were issued from this moment on, a whole hour in UTC; left out, 30 days before `to`.
    from: Option<DateTime<Utc>>,
    /// Before this moment, a whole hour in UTC, at most 400 days after `from`; left out, the end of the current hour.
    to: Option<DateTime<Utc>>,
    /// `day`, `type`, `state`, `ext` or `api_key`; left out, only the total is told.
    by: Option<String>,
}

/// Count uploads and their bytes, by day, type, state, extension or API key
///
/// Exact at any moment. An upload counts in the hour of its issue, with the state that it has now.
#[utoipa::path(get, path = "/v1/usage", tag = "uploads", operation_id = "get_usage", security(("bearer" = [])), params(UsageQuery),
    responses((status = 200, description = "How much was issued", body = SuccessBody<UsageView>)))]
pub(super) async fn show(
    State(gateway): State<SharedGateway>,
    Admit(admitted): Admit,
    Query(query): Query<UsageQuery>,
) -> Result<Success<UsageView>, ApiError> {
    let UsageQuery { from, to, by } = query;
    let by = by.map(|by| UsageBy::parse(&by, &UsageBy::OF_TENANT)).transpose()?;
    let range = UsageRange::new(from, to, gateway.uploads.clock.now())?;
    let usage = gateway.uploads.usage(&admitted, range, by).await?;
    Ok(Success(UsageView::from(&usage)))
}
