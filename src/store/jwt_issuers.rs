//! Table `jwt_issuers`.

use chrono::{DateTime, Utc};

use crate::domain::caller::Scopes;
use crate::domain::egress::AllowedHosts;
use crate::domain::ids::{JwtIssuerId, TenantId};
use crate::domain::jwt_issuer::{JwksUrl, JwtIssuer, Verification};

use super::written::require_rows;
use super::{Store, StoreError, Transaction};

struct Row {
    id: uuid::Uuid,
    tenant_id: uuid::Uuid,
    issuer: String,
    audience: String,
    algorithm: String,
    sealed_hmac_secret: Option<Vec<u8>>,
    jwks: Option<String>,
    jwks_url: Option<String>,
    public_key_pem: Option<String>,
    sealing_key_id: Option<String>,
    hmac_secret_version: i32,
    leeway_seconds: i32,
    scopes: Vec<String>,
    scopes_claim: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    archived_at: Option<DateTime<Utc>>,
    revision: i32,
}

/// Queries whole rows. The columns are in a macro because sqlx checks only literals.
macro_rules! select {
    ($rest:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            "SELECT id, tenant_id, issuer, audience, algorithm, sealed_hmac_secret, jwks, jwks_url, public_key_pem, sealing_key_id,
                hmac_secret_version, leeway_seconds, scopes, scopes_claim, created_at, updated_at, archived_at, revision
         FROM jwt_issuers" + $rest
            $(, $argument)*
        )
    };
}

impl TryFrom<Row> for JwtIssuer {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let verification = match (row.sealed_hmac_secret, row.jwks, row.jwks_url) {
            (Some(sealed), ..) => Verification::SealedHmacSecret {
                sealing_key_id: row.sealing_key_id.unwrap_or_default(),
                sealed,
                version: row.hmac_secret_version,
            },
            (_, Some(jwks), _) => Verification::Jwks(jwks),
            // Whether the host may be reached is decided when it is written, and again when it is fetched from.
            (.., Some(url)) => Verification::JwksUrl(JwksUrl::parse(&url, &AllowedHosts::any())?),
            (None, None, None) => Verification::PublicKeyPem(row.public_key_pem.unwrap_or_default()),
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
            scopes_claim: row.scopes_claim,
            created_at: row.created_at,
            updated_at: row.updated_at,
            archived_at: row.archived_at,
            revision: row.revision,
        })
    }
}

/// Finds the issuer of this pair. The tenant is not known before.
///
/// # Errors
/// The database is unreachable, or the row does not parse.
pub async fn find_any_tenant(store: &Store, issuer: &str, audience: &str) -> Result<Option<JwtIssuer>, StoreError> {
    let row = select!(" WHERE issuer = $1 AND audience = $2 AND archived_at IS NULL", issuer, audience);
    let row = store.within(("SELECT", "jwt_issuers"), row.fetch_optional(&store.pool)).await?;
    row.map(JwtIssuer::try_from).transpose()
}

/// A tenant's issuers.
///
/// # Errors
/// The database is unreachable, or a row does not parse.
pub async fn list(store: &Store, tenant_id: TenantId) -> Result<Vec<JwtIssuer>, StoreError> {
    let rows = select!(" WHERE tenant_id = $1 AND archived_at IS NULL ORDER BY issuer, audience", tenant_id.uuid());
    let rows = store.within(("SELECT", "jwt_issuers"), rows.fetch_all(&store.pool)).await?;
    rows.into_iter().map(JwtIssuer::try_from).collect()
}

/// # Errors
/// The database is unreachable, or the row does not parse.
pub async fn find(store: &Store, tenant_id: TenantId, id: JwtIssuerId) -> Result<Option<JwtIssuer>, StoreError> {
    let row = select!(" WHERE tenant_id = $1 AND id = $2 AND archived_at IS NULL", tenant_id.uuid(), id.uuid());
    let row = store.within(("SELECT", "jwt_issuers"), row.fetch_optional(&store.pool)).await?;
    row.map(JwtIssuer::try_from).transpose()
}

/// An issuer whose row is held until the transaction ends.
#[derive(Debug)]
pub struct Locked {
    pub issuer: JwtIssuer,
    /// Counts all secrets that the issuer has had, even if it has none now. Sealed secrets are
    /// bound to this number.
    pub hmac_secret_version: i32,
}

/// # Errors
/// The database is unreachable, or the row does not parse.
pub async fn lock(
    transaction: &mut Transaction,
    tenant_id: TenantId,
    id: JwtIssuerId,
) -> Result<Option<Locked>, StoreError> {
    let row =
        select!(" WHERE tenant_id = $1 AND id = $2 AND archived_at IS NULL FOR UPDATE", tenant_id.uuid(), id.uuid())
            .fetch_optional(&mut **transaction)
            .await?;
    row.map(|row| Ok(Locked { hmac_secret_version: row.hmac_secret_version, issuer: row.try_into()? })).transpose()
}

/// # Errors
/// [`StoreError::Taken`] if the pair of issuer and audience already belongs to a tenant.
pub async fn insert(transaction: &mut Transaction, issuer: &JwtIssuer) -> Result<(), StoreError> {
    let Columns { sealing_key_id, sealed, version, jwks, jwks_url, pem } = Columns::of(&issuer.verification);
    sqlx::query!(
        "INSERT INTO jwt_issuers (id, tenant_id, issuer, audience, algorithm, sealed_hmac_secret, jwks, jwks_url, public_key_pem,
                                  sealing_key_id, hmac_secret_version, leeway_seconds, scopes, scopes_claim, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        issuer.id.uuid(),
        issuer.tenant_id.uuid(),
        issuer.issuer,
        issuer.audience,
        issuer.algorithm.as_str(),
        sealed,
        jwks,
        jwks_url,
        pem,
        sealing_key_id,
        version.unwrap_or(1),
        issuer.leeway_seconds.cast_signed(),
        &issuer.scopes.texts(),
        issuer.scopes_claim,
        issuer.created_at,
        issuer.updated_at
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Locks issuers whose secrets are sealed with a key other than `sealing_key_id`, after the id
/// `after`, including archived ones, until the transaction ends.
///
/// # Errors
/// The database is unreachable, or a row does not parse.
pub async fn lock_sealed_otherwise_any_tenant(
    transaction: &mut Transaction,
    sealing_key_id: &str,
    after: Option<JwtIssuerId>,
    limit: i64,
) -> Result<Vec<JwtIssuer>, StoreError> {
    let rows = select!(
        " WHERE sealing_key_id <> $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3 FOR UPDATE",
        sealing_key_id,
        after.map(JwtIssuerId::uuid),
        limit
    )
    .fetch_all(&mut **transaction)
    .await?;
    rows.into_iter().map(JwtIssuer::try_from).collect()
}

/// Writes the same secret, sealed with another key. The row's revision does not change.
///
/// # Errors
/// The database is unreachable.
pub async fn save_resealed_any_tenant(
    transaction: &mut Transaction,
    issuer: &JwtIssuer,
    sealing_key_id: &str,
    sealed: &[u8],
) -> Result<(), StoreError> {
    let written = sqlx::query!(
        "UPDATE jwt_issuers SET sealing_key_id = $3, sealed_hmac_secret = $4 WHERE tenant_id = $1 AND id = $2",
        issuer.tenant_id.uuid(),
        issuer.id.uuid(),
        sealing_key_id,
        sealed
    )
    .execute(&mut **transaction)
    .await?;
    require_rows(&written, 1)
}

/// Writes every field of an issuer that can change.
///
/// # Errors
/// The database is unreachable.
pub async fn update(transaction: &mut Transaction, issuer: &JwtIssuer) -> Result<(), StoreError> {
    let Columns { sealing_key_id, sealed, version, jwks, jwks_url, pem } = Columns::of(&issuer.verification);
    let written = sqlx::query!(
        "UPDATE jwt_issuers SET algorithm = $3, sealed_hmac_secret = $4, jwks = $5, jwks_url = $6, public_key_pem = $7,
                sealing_key_id = $8, hmac_secret_version = coalesce($9, hmac_secret_version), leeway_seconds = $10, scopes = $11,
                scopes_claim = $12, updated_at = $13, archived_at = $14, revision = $15
         WHERE tenant_id = $1 AND id = $2",
        issuer.tenant_id.uuid(),
        issuer.id.uuid(),
        issuer.algorithm.as_str(),
        sealed,
        jwks,
        jwks_url,
        pem,
        sealing_key_id,
        version,
        issuer.leeway_seconds.cast_signed(),
        &issuer.scopes.texts(),
        issuer.scopes_claim,
        issuer.updated_at,
        issuer.archived_at,
        issuer.revision
    )
    .execute(&mut **transaction)
    .await?;
    require_rows(&written, 1)
}

/// The columns of the key material, of which one is set, and what belongs to it.
#[derive(Default)]
struct Columns<'a> {
    sealing_key_id: Option<&'a str>,
    sealed: Option<&'a [u8]>,
    /// `None` leaves the count as it is.
    version: Option<i32>,
    jwks: Option<&'a str>,
    jwks_url: Option<&'a str>,
    pem: Option<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(verification: &'a Verification) -> Self {
        let none = Self::default();
        match verification {
            Verification::SealedHmacSecret { sealing_key_id, sealed, version } => {
                Self { sealing_key_id: Some(sealing_key_id), sealed: Some(sealed), version: Some(*version), ..none }
            }
            Verification::Jwks(text) => Self { jwks: Some(text), ..none },
            Verification::JwksUrl(url) => Self { jwks_url: Some(url.as_str()), ..none },
            Verification::PublicKeyPem(text) => Self { pem: Some(text), ..none },
        }
    }
}
