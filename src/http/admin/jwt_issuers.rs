//! `/admin/v1/tenants/{tenant}/jwt-issuers`.

use axum::extract::State;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::view::{JwtIssuerView, TokenCheckView};
use crate::admin::{JwtIssuerChanges, NewJwtIssuer, NewVerification};
use crate::domain::Invalid;
use crate::domain::caller::Scopes;
use crate::domain::ids::JwtIssuerId;
use crate::domain::jwt_issuer::{JwksUrl, JwtIssuer};
use crate::domain::page::Page;
use crate::domain::tenant::Slug;
use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::error::reason::Reason;
use crate::http::extract::if_match::{Created, IfMatch, Versioned};
use crate::http::extract::json::Body;
use crate::http::extract::path::Path;
use crate::http::state::SharedGateway;

use super::PageView;
use crate::http::extract::operator::Operator;
use crate::http::extract::patch::patch;

/// A new JWT issuer, with exactly one of `hmac_secret`, `jwks`, `jwks_url` and `public_key_pem`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JwtIssuerAdd {
    /// The tokens' `iss`, exactly.
    #[schema(example = "https://auth.example.com")]
    issuer: String,
    /// The tokens' `aud`, exactly; the pair names one tenant.
    #[schema(example = "uploads")]
    audience: String,
    /// `HS256`, `RS256`, `PS256`, `ES256` or `EdDSA`; a token's own `alg` is never trusted.
    #[schema(example = "RS256")]
    algorithm: String,
    /// At least 32 bytes; can be written, and never read back.
    #[schema(value_type = Option<String>, format = Password, write_only)]
    hmac_secret: Option<SecretString>,
    /// A JSON Web Key Set, as text.
    jwks: Option<String>,
    /// The URL of the issuer's JSON Web Key Set.
    #[schema(example = "https://auth.example.com/.well-known/jwks.json")]
    jwks_url: Option<String>,
    public_key_pem: Option<String>,
    /// Tolerated clock difference, 0 to 300; default 30.
    #[serde(default = "default_leeway")]
    #[schema(default = 30, maximum = 300)]
    leeway_seconds: u32,
    /// Scopes of its tokens; default `uploads:issue`.
    scopes: Option<Vec<String>>,
    /// The claim that can narrow the scopes; default `scope`.
    scopes_claim: Option<String>,
}

const fn default_leeway() -> u32 {
    30
}

patch! {
    /// Changes of a JWT issuer; omitted fields stay. Its issuer and audience cannot change.
    JwtIssuerPatch {
        algorithm: String,
        #[schema(value_type = Option<String>, format = Password, write_only)]
        hmac_secret: SecretString,
        jwks: String,
        jwks_url: String,
        public_key_pem: String,
        leeway_seconds: u32,
        scopes: Vec<String>,
        scopes_claim: String,
    }
}

/// A token to test; it is neither stored nor logged.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenTest {
    #[schema(value_type = String, format = Password, write_only)]
    token: SecretString,
}

/// List a tenant's JWT issuers.
///
/// Archived issuers are not in the list.
#[utoipa::path(get, path = "/admin/v1/tenants/{tenant}/jwt-issuers", tag = "JWT issuers", operation_id = "list_jwt_issuers",
    params(("tenant" = String, Path, description = "The tenant's slug")),
    responses((status = 200, description = "All of the tenant's issuers", body = SuccessBody<PageView<JwtIssuerView>>)))]
pub(super) async fn list(
    Operator(tenants): Operator,
    Path(tenant): Path<String>,
) -> Result<Success<PageView<JwtIssuerView>>, ApiError> {
    let issuers = tenants.list_jwt_issuers(&Slug::parse(&tenant)?).await?;
    Ok(Success(Page::whole(issuers).view().into()))
}

/// Accept an issuer's tokens for a tenant's callers.
///
/// Exactly one of `hmac_secret`, `jwks`, `jwks_url` and `public_key_pem` says how signatures are
/// verified. A pair of `issuer` and `audience` belongs to one tenant only. An HMAC secret is sealed
/// before it is stored.
#[utoipa::path(post, path = "/admin/v1/tenants/{tenant}/jwt-issuers", tag = "JWT issuers", operation_id = "add_jwt_issuer",
    params(("tenant" = String, Path, description = "The tenant's slug")),
    request_body = JwtIssuerAdd,
    responses((status = 201, description = "The issuer", body = SuccessBody<JwtIssuerView>)))]
pub(super) async fn add(
    State(gateway): State<SharedGateway>,
    Operator(tenants): Operator,
    Path(tenant): Path<String>,
    Body(body): Body<JwtIssuerAdd>,
) -> Result<Created<JwtIssuerView>, ApiError> {
    let slug = Slug::parse(&tenant)?;
    let verification = verification(&gateway, body.hmac_secret, body.jwks, body.jwks_url, body.public_key_pem)?;
    let new = NewJwtIssuer {
        issuer: body.issuer,
        audience: body.audience,
        algorithm: body.algorithm.parse()?,
        verification: verification.ok_or_else(|| one_verification("one"))?,
        leeway_seconds: body.leeway_seconds,
        scopes: body.scopes.map_or_else(|| Scopes::parse(["uploads:issue"]), |scopes| parse_scopes(&scopes))?,
        scopes_claim: body.scopes_claim.unwrap_or_else(|| "scope".to_owned()),
    };
    let issuer = tenants.add_jwt_issuer(&slug, new, &gateway.keyring).await?;
    let location = format!("/admin/v1/tenants/{slug}/jwt-issuers/{}", issuer.id);
    Ok(Created { row: versioned(&issuer), location })
}

/// Show a JWT issuer, without its secret.
///
/// Shows how its tokens are checked: algorithm, leeway, scopes and the source of the keys. An HMAC
/// secret is never shown.
#[utoipa::path(get, path = "/admin/v1/tenants/{tenant}/jwt-issuers/{id}", tag = "JWT issuers", operation_id = "get_jwt_issuer",
    params(("tenant" = String, Path, description = "The tenant's slug"), ("id" = uuid::Uuid, Path, description = "The issuer's id")),
    responses((status = 200, description = "The issuer", body = SuccessBody<JwtIssuerView>)))]
pub(super) async fn show(
    Operator(tenants): Operator,
    Path((tenant, id)): Path<(String, String)>,
) -> Result<Versioned<JwtIssuerView>, ApiError> {
    Ok(versioned(&tenants.get_jwt_issuer(&Slug::parse(&tenant)?, parse_id(&id)?).await?))
}

/// Change how a JWT issuer's tokens are checked.
///
/// Omitted fields stay as they are. A change takes effect within a second, also for
/// tokens that are in use.
#[utoipa::path(patch, path = "/admin/v1/tenants/{tenant}/jwt-issuers/{id}", tag = "JWT issuers", operation_id = "update_jwt_issuer",
    params(("tenant" = String, Path, description = "The tenant's slug"), ("id" = uuid::Uuid, Path, description = "The issuer's id"),
        ("if-match" = Option<String>, Header, description = "The ETag that was read")),
    request_body = JwtIssuerPatch,
    responses((status = 200, description = "The issuer", body = SuccessBody<JwtIssuerView>)))]
pub(super) async fn update(
    State(gateway): State<SharedGateway>,
    Operator(tenants): Operator,
    Path((tenant, id)): Path<(String, String)>,
    IfMatch(expected): IfMatch,
    Body(body): Body<JwtIssuerPatch>,
) -> Result<Versioned<JwtIssuerView>, ApiError> {
    let (slug, id) = (Slug::parse(&tenant)?, parse_id(&id)?);
    let changes = JwtIssuerChanges {
        algorithm: body.algorithm.as_deref().map(str::parse).transpose()?,
        verification: verification(&gateway, body.hmac_secret, body.jwks, body.jwks_url, body.public_key_pem)?,
        leeway_seconds: body.leeway_seconds,
        scopes: body.scopes.map(|scopes| parse_scopes(&scopes)).transpose()?,
        scopes_claim: body.scopes_claim,
    };
    Ok(versioned(&tenants.update_jwt_issuer(&slug, id, changes, expected, &gateway.keyring).await?))
}

/// Archive an issuer: reject its tokens and free its pair of issuer and audience.
///
/// Takes effect within a second on every instance, and cannot be undone: add the issuer again
/// instead.
#[utoipa::path(post, path = "/admin/v1/tenants/{tenant}/jwt-issuers/{id}/archive", tag = "JWT issuers",
    operation_id = "archive_jwt_issuer", params(("tenant" = String, Path, description = "The tenant's slug"), ("id" = uuid::Uuid, Path, description = "The issuer's id")),
    responses((status = 200, description = "The archived issuer", body = SuccessBody<JwtIssuerView>)))]
pub(super) async fn archive(
    Operator(tenants): Operator,
    Path((tenant, id)): Path<(String, String)>,
) -> Result<Versioned<JwtIssuerView>, ApiError> {
    Ok(versioned(&tenants.archive_jwt_issuer(&Slug::parse(&tenant)?, parse_id(&id)?).await?))
}

/// Test a token: show every check of a request with it, and which of them fail.
///
/// Published keys are fetched again for it. The token is neither stored nor logged.
#[utoipa::path(post, path = "/admin/v1/tenants/{tenant}/jwt-issuers/{id}/test", tag = "JWT issuers",
    operation_id = "test_jwt_issuer", params(("tenant" = String, Path, description = "The tenant's slug"), ("id" = uuid::Uuid, Path, description = "The issuer's id")),
    request_body = TokenTest,
    responses((status = 200, description = "Every check", body = SuccessBody<PageView<TokenCheckView>>)))]
pub(super) async fn test(
    State(gateway): State<SharedGateway>,
    Operator(tenants): Operator,
    Path((tenant, id)): Path<(String, String)>,
    Body(body): Body<TokenTest>,
) -> Result<Success<PageView<TokenCheckView>>, ApiError> {
    let (slug, id) = (Slug::parse(&tenant)?, parse_id(&id)?);
    let checks = tenants.test_jwt_issuer(&slug, id, &body.token, &gateway.keyring).await?;
    Ok(Success(Page::whole(checks).view().into()))
}

/// The one verification that a body names.
fn verification(
    gateway: &SharedGateway,
    hmac_secret: Option<SecretString>,
    jwks: Option<String>,
    jwks_url: Option<String>,
    public_key_pem: Option<String>,
) -> Result<Option<NewVerification>, ApiError> {
    let jwks_url = jwks_url.map(|text| JwksUrl::parse(&text, &gateway.edge.allowed_hosts)).transpose()?;
    let mut named = [
        hmac_secret.map(NewVerification::HmacSecret),
        jwks.map(NewVerification::Jwks),
        jwks_url.map(NewVerification::JwksUrl),
        public_key_pem.map(NewVerification::PublicKeyPem),
    ]
    .into_iter()
    .flatten();
    match (named.next(), named.next()) {
        (_, Some(_)) => Err(one_verification("only one")),
        (one, None) => Ok(one),
    }
}

fn one_verification(how_many: &str) -> ApiError {
    Invalid::new("jwks_url", format!("must be given, or {how_many} of hmac_secret, jwks and public_key_pem instead"))
        .into()
}

/// An id of another form is that of no row.
fn parse_id(text: &str) -> Result<JwtIssuerId, ApiError> {
    let id = text.parse::<uuid::Uuid>().map_err(|_| ApiError::with_detail(Reason::ResourceNotFound, "JWT issuer"))?;
    Ok(id.into())
}

fn parse_scopes(texts: &[String]) -> Result<Scopes, Invalid> {
    Scopes::parse(texts.iter().map(String::as_str))
}

fn versioned(issuer: &JwtIssuer) -> Versioned<JwtIssuerView> {
    Versioned { revision: issuer.revision, view: JwtIssuerView::from(issuer) }
}
