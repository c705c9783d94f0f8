//! `/admin/v1/api-keys`: API keys of tenants and operators.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::view::ApiKeyView;
use crate::admin::{ApiKeyChanges, NewApiKey};
use crate::domain::Invalid;
use crate::domain::api_key::ApiKey;
use crate::domain::caller::Scopes;
use crate::domain::page::PageRequest;
use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::extract::if_match::{Created, IfMatch, Versioned};
use crate::http::extract::json::{Body, Query};
use crate::http::extract::path::Path;
use crate::http::time;

use super::{PageView, tenant_term};
use crate::http::extract::operator::Operator;
use crate::http::extract::patch::not_null;

/// A new API key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKeyCreate {
    /// The tenant's slug; `null` makes an operator's key.
    tenant: Option<String>,
    /// A label, such as who has it: 1 to 200 characters.
    #[schema(example = "iOS app")]
    label: String,
    /// Its scopes: `uploads:issue`, `uploads:read`, `uploads:delete`; default the first two. An operator key has none.
    scopes: Option<Vec<String>>,
    /// When it expires; by default never.
    #[serde(default, deserialize_with = "time::optional")]
    expires_at: Option<DateTime<Utc>>,
}

/// Changes of an API key; omitted fields stay, `null` removes a value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKeyPatch {
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    label: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    scopes: Option<Vec<String>>,
    #[serde(default, deserialize_with = "time::nullable")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    expires_at: Option<Option<DateTime<Utc>>>,
}

/// How an API key is replaced.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKeyRotate {
    /// How long the old key still works; default one day.
    #[serde(default = "one_day")]
    #[schema(default = 86_400, maximum = 7_776_000)]
    overlap_seconds: u32,
    /// When the new key expires; by default after the old key's lifetime.
    #[serde(default, deserialize_with = "time::optional")]
    expires_at: Option<DateTime<Utc>>,
}

const fn one_day() -> u32 {
    86_400
}

/// A new API key with its text, which is shown only here.
#[derive(Serialize, ToSchema)]
#[schema(as = NewApiKey)]
pub(super) struct NewApiKeyView {
    /// The whole API key; it is stored nowhere.
    api_key: String,
    #[serde(flatten)]
    row: ApiKeyView,
}

/// Whose API keys are listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ApiKeyQuery {
    /// The tenant's slug; by default the operators' keys.
    tenant: Option<String>,
    /// The `next_cursor` of an earlier page.
    cursor: Option<String>,
    /// Rows, 1 to 500; default 100.
    #[serde(default, deserialize_with = "crate::http::extract::number::limit")]
    limit: Option<u16>,
}

/// List the API keys of a tenant, or of the operators, newest first.
///
/// Revoked and expired keys are in the list. The text of a key is never in it.
#[utoipa::path(get, path = "/admin/v1/api-keys", tag = "API keys", operation_id = "list_api_keys", params(ApiKeyQuery),
    responses((status = 200, description = "A page of API keys", body = SuccessBody<PageView<ApiKeyView>>)))]
pub(super) async fn list(
    Operator(tenants): Operator,
    Query(query): Query<ApiKeyQuery>,
) -> Result<Success<PageView<ApiKeyView>>, ApiError> {
    let slug = tenant_term(query.tenant.as_deref())?;
    let page = PageRequest::new(query.cursor.as_deref(), query.limit)?;
    Ok(Success(tenants.list_api_keys(slug.as_ref(), &page).await?.view().into()))
}

/// Create an API key; its text is shown only once.
///
/// With `tenant`, the key belongs to an app of that tenant; without it, to an operator. The gateway
/// stores only a digest, so a lost key cannot be shown again.
#[utoipa::path(post, path = "/admin/v1/api-keys", tag = "API keys", operation_id = "create_api_key",
    request_body = ApiKeyCreate,
    responses((status = 201, description = "The API key", body = SuccessBody<NewApiKeyView>)))]
pub(super) async fn create(
    Operator(tenants): Operator,
    Body(body): Body<ApiKeyCreate>,
) -> Result<Created<NewApiKeyView>, ApiError> {
    let tenant = tenant_term(body.tenant.as_deref())?;
    let scopes = match (&tenant, body.scopes) {
        (Some(_), Some(scopes)) => parse_scopes(&scopes)?,
        (Some(_), None) => Scopes::default_scopes(),
        (None, None) => Scopes::default(),
        (None, Some(_)) => return Err(Invalid::new("scopes", "must be omitted: operator keys have none").into()),
    };
    let new = NewApiKey { tenant, label: body.label, scopes, expires_at: body.expires_at };
    Ok(created(tenants.create_api_key(new).await?))
}

/// Show an API key.
///
/// Shows its label, its scopes, its expiry and when it was last used, but not its text.
#[utoipa::path(get, path = "/admin/v1/api-keys/{public_id}", tag = "API keys", operation_id = "get_api_key",
    params(("public_id" = String, Path, description = "The part of the API key between its two underscores")),
    responses((status = 200, description = "The API key", body = SuccessBody<ApiKeyView>)))]
pub(super) async fn show(
    Operator(tenants): Operator,
    Path(public_id): Path<String>,
) -> Result<Versioned<ApiKeyView>, ApiError> {
    Ok(versioned(&tenants.get_api_key(&public_id).await?))
}

/// Change an API key's label, scopes or expiry.
///
/// Omitted fields stay as they are. A revoked key cannot be changed, and the operators'
/// last one cannot be given an earlier expiry.
#[utoipa::path(patch, path = "/admin/v1/api-keys/{public_id}", tag = "API keys", operation_id = "update_api_key",
    params(("public_id" = String, Path, description = "The part of the API key between its two underscores"), ("if-match" = Option<String>, Header, description = "The ETag that was read")),
    request_body = ApiKeyPatch,
    responses((status = 200, description = "The API key", body = SuccessBody<ApiKeyView>)))]
pub(super) async fn update(
    Operator(tenants): Operator,
    Path(public_id): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<ApiKeyPatch>,
) -> Result<Versioned<ApiKeyView>, ApiError> {
    let scopes = body.scopes.map(|scopes| parse_scopes(&scopes)).transpose()?;
    let changes = ApiKeyChanges { label: body.label, scopes, expires_at: body.expires_at };
    Ok(versioned(&tenants.update_api_key(&public_id, changes, expected).await?))
}

/// Replace an API key; the old one works until the overlap ends.
///
/// The new key has the same tenant, label and scopes. The old one expires after `overlap_seconds`,
/// or earlier if its own expiry comes first. A revoked or expired key is answered with 409.
#[utoipa::path(post, path = "/admin/v1/api-keys/{public_id}/rotate", tag = "API keys", operation_id = "rotate_api_key",
    params(("public_id" = String, Path, description = "The part of the API key between its two underscores")),
    request_body = ApiKeyRotate,
    responses((status = 201, description = "The new API key", body = SuccessBody<NewApiKeyView>)))]
pub(super) async fn rotate(
    Operator(tenants): Operator,
    Path(public_id): Path<String>,
    Body(body): Body<ApiKeyRotate>,
) -> Result<Created<NewApiKeyView>, ApiError> {
    Ok(created(tenants.rotate_api_key(&public_id, body.overlap_seconds, body.expires_at).await?))
}

/// Revoke an API key. The operators' last one stays.
///
/// Takes effect within a second on every instance, and cannot be undone. Revoking a revoked key
/// again changes nothing.
#[utoipa::path(post, path = "/admin/v1/api-keys/{public_id}/revoke", tag = "API keys", operation_id = "revoke_api_key",
    params(("public_id" = String, Path, description = "The part of the API key between its two underscores")),
    responses((status = 200, description = "The API key", body = SuccessBody<ApiKeyView>)))]
pub(super) async fn revoke(
    Operator(tenants): Operator,
    Path(public_id): Path<String>,
) -> Result<Versioned<ApiKeyView>, ApiError> {
    Ok(versioned(&tenants.revoke_api_key(&public_id).await?))
}

fn parse_scopes(texts: &[String]) -> Result<Scopes, Invalid> {
    Scopes::parse(texts.iter().map(String::as_str))
}

fn created((api_key, text): (ApiKey, SecretString)) -> Created<NewApiKeyView> {
    let location = format!("/admin/v1/api-keys/{}", api_key.public_id);
    let view = NewApiKeyView { api_key: text.expose_secret().to_owned(), row: ApiKeyView::from(&api_key) };
    Created { row: Versioned { revision: api_key.revision, view }, location }
}

fn versioned(api_key: &ApiKey) -> Versioned<ApiKeyView> {
    Versioned { revision: api_key.revision, view: ApiKeyView::from(api_key) }
}
