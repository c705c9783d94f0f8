//! `/admin/v1/tenants/{tenant}/buckets`.

use axum::extract::State;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::view::{BucketView, FindingView};
use crate::admin::{BucketChanges, DEFAULT_ORIGIN, NewBucket};
use crate::domain::binding::{Binding, BindingSet};
use crate::domain::bucket::{Alias, Bucket, BucketName, Endpoint, Location, Provider, Region};
use crate::domain::credential::Credential;
use crate::domain::page::Page;
use crate::domain::tenant::Slug;
use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::extract::if_match::{Created, IfMatch, Versioned};
use crate::http::extract::json::Body;
use crate::http::extract::path::Path;
use crate::http::state::SharedGateway;

use super::PageView;
use crate::http::extract::operator::Operator;
use crate::http::extract::patch::patch;

/// A new bucket and its credential.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BucketAdd {
    /// Its name within the tenant: 1 to 63 of `a-z 0-9 -`; default `default`.
    #[schema(example = "default", pattern = "^[a-z0-9-]{1,63}$")]
    alias: Option<String>,
    /// Whether it becomes the default bucket; a first bucket always does.
    #[serde(default)]
    is_default: bool,
    /// The store's address, without the bucket.
    #[schema(example = "https://ACCOUNT.r2.cloudflarestorage.com")]
    endpoint: String,
    /// `auto` for R2, the bucket's own for AWS.
    #[schema(example = "auto")]
    region: String,
    /// Its name at the provider.
    #[schema(example = "my-app-uploads")]
    bucket: String,
    /// `path` (default) or `virtual-hosted`.
    addressing: Option<String>,
    /// `r2`, `aws` or `generic`; by default from the endpoint.
    provider: Option<String>,
    /// What a generic store enforces beside size and content type: `sha256`, `write_once`; default neither. R2 and AWS enforce both.
    #[schema(example = json!(["write_once"]))]
    enforced_bindings: Option<Vec<String>>,
    access_key_id: String,
    /// Can be written, and never read back.
    #[schema(value_type = String, format = Password, write_only)]
    secret_access_key: SecretString,
    /// Comes with temporary credentials.
    #[schema(value_type = Option<String>, format = Password, write_only)]
    session_token: Option<SecretString>,
}

patch! {
    /// Changes of a bucket; omitted fields stay. For the credential see `rotate-credential`.
    BucketPatch {
        alias: String,
        endpoint: String,
        region: String,
        bucket: String,
        addressing: String,
        provider: String,
        enforced_bindings: Vec<String>,
    }
}

/// How a bucket is tested.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Examine {
    /// The origin of the web pages that upload.
    #[schema(example = "https://app.example.com")]
    origin: Option<String>,
}

/// List a tenant's buckets, the default one first.
///
/// Archived buckets are not in the list.
#[utoipa::path(get, path = "/admin/v1/tenants/{tenant}/buckets", tag = "buckets", operation_id = "list_buckets",
    params(("tenant" = String, Path, description = "The tenant's slug")),
    responses((status = 200, description = "All of the tenant's buckets", body = SuccessBody<PageView<BucketView>>)))]
pub(super) async fn list(
    Operator(tenants): Operator,
    Path(tenant): Path<String>,
) -> Result<Success<PageView<BucketView>>, ApiError> {
    let buckets = tenants.list_buckets(&Slug::parse(&tenant)?).await?;
    Ok(Success(Page::whole(buckets).view().into()))
}

/// Add a bucket to a tenant.
///
/// The first bucket of a tenant becomes its default. The credential is sealed before it is stored.
/// The gateway does not try the bucket: the doctor does.
#[utoipa::path(post, path = "/admin/v1/tenants/{tenant}/buckets", tag = "buckets", operation_id = "add_bucket",
    params(("tenant" = String, Path, description = "The tenant's slug")),
    request_body = BucketAdd,
    responses((status = 201, description = "The bucket", body = SuccessBody<BucketView>)))]
pub(super) async fn add(
    State(gateway): State<SharedGateway>,
    Operator(tenants): Operator,
    Path(tenant): Path<String>,
    Body(body): Body<BucketAdd>,
) -> Result<Created<BucketView>, ApiError> {
    let slug = Slug::parse(&tenant)?;
    let endpoint = Endpoint::parse(&body.endpoint, &gateway.edge.allowed_hosts)?;
    let provider = body.provider.as_deref().map_or_else(|| Ok(Provider::of(&endpoint)), str::parse)?;
    let location = Location {
        endpoint,
        region: Region::parse(&body.region)?,
        bucket_name: BucketName::parse(&body.bucket)?,
        addressing: body.addressing.as_deref().unwrap_or("path").parse()?,
        provider,
    };
    let alias = body.alias.as_deref().map_or_else(|| Ok(Alias::default_alias()), Alias::parse)?;
    let enforced_bindings = bindings(body.enforced_bindings.as_deref().unwrap_or_default())?;
    let BucketAdd { is_default, access_key_id, secret_access_key, session_token, .. } = body;
    let credential = Credential { access_key_id, secret_access_key, session_token };
    let new = NewBucket { alias, is_default, location, enforced_bindings, credential };
    let bucket = tenants.add_bucket(&slug, new, &gateway.keyring).await?;
    let location = format!("/admin/v1/tenants/{slug}/buckets/{}", bucket.alias);
    Ok(Created { row: versioned(&bucket), location })
}

/// Show a bucket, without its secret.
///
/// Shows where it is and the id of its access key. Neither the secret nor a session token is ever
/// shown.
#[utoipa::path(get, path = "/admin/v1/tenants/{tenant}/buckets/{alias}", tag = "buckets", operation_id = "get_bucket",
    params(("tenant" = String, Path, description = "The tenant's slug"), ("alias" = String, Path, description = "The bucket's alias")),
    responses((status = 200, description = "The bucket", body = SuccessBody<BucketView>)))]
pub(super) async fn show(
    Operator(tenants): Operator,
    Path((tenant, alias)): Path<(String, String)>,
) -> Result<Versioned<BucketView>, ApiError> {
    Ok(versioned(&tenants.get_bucket(&Slug::parse(&tenant)?, Some(&Alias::parse(&alias)?)).await?))
}

/// Change a bucket's location.
///
/// Omitted fields stay as they are. URLs that were issued before are not affected. To
/// change the credential, rotate it.
#[utoipa::path(patch, path = "/admin/v1/tenants/{tenant}/buckets/{alias}", tag = "buckets", operation_id = "update_bucket",
    params(("tenant" = String, Path, description = "The tenant's slug"), ("alias" = String, Path, description = "The bucket's alias"),
        ("if-match" = Option<String>, Header, description = "The ETag that was read")),
    request_body = BucketPatch,
    responses((status = 200, description = "The bucket", body = SuccessBody<BucketView>)))]
pub(super) async fn update(
    State(gateway): State<SharedGateway>,
    Operator(tenants): Operator,
    Path((tenant, alias)): Path<(String, String)>,
    IfMatch(expected): IfMatch,
    Body(body): Body<BucketPatch>,
) -> Result<Versioned<BucketView>, ApiError> {
    let endpoint = body.endpoint.map(|text| Endpoint::parse(&text, &gateway.edge.allowed_hosts));
    let changes = BucketChanges {
        alias: body.alias.as_deref().map(Alias::parse).transpose()?,
        endpoint: endpoint.transpose()?,
        region: body.region.as_deref().map(Region::parse).transpose()?,
        bucket_name: body.bucket.as_deref().map(BucketName::parse).transpose()?,
        addressing: body.addressing.as_deref().map(str::parse).transpose()?,
        provider: body.provider.as_deref().map(str::parse).transpose()?,
        enforced_bindings: body.enforced_bindings.as_deref().map(bindings).transpose()?,
    };
    let (slug, alias) = (Slug::parse(&tenant)?, Alias::parse(&alias)?);
    Ok(versioned(&tenants.update_bucket(&slug, &alias, changes, expected).await?))
}

/// Send the tenant's uploads to this bucket from now on.
///
/// The default bucket takes every upload that names no bucket. Earlier uploads stay in the bucket
/// where they are.
#[utoipa::path(post, path = "/admin/v1/tenants/{tenant}/buckets/{alias}/set-default", tag = "buckets", operation_id = "set_default_bucket",
    params(("tenant" = String, Path, description = "The tenant's slug"), ("alias" = String, Path, description = "The bucket's alias")),
    responses((status = 200, description = "The bucket", body = SuccessBody<BucketView>)))]
pub(super) async fn set_default(
    Operator(tenants): Operator,
    Path((tenant, alias)): Path<(String, String)>,
) -> Result<Versioned<BucketView>, ApiError> {
    Ok(versioned(&tenants.set_default_bucket(&Slug::parse(&tenant)?, &Alias::parse(&alias)?).await?))
}

/// Archive a bucket; the records of its uploads stay.
///
/// It takes no further uploads, and cannot be brought back: add it again instead. The default
/// bucket is answered with 409.
#[utoipa::path(post, path = "/admin/v1/tenants/{tenant}/buckets/{alias}/archive", tag = "buckets", operation_id = "archive_bucket",
    params(("tenant" = String, Path, description = "The tenant's slug"), ("alias" = String, Path, description = "The bucket's alias")),
    responses((status = 200, description = "The bucket", body = SuccessBody<BucketView>)))]
pub(super) async fn archive(
    Operator(tenants): Operator,
    Path((tenant, alias)): Path<(String, String)>,
) -> Result<Versioned<BucketView>, ApiError> {
    Ok(versioned(&tenants.archive_bucket(&Slug::parse(&tenant)?, &Alias::parse(&alias)?).await?))
}

/// Test a bucket like a client, and say how to fix what fails.
///
/// Puts, reads and deletes a small object of its own in the bucket, and asks for the CORS rules
/// that web pages of `origin` need. Each check gives a finding; one that failed says what to do.
#[utoipa::path(post, path = "/admin/v1/tenants/{tenant}/buckets/{alias}/doctor", tag = "buckets", operation_id = "examine_bucket",
    params(("tenant" = String, Path, description = "The tenant's slug"), ("alias" = String, Path, description = "The bucket's alias")),
    request_body = Examine,
    responses((status = 200, description = "What was found", body = SuccessBody<PageView<FindingView>>)))]
pub(super) async fn examine(
    State(gateway): State<SharedGateway>,
    Operator(tenants): Operator,
    Path((tenant, alias)): Path<(String, String)>,
    Body(body): Body<Examine>,
) -> Result<Success<PageView<FindingView>>, ApiError> {
    let (slug, alias) = (Slug::parse(&tenant)?, Alias::parse(&alias)?);
    let origin = body.origin.as_deref().unwrap_or(DEFAULT_ORIGIN);
    let findings = tenants.examine_bucket(&slug, Some(&alias), origin, &gateway.keyring).await?;
    Ok(Success(Page::whole(findings).view().into()))
}

fn bindings(texts: &[String]) -> Result<BindingSet, ApiError> {
    Ok(BindingSet::parse("enforced_bindings", &Binding::OPTIONAL, texts.iter().map(String::as_str))?)
}

pub(super) fn versioned(bucket: &Bucket) -> Versioned<BucketView> {
    Versioned { revision: bucket.revision, view: BucketView::from(bucket) }
}
