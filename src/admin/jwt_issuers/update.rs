//! Updates a JWT issuer. Its issuer and audience never change, because they identify the tenant of
//! a token.

use crate::auth::jwt::keys::{KeyMaterial, Keys, needs_a_secret};
use crate::crypto::keyring::Keyring;
use crate::domain::Invalid;
use crate::domain::caller::Scopes;
use crate::domain::ids::JwtIssuerId;
use crate::domain::jwt_issuer::{JwtAlgorithm, JwtIssuer, Verification};
use crate::domain::tenant::Slug;
use crate::store::jwt_issuers::{self, Locked};

use super::{Admin, AdminError, NewVerification, change, check_rules, name, no_issuer};

/// Changes of an issuer; `None` keeps a value.
#[derive(Debug, Default)]
pub struct JwtIssuerChanges {
    pub algorithm: Option<JwtAlgorithm>,
    pub verification: Option<NewVerification>,
    pub leeway_seconds: Option<u32>,
    pub scopes: Option<Scopes>,
    pub scopes_claim: Option<String>,
}

impl Admin {
    /// Changes an issuer; with an `expected_revision`, only if nobody changed it since.
    ///
    /// # Errors
    /// There is no such tenant or issuer, it has another revision, or the changes contradict each
    /// other.
    pub async fn update_jwt_issuer(
        &self,
        slug: &Slug,
        id: JwtIssuerId,
        changes: JwtIssuerChanges,
        expected_revision: Option<i32>,
        keyring: &Keyring,
    ) -> Result<JwtIssuer, AdminError> {
        let tenant_id = self.get_tenant_id(slug).await?;
        let mut transaction = self.store.begin().await?;
        let locked = jwt_issuers::lock(&mut transaction, tenant_id, id).await?.ok_or_else(|| no_issuer(id))?;
        let current = locked.issuer.revision;
        if expected_revision.is_some_and(|expected| expected != current) {
            return Err(AdminError::Stale { current });
        }
        let (mut issuer, fields) = apply(locked, changes, keyring)?;
        if !fields.is_empty() {
            issuer.revision = current + 1;
            issuer.updated_at = self.clock.now();
            jwt_issuers::update(&mut transaction, &issuer).await?;
            self.audit(&mut transaction, change("jwt_issuer.update", &issuer, &name(&issuer), &fields)).await?;
        }
        self.commit(transaction).await?;
        Ok(issuer)
    }
}

/// The changed issuer, and the names of the fields that differ.
fn apply(
    locked: Locked,
    changes: JwtIssuerChanges,
    keyring: &Keyring,
) -> Result<(JwtIssuer, Vec<&'static str>), Invalid> {
    let Locked { issuer: old, hmac_secret_version } = locked;
    let mut new = old.clone();
    new.algorithm = changes.algorithm.unwrap_or(old.algorithm);
    new.leeway_seconds = changes.leeway_seconds.unwrap_or(old.leeway_seconds);
    new.scopes = changes.scopes.unwrap_or(old.scopes);
    new.scopes_claim = changes.scopes_claim.unwrap_or(new.scopes_claim);
    check_rules(new.leeway_seconds, new.scopes, &new.scopes_claim)?;
    let mut fields = Vec::new();
    match changes.verification {
        Some(verification) => {
            verification.check(new.algorithm)?;
            if let Some(field) = difference(&verification, &old.verification) {
                fields.push(field);
                new.verification = verification.seal(old.id, hmac_secret_version + 1, keyring);
            }
        }
        None if new.algorithm != old.algorithm => check_stored(new.algorithm, &old.verification)?,
        None => {}
    }
    let differs = [
        ("algorithm", new.algorithm != old.algorithm),
        ("leeway_seconds", new.leeway_seconds != old.leeway_seconds),
        ("scopes", new.scopes != old.scopes),
        ("scopes_claim", new.scopes_claim != old.scopes_claim),
    ];
    fields.extend(differs.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field));
    Ok((new, fields))
}

/// The key field that changes. A secret always counts as changed, because comparing it would
/// require opening the old one.
fn difference(new: &NewVerification, old: &Verification) -> Option<&'static str> {
    match (new, old) {
        (NewVerification::Jwks(new), Verification::Jwks(old)) if new == old => None,
        (NewVerification::JwksUrl(new), Verification::JwksUrl(old)) if new == old => None,
        (NewVerification::PublicKeyPem(new), Verification::PublicKeyPem(old)) if new == old => None,
        (NewVerification::HmacSecret(_), _) => Some("hmac_secret"),
        (NewVerification::Jwks(_), _) => Some("jwks"),
        (NewVerification::JwksUrl(_), _) => Some("jwks_url"),
        (NewVerification::PublicKeyPem(_), _) => Some("public_key_pem"),
    }
}

/// Whether the stored keys match another algorithm.
fn check_stored(algorithm: JwtAlgorithm, verification: &Verification) -> Result<(), Invalid> {
    let material = match verification {
        Verification::SealedHmacSecret { .. } => {
            return Err(Invalid::new("algorithm", "must be HS256 for a secret"));
        }
        Verification::JwksUrl(_) if algorithm == JwtAlgorithm::Hs256 => return Err(needs_a_secret()),
        Verification::JwksUrl(_) => return Ok(()),
        Verification::Jwks(jwks) => KeyMaterial::Jwks(jwks),
        Verification::PublicKeyPem(pem) => KeyMaterial::PublicKeyPem(pem),
    };
    Keys::new(algorithm, &material).map(drop)
}
