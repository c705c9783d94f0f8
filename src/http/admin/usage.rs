//! `/admin/v1/usage`.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::domain::usage::{UsageBy, UsageRange};
use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::extract::json::Query;
use crate::uploads::usage::UsageView;

use super::tenant_term;
use crate::http::extract::operator::Operator;

/// Which uploads are counted, and how they are grouped.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsageQuery {
    /// Only uploads of this tenant (its slug); default all.
    tenant: Option<String>,
    /// Uploads issued at or after this time, a whole hour in UTC (`2026-11-22T18:00:00Z`) or a day; default 30 days before `to`.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// Before this time, a whole hour in UTC or a day, at most 400 days after `from`; default the end of the current hour.
    to: Option<String>,
    /// `day`, `type`, `state`, `ext`, `api_key` or `tenant`; without it, only the total.
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
    let tenant = tenant_term(tenant.as_deref())?;
    let by = by.map(|by| UsageBy::parse(&by, &UsageBy::ALL)).transpose()?;
    let range = UsageRange::parse(from.as_deref(), to.as_deref(), tenants.now())?;
    let usage = tenants.usage(tenant.as_ref(), range, by).await?;
    Ok(Success(UsageView::from(&usage)))
}
