//! `/admin/v1/tenants/{tenant}/buckets/{alias}/cors`.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::view::CorsRuleView;
use crate::domain::bucket::Alias;
use crate::domain::page::Page;
use crate::domain::tenant::Slug;
use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::extract::json::Body;
use crate::http::extract::path::Path;
use crate::http::state::SharedGateway;

use super::PageView;
use crate::http::extract::operator::Operator;

/// Whose pages may upload.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CorsSet {
    #[schema(example = json!(["https://app.example.com"]))]
    origins: Vec<String>,
}

/// Show the CORS rules that a bucket has at its provider.
///
/// The gateway stores no rules of its own: it asks the bucket's store each time.
#[utoipa::path(get, path = "/admin/v1/tenants/{tenant}/buckets/{alias}/cors", tag = "buckets", operation_id = "get_bucket_cors",
    params(("tenant" = String, Path, description = "The tenant's slug"), ("alias" = String, Path, description = "The bucket's alias")),
    responses((status = 200, description = "All of the bucket's rules", body = SuccessBody<PageView<CorsRuleView>>)))]
pub(super) async fn show(
    State(gateway): State<SharedGateway>,
    Operator(tenants): Operator,
    Path((tenant, alias)): Path<(String, String)>,
) -> Result<Success<PageView<CorsRuleView>>, ApiError> {
    let (slug, alias) = (Slug::parse(&tenant)?, Alias::parse(&alias)?);
    let rules = tenants.bucket_cors(&slug, Some(&alias), &gateway.keyring).await?;
    Ok(Success(Page::whole(rules).view().into()))
}

/// Let web pages of these origins upload; replaces all rules of the bucket.
///
/// The rules are stored by the bucket's store. They allow what an upload from a web page needs, for
/// these origins only.
#[utoipa::path(put, path = "/admin/v1/tenants/{tenant}/buckets/{alias}/cors", tag = "buckets", operation_id = "set_bucket_cors",
    params(("tenant" = String, Path, description = "The tenant's slug"), ("alias" = String, Path, description = "The bucket's alias")),
    request_body = CorsSet,
    responses((status = 200, description = "All of the bucket's rules", body = SuccessBody<PageView<CorsRuleView>>)))]
pub(super) async fn set(
    State(gateway): State<SharedGateway>,
    Operator(tenants): Operator,
    Path((tenant, alias)): Path<(String, String)>,
    Body(body): Body<CorsSet>,
) -> Result<Success<PageView<CorsRuleView>>, ApiError> {
    let (slug, alias) = (Slug::parse(&tenant)?, Alias::parse(&alias)?);
    let rules = tenants.set_bucket_cors(&slug, Some(&alias), &body.origins, &gateway.keyring).await?;
    Ok(Success(Page::whole(rules).view().into()))
}
