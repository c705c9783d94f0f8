//! JWT issuers: whose tokens speak for a tenant.

use secrecy::SecretString;

use crate::auth::hmac_secret_binding;
use crate::auth::jwt::{KeyMaterial, LONGEST_NAME_BYTES, Verifier, is_name};
use crate::domain::Invalid;
use crate::domain::caller::Scopes;
use crate::domain::ids::JwtIssuerId;
use crate::domain::jwt_issuer::{JwtAlgorithm, JwtIssuer, Verification};
use crate::domain::tenant::Slug;
use crate::store::jwt_issuers;
use crate::vault::keyring::Keyring;

use super::{Change, ManageError, Tenants, taken};

/// A JWT issuer, with its secret in the open if it has one.
#[derive(Debug)]
pub struct NewJwtIssuer {
    pub issuer: String,
    pub audience: String,
    pub algorithm: JwtAlgorithm,
    pub verification: NewVerification,
    /// How far clocks may differ, in seconds.
    pub leeway_seconds: u32,
    pub scopes: Scopes,
}

/// What an issuer's signatures are checked with.
#[derive(Debug)]
pub enum NewVerification {
    HmacSecret(SecretString),
    Jwks(String),
    PublicKeyPem(String),
}

impl NewVerification {
    const fn material(&self) -> KeyMaterial<'_> {
        match self {
            Self::HmacSecret(secret) => KeyMaterial::HmacSecret(secret),
            Self::Jwks(jwks) => KeyMaterial::Jwks(jwks.as_str()),
            Self::PublicKeyPem(pem) => KeyMaterial::PublicKeyPem(pem.as_str()),
        }
    }
}

impl Tenants {
    /// Lets an issuer's tokens speak for the tenant.
    ///
    /// # Errors
    /// The pair of issuer and audience names a tenant already, or the key material does not fit the algorithm.
    pub async fn add_jwt_issuer(
        &self,
        slug: &Slug,
        new: NewJwtIssuer,
        keyring: &Keyring,
    ) -> Result<JwtIssuerId, ManageError> {
        check(&new)?;
        let tenant_id = self.get_tenant_id(slug).await?;
        let now = self.clock.now();
        let id = JwtIssuerId::generate(now, &self.randomness);
        let pair = format!("({}, {})", new.issuer, new.audience);
        let verification = match new.verification {
            NewVerification::HmacSecret(secret) => Verification::SealedHmacSecret {
                sealing_key_id: keyring.sealing_key_id().to_owned(),
                sealed: keyring.seal(hmac_secret_binding(id, 1), &secret),
                version: 1,
            },
            NewVerification::Jwks(jwks) => Verification::Jwks(jwks),
            NewVerification::PublicKeyPem(pem) => Verification::PublicKeyPem(pem),
        };
        let row = JwtIssuer {
            id,
            tenant_id,
            issuer: new.issuer,
            audience: new.audience,
            algorithm: new.algorithm,
            verification,
            leeway_seconds: new.leeway_seconds,
            scopes: new.scopes,
            scopes_claim: "scope".to_owned(),
            created_at: now,
            updated_at: now,
            archived_at: None,
            revision: 1,
        };
        let mut transaction = self.store.begin().await?;
        jwt_issuers::insert(&mut transaction, &row)
            .await
            .map_err(|error| taken(error, "JWT issuer with the pair", "audience", &pair))?;
        let name = format!("{} {}", row.issuer, row.audience);
        let added =
            Change { action: "jwt_issuer.add", tenant_id: Some(tenant_id), id: id.uuid(), name: &name, fields: &[] };
        self.audit(&mut transaction, added).await?;
        self.commit(transaction).await?;
        Ok(id)
    }

    /// A tenant's issuers.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn list_jwt_issuers(&self, slug: &Slug) -> Result<Vec<JwtIssuer>, ManageError> {
        let tenant_id = self.get_tenant_id(slug).await?;
        Ok(jwt_issuers::list(&self.store, tenant_id).await?)
    }
}

fn check(new: &NewJwtIssuer) -> Result<(), Invalid> {
    for (field, text) in [("issuer", &new.issuer), ("audience", &new.audience)] {
        if !is_name(text) {
            return Err(Invalid::new(
                field,
                format!("must be 1 to {LONGEST_NAME_BYTES} bytes, exactly as the token has it"),
            ));
        }
    }
    if new.leeway_seconds > 300 {
        return Err(Invalid::new("leeway", "must be 0 to 300 seconds"));
    }
    // Whatever a request would trip over is found now.
    Verifier::new(&new.issuer, &new.audience, new.algorithm, new.leeway_seconds, &new.verification.material()).map(drop)
}
