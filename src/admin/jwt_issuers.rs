//! JWT issuers: add, list, update, archive. An archived issuer gets the same response as an unknown
//! one.

use secrecy::SecretString;

use crate::auth::hmac_secret_binding;
use crate::auth::jwt::keys::{KeyMaterial, Keys, needs_a_secret};
use crate::auth::jwt::{MAX_NAME_BYTES, is_name};
use crate::crypto::keyring::Keyring;
use crate::domain::Invalid;
use crate::domain::caller::Scopes;
use crate::domain::ids::JwtIssuerId;
use crate::domain::jwt_issuer::{JwksUrl, JwtAlgorithm, JwtIssuer, Verification};
use crate::domain::tenant::Slug;
use crate::store::jwt_issuers;

use super::{Admin, AdminError, AuditEntry, taken};

mod diagnose;
mod update;

pub use self::update::JwtIssuerChanges;

/// Maximum clock skew between an issuer and the gateway in seconds.
const MAX_LEEWAY_SECONDS: u32 = 300;
/// Maximum length of a claim's name in characters.
const MAX_CLAIM_NAME_CHARS: usize = 100;

/// A JWT issuer with its unsealed secret, if it has one.
#[derive(Debug)]
pub struct NewJwtIssuer {
    pub issuer: String,
    pub audience: String,
    pub algorithm: JwtAlgorithm,
    pub verification: NewVerification,
    /// Tolerated clock difference, in seconds.
    pub leeway_seconds: u32,
    pub scopes: Scopes,
    /// The name of the scopes claim; usually `scope`.
    pub scopes_claim: String,
}

/// The keys that verify an issuer's signatures.
#[derive(Debug)]
pub enum NewVerification {
    HmacSecret(SecretString),
    Jwks(String),
    JwksUrl(JwksUrl),
    PublicKeyPem(String),
}

impl NewVerification {
    /// Checks in advance everything that would make requests fail.
    fn check(&self, algorithm: JwtAlgorithm) -> Result<(), Invalid> {
        let material = match self {
            Self::HmacSecret(secret) => KeyMaterial::HmacSecret(secret),
            Self::Jwks(jwks) => KeyMaterial::Jwks(jwks),
            Self::PublicKeyPem(pem) => KeyMaterial::PublicKeyPem(pem),
            Self::JwksUrl(_) if algorithm == JwtAlgorithm::Hs256 => return Err(needs_a_secret()),
            // What is published there may change at any time: `test_jwt_issuer` looks.
            Self::JwksUrl(_) => return Ok(()),
        };
        Keys::new(algorithm, &material).map(drop)
    }

    /// The form that is stored: a secret is sealed for this `version`.
    fn seal(self, id: JwtIssuerId, version: i32, keyring: &Keyring) -> Verification {
        match self {
            Self::HmacSecret(secret) => Verification::SealedHmacSecret {
                sealing_key_id: keyring.sealing_key_id().to_owned(),
                sealed: keyring.seal(hmac_secret_binding(id, version), &secret),
                version,
            },
            Self::Jwks(jwks) => Verification::Jwks(jwks),
            Self::JwksUrl(url) => Verification::JwksUrl(url),
            Self::PublicKeyPem(pem) => Verification::PublicKeyPem(pem),
        }
    }
}

impl Admin {
    /// Adds an issuer whose tokens identify callers of the tenant.
    ///
    /// # Errors
    /// The pair of issuer and audience is taken, or the key material does not match the algorithm.
    pub async fn add_jwt_issuer(
        &self,
        slug: &Slug,
        new: NewJwtIssuer,
        keyring: &Keyring,
    ) -> Result<JwtIssuer, AdminError> {
        check_new(&new)?;
        let tenant_id = self.get_tenant_id(slug).await?;
        let now = self.clock.now();
        let id = JwtIssuerId::generate(now, &self.randomness);
        let row = JwtIssuer {
            id,
            tenant_id,
            issuer: new.issuer,
            audience: new.audience,
            algorithm: new.algorithm,
            verification: new.verification.seal(id, 1, keyring),
            leeway_seconds: new.leeway_seconds,
            scopes: new.scopes,
            scopes_claim: new.scopes_claim,
            created_at: now,
            updated_at: now,
            archived_at: None,
            revision: 1,
        };
        let pair = format!("({}, {})", row.issuer, row.audience);
        let mut transaction = self.store.begin().await?;
        jwt_issuers::insert(&mut transaction, &row)
            .await
            .map_err(|error| taken(error, "JWT issuer of this issuer and audience", "audience", &pair))?;
        self.audit(&mut transaction, change("jwt_issuer.add", &row, &name(&row), &[])).await?;
        self.commit(transaction).await?;
        Ok(row)
    }

    /// Lists a tenant's issuers.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn list_jwt_issuers(&self, slug: &Slug) -> Result<Vec<JwtIssuer>, AdminError> {
        let tenant_id = self.get_tenant_id(slug).await?;
        Ok(jwt_issuers::list(&self.store, tenant_id).await?)
    }

    /// # Errors
    /// There is no such tenant, or it has no such issuer.
    pub async fn get_jwt_issuer(&self, slug: &Slug, id: JwtIssuerId) -> Result<JwtIssuer, AdminError> {
        let tenant_id = self.get_tenant_id(slug).await?;
        jwt_issuers::find(&self.store, tenant_id, id).await?.ok_or_else(|| no_issuer(id))
    }

    /// Archives an issuer for good: its tokens are rejected. Its pair of issuer and audience is
    /// free again.
    ///
    /// # Errors
    /// There is no such tenant, or it has no such issuer.
    pub async fn archive_jwt_issuer(&self, slug: &Slug, id: JwtIssuerId) -> Result<JwtIssuer, AdminError> {
        let tenant_id = self.get_tenant_id(slug).await?;
        let mut transaction = self.store.begin().await?;
        let locked = jwt_issuers::lock(&mut transaction, tenant_id, id).await?.ok_or_else(|| no_issuer(id))?;
        let now = self.clock.now();
        let archived = JwtIssuer {
            archived_at: Some(now),
            updated_at: now,
            revision: locked.issuer.revision + 1,
            ..locked.issuer
        };
        jwt_issuers::update(&mut transaction, &archived).await?;
        let name = name(&archived);
        let archive = change("jwt_issuer.archive", &archived, &name, &["archived_at"]);
        self.audit(&mut transaction, archive).await?;
        self.commit(transaction).await?;
        Ok(archived)
    }
}

fn no_issuer(id: JwtIssuerId) -> AdminError {
    AdminError::NotFound { what: "JWT issuer", name: id.to_string() }
}

/// The issuer's name for people.
pub(super) fn name(issuer: &JwtIssuer) -> String {
    format!("{} {}", issuer.issuer, issuer.audience)
}

pub(super) fn change<'a>(
    action: &'static str,
    issuer: &JwtIssuer,
    name: &'a str,
    fields: &'a [&'a str],
) -> AuditEntry<'a> {
    AuditEntry { action, tenant_id: Some(issuer.tenant_id), id: issuer.id.uuid(), name, fields }
}

fn check_new(new: &NewJwtIssuer) -> Result<(), Invalid> {
    for (field, text) in [("issuer", &new.issuer), ("audience", &new.audience)] {
        if !is_name(text) {
            return Err(Invalid::new(
                field,
                format!("must be 1 to {MAX_NAME_BYTES} bytes, exactly as the token has it"),
            ));
        }
    }
    check_rules(new.leeway_seconds, new.scopes, &new.scopes_claim)?;
    new.verification.check(new.algorithm)
}

fn check_rules(leeway_seconds: u32, scopes: Scopes, scopes_claim: &str) -> Result<(), Invalid> {
    if leeway_seconds > MAX_LEEWAY_SECONDS {
        return Err(Invalid::new("leeway_seconds", format!("must be 0 to {MAX_LEEWAY_SECONDS}")));
    }
    if scopes == Scopes::default() {
        return Err(Invalid::new("scopes", "must be one or more of: uploads:issue, uploads:read, uploads:delete"));
    }
    let length = scopes_claim.chars().count();
    if !(1..=MAX_CLAIM_NAME_CHARS).contains(&length) || scopes_claim.chars().any(char::is_control) {
        return Err(Invalid::new("scopes_claim", format!("must be 1 to {MAX_CLAIM_NAME_CHARS} printable characters")));
    }
    Ok(())
}
