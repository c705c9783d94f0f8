//! Table `jwt_issuers`.

use chrono::{DateTime, Utc};

use crate::domain::caller::Scopes;
use crate::domain::ids::{JwtIssuerId, TenantId};
use crate::domain::jwt_issuer::JwtAlgorithm;

use super::{Store, StoreError, Transaction};

/// A JWT issuer as stored.
#[derive(Debug, Clone)]
pub struct JwtIssuer {
    pub id: JwtIssuerId,
    pub tenant_id: TenantId,
    pub issuer: String,
    pub audience: String,
    pub algorithm: JwtAlgorithm,
    pub verification: Verification,
    pub leeway_seconds: u32,
    pub scopes: Scopes,
}

/// What an issuer's signatures are checked with.
#[derive(Debug, Clone)]
pub enum Verification {
    SealedHmacSecret {
        sealing_key_id: String,
        sealed: Vec<u8>,
    },
    /// A JSON Web Key Set (RFC 7517).
    Jwks(String),
    PublicKeyPem(String),
}

struct Row {
    id: uuid::Uuid,
    tenant_id: uuid::Uuid,
    issuer: String,
    audience: String,
    algorithm: String,
    sealed_hmac_secret: Option<Vec<u8>>,
    jwks: Option<String>,
    public_key_pem: Option<String>,
    sealing_key_id: Option<String>,
    leeway_seconds: i32,
    scopes: Vec<String>,
}

impl TryFrom<Row> for JwtIssuer {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let verification = match (row.sealed_hmac_secret, row.jwks, row.public_key_pem) {
            (Some(sealed), ..) => {
                Verification::SealedHmacSecret { sealing_key_id: row.sealing_key_id.unwrap_or_default(), sealed }
            }
            (_, Some(jwks), _) => Verification::Jwks(jwks),
            (.., pem) => Verification::PublicKeyPem(pem.unwrap_or_default()),
        };
        Ok(Self {
            id: row.id.into(),
            tenant_id: row.tenant_id.into(),
            issuer: row.issuer,
            audience: row.audience,
            algorithm: row.algorithm.parse()?,
            verification,
            leeway_seconds: row.leeway_seconds.try_into().unwrap_or(0),
            scopes: Scopes::known_among(row.scopes.iter().map(String::as_str)),
        })
    }
}

/// Finds the one issuer that the pair names; before this, nobody knows the tenant.
///
/// # Errors
/// The database is away, or the row does not parse.
pub async fn find_any_tenant(store: &Store, issuer: &str, audience: &str) -> Result<Option<JwtIssuer>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, tenant_id, issuer, audience, algorithm, sealed_hmac_secret, jwks, public_key_pem, sealing_key_id, leeway_seconds, scopes
         FROM jwt_issuers WHERE issuer = $1 AND audience = $2",
        issuer,
        audience
    );
    let row = store.within(row.fetch_optional(&store.pool)).await?;
    row.map(JwtIssuer::try_from).transpose()
}

/// A tenant's issuers.
///
/// # Errors
/// The database is away, or a row does not parse.
pub async fn list(store: &Store, tenant_id: TenantId) -> Result<Vec<JwtIssuer>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, tenant_id, issuer, audience, algorithm, sealed_hmac_secret, jwks, public_key_pem, sealing_key_id, leeway_seconds, scopes
         FROM jwt_issuers WHERE tenant_id = $1 ORDER BY issuer, audience",
        tenant_id.uuid()
    )
    .fetch_all(&store.pool)
    .await?;
    rows.into_iter().map(JwtIssuer::try_from).collect()
}

/// # Errors
/// [`StoreError::Taken`] when the pair of issuer and audience names a tenant already.
pub async fn insert(transaction: &mut Transaction, issuer: &JwtIssuer, now: DateTime<Utc>) -> Result<(), StoreError> {
    let (sealing_key_id, sealed, jwks, pem) = match &issuer.verification {
        Verification::SealedHmacSecret { sealing_key_id, sealed } => (Some(sealing_key_id), Some(sealed), None, None),
        Verification::Jwks(jwks) => (None, None, Some(jwks), None),
        Verification::PublicKeyPem(pem) => (None, None, None, Some(pem)),
    };
    sqlx::query!(
        "INSERT INTO jwt_issuers (id, tenant_id, issuer, audience, algorithm, sealed_hmac_secret, jwks, public_key_pem,
                                  sealing_key_id, leeway_seconds, scopes, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        issuer.id.uuid(),
        issuer.tenant_id.uuid(),
        issuer.issuer,
        issuer.audience,
        issuer.algorithm.as_str(),
        sealed,
        jwks,
        pem,
        sealing_key_id,
        issuer.leeway_seconds.cast_signed(),
        &issuer.scopes.texts(),
        now
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
