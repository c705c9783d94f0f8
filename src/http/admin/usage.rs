//! `/admin/v1/usage`.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::domain::tenant::Slug;
use crate::domain::usage::{UsageBy, UsageRange};
use crate::error::ApiError;
use crate::http::body::Query;
use crate::http::envelope::{Success, SuccessBody};
use crate::uploads::usage::UsageView;

use super::operator::Operator;

/// Which uploads are counted, and what is told apart.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsageQuery {
    /// Uploads of this tenant (its slug); left out, of all.
    tenant: Option<String>,
    /// Uploads that were issued from this moment on, a whole hour in UTC; left out, 30 days before `to`.
    from: Option<DateTime<Utc>>,
    /// Before this moment, a whole hour in UTC, at most 400 days after `from`; left out, the end of the current hour.
    to: Option<DateTime<Utc>>,
    /// `day`, `type`, `state`, `ext`, `api_key` or `tenant`; left out, only the total is told.
    by: Option<String>,
}

/// Count uploads and their bytes, by day, type, state, extension, API key or tenant
///
/// Exact at any moment. An upload counts in the hour of its issue, with the state that it has now.
#[utoipa::path(get, path = "/admin/v1/usage", tag = "uploads", operation_id = "get_usage", params(UsageQuery),
    responses((status = 200, description = "How much was issued", body = SuccessBody<UsageView>)))]
pub(super) async fn show(
    Operator(tenants): Operator,
    Query(query): Query<UsageQuery>,
) -> Result<Success<UsageView>, ApiError> {
    let UsageQuery { tenant, from, to, by } = query;
    let tenant = tenant.as_deref().map(Slug::parse).transpose()?;
    let by = by.map(|by| UsageBy::parse(&by, &UsageBy::ALL)).transpose()?;
    let range = UsageRange::new(from, to, tenants.clock.now())?;
    let usage = tenants.usage(tenant.as_ref(), range, by).await?;
    Ok(Success(UsageView::from(&usage)))
}
