//! `/admin/v1/tenants`.

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::admin::view::TenantView;
use crate::admin::{Admin, NewTenant, PolicyChanges, TenantChanges, TenantFilter};
use crate::domain::Invalid;
use crate::domain::page::PageRequest;
use crate::domain::policy::policy_fields;
use crate::domain::tenant::{RateLimit, Slug, Tenant, TenantStatus};
use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::extract::if_match::{Created, IfMatch, Versioned};
use crate::http::extract::json::{Body, Query};
use crate::http::extract::path::Path;

use super::PageView;
use crate::http::extract::operator::Operator;
use crate::http::extract::patch::not_null;

/// Defines the bodies: their own fields, then those of a policy. With serde's `flatten` an error would not name its field.
macro_rules! bodies {
    ($($(#[$said:meta])* $field:ident: $Type:ty as $Json:ty = $default:expr;)*) => {
        /// A new tenant; omitted fields get their defaults.
        #[derive(Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(super) struct TenantCreate {
            /// Its short name: 2 to 63 of `a-z 0-9 -`. It never changes.
            #[schema(example = "my-app", pattern = "^[a-z0-9-]{2,63}$")]
            slug: String,
            /// Its display name [default: the short name].
            name: Option<String>,
            /// Presigns per second.
            #[serde(default = "default_rate")]
            #[schema(default = 100, minimum = 1, maximum = 1_000_000)]
            rate_per_second: u32,
            /// Presigns in a burst after a pause.
            #[serde(default = "default_burst")]
            #[schema(default = 200, minimum = 1, maximum = 1_000_000)]
            burst: u32,
            $($(#[$said])* #[serde(default)] #[schema(value_type = Option<$Json>)] $field: Option<$Type>,)*
        }

        /// Changes of a tenant; omitted fields stay, `null` removes a value.
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
            $($(#[$said])* #[serde(default, deserialize_with = "not_null")] #[schema(value_type = $Json)] $field: Option<$Type>,)*
        }

        impl TryFrom<TenantCreate> for NewTenant {
            type Error = Invalid;

            fn try_from(body: TenantCreate) -> Result<Self, Invalid> {
                let slug = Slug::parse(&body.slug)?;
                let policy = PolicyChanges { $($field: body.$field,)* };
                let rate_limit = RateLimit::new(body.rate_per_second, body.burst)?;
                Ok(Self { name: body.name.unwrap_or(body.slug), slug, rate_limit, policy })
            }
        }

        impl From<TenantPatch> for TenantChanges {
            fn from(body: TenantPatch) -> Self {
                let policy = PolicyChanges { $($field: body.$field,)* };
                Self { name: body.name, rate_per_second: body.rate_per_second, burst: body.burst, policy }
            }
        }
    };
}

policy_fields!(bodies);

const fn default_rate() -> u32 {
    100
}

const fn default_burst() -> u32 {
    200
}

/// Which tenants are listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TenantQuery {
    /// `active`, `suspended` or `archived`; by default all but the archived.
    status: Option<String>,
    /// A prefix of the slug.
    slug_prefix: Option<String>,
    /// The `next_cursor` of an earlier page.
    cursor: Option<String>,
    /// Rows, 1 to 500; default 100.
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
/// An omitted field gets its default. The tenant needs a bucket and an API key or a JWT
/// issuer before its callers can upload.
#[utoipa::path(post, path = "/admin/v1/tenants", tag = "tenants", operation_id = "create_tenant",
    request_body = TenantCreate,
    responses((status = 201, description = "The tenant", body = SuccessBody<TenantView>)))]
pub(super) async fn create(
    Operator(tenants): Operator,
    Body(body): Body<TenantCreate>,
) -> Result<Created<TenantView>, ApiError> {
    let tenant = tenants.create_tenant(body.try_into()?).await?;
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
/// Omitted fields stay as they are; `null` removes a value. An archived tenant is
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
    Ok(versioned(&tenants.update_tenant(&Slug::parse(&tenant)?, body.into(), expected).await?))
}

/// Suspend a tenant: reject its callers.
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

/// Resume a suspended or archived tenant.
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

/// Archive a tenant: reject its callers and hide it from lists.
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

fn versioned(tenant: &Tenant) -> Versioned<TenantView> {
    Versioned { revision: tenant.revision, view: TenantView::from(tenant) }
}
