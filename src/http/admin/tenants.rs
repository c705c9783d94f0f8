//! `/admin/v1/tenants`.

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::admin::view::TenantView;
use crate::admin::{Admin, NewTenant, PolicyChanges, TenantChanges, TenantFilter};
use crate::domain::binding::{Binding, BindingSet};
use crate::domain::extension::ExtensionSet;
use crate::domain::page::PageRequest;
use crate::domain::tenant::{RateLimit, Slug, Tenant, TenantStatus, parse_time_zone};
use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::extract::if_match::{Created, IfMatch, Versioned};
use crate::http::extract::json::{Body, Query};
use crate::http::extract::path::Path;

use super::PageView;
use crate::http::extract::operator::Operator;
use crate::http::extract::patch::{not_null, nullable};

/// A new tenant; what is left out is as usual.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantCreate {
    /// Its short name: 2 to 63 of `a-z 0-9 -`. It never changes.
    #[schema(example = "my-app", pattern = "^[a-z0-9-]{2,63}$")]
    slug: String,
    /// Its name for people; by default the short name.
    name: Option<String>,
    /// Presigns a second.
    #[serde(default = "default_rate")]
    #[schema(default = 100, minimum = 1, maximum = 1_000_000)]
    rate_per_second: u32,
    /// Presigns at once after a pause.
    #[serde(default = "default_burst")]
    #[schema(default = 200, minimum = 1, maximum = 1_000_000)]
    burst: u32,
    /// Extensions that may be uploaded; all, where left out.
    #[schema(example = json!(["jpg", "png", "mp4"]))]
    allowed_extensions: Option<Vec<String>>,
    /// Largest object, where a size is declared.
    max_size_bytes: Option<u64>,
    /// What every URL must be bound to: `size`, `content_type`, `sha256`, `write_once`; nothing, where left out. Where there is any,
    /// `/oss/presign` is refused, since its URLs are bare.
    #[schema(example = json!(["size"]))]
    required_bindings: Option<Vec<String>>,
    /// Look for uploads in the bucket when their URL has run out; no, where left out.
    verify_arrival: Option<bool>,
    /// How long a URL lives; 300, where left out.
    default_expiry_seconds: Option<u32>,
    /// How long a URL may live at most; 3600, where left out.
    longest_expiry_seconds: Option<u32>,
    /// Pattern of object keys, of `{prefix} {yyyy} {mm} {dd} {uuid} {ext} {kind}` and text; it must hold `{uuid}`.
    #[schema(example = "{yyyy}/{mm}/{dd}/{uuid}.{ext}")]
    object_key_template: Option<String>,
    /// What `{prefix}` stands for.
    object_key_prefix: Option<String>,
    /// An IANA time zone, in which the date in object keys is read; UTC, where left out.
    #[schema(example = "Asia/Shanghai")]
    time_zone: Option<String>,
}

const fn default_rate() -> u32 {
    100
}

const fn default_burst() -> u32 {
    200
}

/// What changes of a tenant; what is left out stays, `null` takes a value away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantPatch {
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    name: Option<String>,
    #[schema(minimum = 1, maximum = 1_000_000)]
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    rate_per_second: Option<u32>,
    #[schema(minimum = 1, maximum = 1_000_000)]
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    burst: Option<u32>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    allowed_extensions: Option<Vec<String>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u64>)]
    max_size_bytes: Option<Option<u64>>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    required_bindings: Option<Vec<String>>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    verify_arrival: Option<bool>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    default_expiry_seconds: Option<u32>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    longest_expiry_seconds: Option<u32>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    object_key_template: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    object_key_prefix: Option<Option<String>>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    time_zone: Option<String>,
}

/// Which tenants are listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TenantQuery {
    /// `active`, `suspended` or `archived`; all but the archived, where left out.
    status: Option<String>,
    /// Those whose slug begins so.
    slug_prefix: Option<String>,
    /// The `next_cursor` of an earlier page.
    cursor: Option<String>,
    /// Rows, 1 to 500; 100, where left out.
    #[serde(default, deserialize_with = "crate::http::extract::number::limit")]
    limit: Option<u16>,
}

/// List tenants, by slug.
///
/// Archived tenants are in the list only if `status` asks for them.
#[utoipa::path(get, path = "/admin/v1/tenants", tag = "tenants", operation_id = "list_tenants", params(TenantQuery),
    responses((status = 200, description = "A page of tenants", body = SuccessBody<PageView<TenantView>>)))]
pub(super) async fn list(
    Operator(tenants): Operator,
    Query(query): Query<TenantQuery>,
) -> Result<Success<PageView<TenantView>>, ApiError> {
    let status = query.status.map(|text| text.parse()).transpose()?;
    let filter = TenantFilter { status, slug_prefix: query.slug_prefix };
    let page = tenants.list_tenants(&filter, &PageRequest::new(query.cursor.as_deref(), query.limit)?).await?;
    Ok(Success(page.view().into()))
}

/// Add a tenant.
///
/// A field that is left out gets its default. The tenant needs a bucket and an API key or a JWT
/// issuer before its callers can upload.
#[utoipa::path(post, path = "/admin/v1/tenants", tag = "tenants", operation_id = "create_tenant",
    request_body = TenantCreate,
    responses((status = 201, description = "The tenant", body = SuccessBody<TenantView>)))]
pub(super) async fn create(
    Operator(tenants): Operator,
    Body(body): Body<TenantCreate>,
) -> Result<Created<TenantView>, ApiError> {
    let slug = Slug::parse(&body.slug)?;
    let policy = PolicyChanges {
        allowed_extensions: extensions(body.allowed_extensions)?,
        max_size_bytes: body.max_size_bytes.map(Some),
        required_bindings: bindings(body.required_bindings)?,
        verify_arrival: body.verify_arrival,
        default_expiry_seconds: body.default_expiry_seconds,
        longest_expiry_seconds: body.longest_expiry_seconds,
        object_key_template: body.object_key_template,
        object_key_prefix: body.object_key_prefix.map(Some),
        time_zone: body.time_zone.as_deref().map(parse_time_zone).transpose()?,
    };
    let rate_limit = RateLimit::new(body.rate_per_second, body.burst)?;
    let new = NewTenant { name: body.name.unwrap_or_else(|| slug.to_string()), slug, rate_limit, policy };
    let tenant = tenants.create_tenant(new).await?;
    let location = format!("/admin/v1/tenants/{}", tenant.slug);
    Ok(Created { row: versioned(&tenant), location })
}

/// Show a tenant.
///
/// Shows its status, its rate limit and its policy for uploads.
#[utoipa::path(get, path = "/admin/v1/tenants/{tenant}", tag = "tenants", operation_id = "get_tenant",
    params(("tenant" = String, Path, description = "Its slug")),
    responses((status = 200, description = "The tenant", body = SuccessBody<TenantView>)))]
pub(super) async fn show(
    Operator(tenants): Operator,
    Path(tenant): Path<String>,
) -> Result<Versioned<TenantView>, ApiError> {
    Ok(versioned(&tenants.get_tenant(&Slug::parse(&tenant)?).await?))
}

/// Change a tenant.
///
/// Fields that are left out stay as they are; `null` removes a value. An archived tenant is
/// answered with 409: resume it first.
#[utoipa::path(patch, path = "/admin/v1/tenants/{tenant}", tag = "tenants", operation_id = "update_tenant",
    params(("tenant" = String, Path, description = "Its slug"), ("if-match" = Option<String>, Header, description = "The ETag that was read")),
    request_body = TenantPatch,
    responses((status = 200, description = "The tenant", body = SuccessBody<TenantView>)))]
pub(super) async fn update(
    Operator(tenants): Operator,
    Path(tenant): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<TenantPatch>,
) -> Result<Versioned<TenantView>, ApiError> {
    let changes = TenantChanges {
        name: body.name,
        rate_per_second: body.rate_per_second,
        burst: body.burst,
        policy: PolicyChanges {
            allowed_extensions: extensions(body.allowed_extensions)?,
            max_size_bytes: body.max_size_bytes,
            required_bindings: bindings(body.required_bindings)?,
            verify_arrival: body.verify_arrival,
            default_expiry_seconds: body.default_expiry_seconds,
            longest_expiry_seconds: body.longest_expiry_seconds,
            object_key_template: body.object_key_template,
            object_key_prefix: body.object_key_prefix,
            time_zone: body.time_zone.as_deref().map(parse_time_zone).transpose()?,
        },
    };
    Ok(versioned(&tenants.update_tenant(&Slug::parse(&tenant)?, changes, expected).await?))
}

/// Serve a tenant's callers no more.
///
/// Its callers get 403 `tenant_suspended` within a second on every instance. URLs that were issued
/// before work until they expire. An archived tenant is answered with 409.
#[utoipa::path(post, path = "/admin/v1/tenants/{tenant}/suspend", tag = "tenants", operation_id = "suspend_tenant",
    params(("tenant" = String, Path, description = "Its slug")),
    responses((status = 200, description = "The tenant", body = SuccessBody<TenantView>)))]
pub(super) async fn suspend(
    Operator(tenants): Operator,
    Path(tenant): Path<String>,
) -> Result<Versioned<TenantView>, ApiError> {
    set_status(&tenants, &tenant, TenantStatus::Suspended).await
}

/// Serve a suspended or archived tenant's callers again.
///
/// Takes effect within a second on every instance. An active tenant stays as it is.
#[utoipa::path(post, path = "/admin/v1/tenants/{tenant}/resume", tag = "tenants", operation_id = "resume_tenant",
    params(("tenant" = String, Path, description = "Its slug")),
    responses((status = 200, description = "The tenant", body = SuccessBody<TenantView>)))]
pub(super) async fn resume(
    Operator(tenants): Operator,
    Path(tenant): Path<String>,
) -> Result<Versioned<TenantView>, ApiError> {
    set_status(&tenants, &tenant, TenantStatus::Active).await
}

/// Serve a tenant's callers no more, and list it no more.
///
/// Its callers get 403 `tenant_suspended` within a second. No row and no object is deleted, and the
/// tenant can be resumed.
#[utoipa::path(post, path = "/admin/v1/tenants/{tenant}/archive", tag = "tenants", operation_id = "archive_tenant",
    params(("tenant" = String, Path, description = "Its slug")),
    responses((status = 200, description = "The tenant", body = SuccessBody<TenantView>)))]
pub(super) async fn archive(
    Operator(tenants): Operator,
    Path(tenant): Path<String>,
) -> Result<Versioned<TenantView>, ApiError> {
    set_status(&tenants, &tenant, TenantStatus::Archived).await
}

async fn set_status(tenants: &Admin, tenant: &str, status: TenantStatus) -> Result<Versioned<TenantView>, ApiError> {
    Ok(versioned(&tenants.set_tenant_status(&Slug::parse(tenant)?, status).await?))
}

fn extensions(texts: Option<Vec<String>>) -> Result<Option<ExtensionSet>, ApiError> {
    Ok(texts.map(|texts| ExtensionSet::parse(texts.iter().map(String::as_str))).transpose()?)
}

fn bindings(texts: Option<Vec<String>>) -> Result<Option<BindingSet>, ApiError> {
    let parse =
        |texts: Vec<String>| BindingSet::parse("required_bindings", &Binding::ALL, texts.iter().map(String::as_str));
    Ok(texts.map(parse).transpose()?)
}

fn versioned(tenant: &Tenant) -> Versioned<TenantView> {
    Versioned { revision: tenant.revision, view: TenantView::from(tenant) }
}
