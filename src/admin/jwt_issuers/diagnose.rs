//! Explains to an operator why a token is rejected.

use secrecy::{ExposeSecret, SecretString};

use crate::auth::jwt::Claimed;
use crate::auth::jwt::diagnose::{ExpectedClaims, TokenCheck, diagnose};
use crate::auth::jwt::keys::Keys;
use crate::auth::{jwks, open_keys};
use crate::crypto::keyring::Keyring;
use crate::domain::ids::JwtIssuerId;
use crate::domain::jwt_issuer::{JwtIssuer, Verification};
use crate::domain::tenant::{Slug, TenantStatus};
use crate::egress::Egress;
use crate::store::jwt_issuers;

use super::{Admin, AdminError};

impl Admin {
    /// Runs every check of a request on a token, without stopping at the first failure. Fetches
    /// published keys again.
    ///
    /// # Errors
    /// There is no such tenant or issuer. Problems with the token or the keys are in the checks.
    pub async fn test_jwt_issuer(
        &self,
        slug: &Slug,
        id: JwtIssuerId,
        token: &SecretString,
        keyring: &Keyring,
    ) -> Result<Vec<TokenCheck>, AdminError> {
        let tenant = self.get_tenant(slug).await?;
        let issuer = self.get_jwt_issuer(slug, id).await?;
        let token = token.expose_secret();
        let also_named = self.also_named(&issuer, token).await?;
        let keys = keys(&issuer, keyring, &self.outbound).await;
        let now = self.clock.now();
        let against = ExpectedClaims { issuer: &issuer, keys: &keys, also_named: also_named.as_deref(), now };
        let mut checks = diagnose(token, &against);
        checks.push(TokenCheck {
            check: "tenant",
            passed: tenant.status == TenantStatus::Active,
            found: tenant.status.as_str().to_owned(),
            expected: TenantStatus::Active.as_str().to_owned(),
        });
        Ok(checks)
    }

    /// Another audience of the token that identifies another issuer; such a token is rejected.
    async fn also_named(&self, issuer: &JwtIssuer, token: &str) -> Result<Option<String>, AdminError> {
        let Some(claimed) = Claimed::read(token) else { return Ok(None) };
        for audience in claimed.audiences {
            let named = jwt_issuers::find_any_tenant(&self.store, &claimed.issuer, &audience).await?;
            if named.is_some_and(|named| named.id != issuer.id) {
                return Ok(Some(audience));
            }
        }
        Ok(None)
    }
}

async fn keys(issuer: &JwtIssuer, keyring: &Keyring, outbound: &Egress) -> Result<Keys, String> {
    match &issuer.verification {
        Verification::JwksUrl(url) => jwks::fetch(outbound, url, issuer.algorithm)
            .await
            .map(Keys::Set)
            .map_err(|fault| format!("no keys from {}: {fault}", url.host())),
        _ => open_keys(keyring, issuer).map_err(|fault| format!("the issuer cannot be used: {fault}")),
    }
}
