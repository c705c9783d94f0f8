//! Caches JWT issuers and the keys that verify their tokens, for a bounded time.

use std::hash::Hash;
use std::sync::Arc;

use moka::Equivalent;

use crate::cache::Cache;
use crate::crypto::cipher::AssociatedData;
use crate::crypto::keyring::Keyring;
use crate::domain::Invalid;
use crate::domain::ids::JwtIssuerId;
use crate::domain::jwt_issuer::{JwtIssuer, Verification};
use crate::store::{Store, jwt_issuers};
use crate::telemetry::metrics::JwksStats;
use crate::telemetry::metrics::cache::CacheMetrics;

use super::jwks::Jwks;
use super::jwt::keys::{KeyMaterial, Keys};
use super::jwt::{Claimed, KeySource, Verifier};
use super::{AuthError, CacheBounds, IssuerFault, Refusal};

/// There are few issuers, but unknown ones from strangers are cached too, with up to a kilobyte of
/// names.
const MAX_ISSUERS: u64 = 10_000;

pub struct KnownIssuer {
    pub row: JwtIssuer,
    pub verifier: Verifier,
}

/// Issuer and audience.
type Pair = (String, String);

/// The same, borrowed, so that a lookup does not allocate.
#[derive(Hash)]
struct PairRef<'a>(&'a str, &'a str);

impl Equivalent<Pair> for PairRef<'_> {
    fn equivalent(&self, pair: &Pair) -> bool {
        self.0 == pair.0 && self.1 == pair.1
    }
}

pub struct Issuers {
    store: Store,
    keyring: Arc<Keyring>,
    // `None` is remembered too, so that a stranger who repeats himself does not reach the database each time.
    known: Cache<Pair, Option<Arc<KnownIssuer>>, AuthError>,
    jwks: Jwks,
}

impl Issuers {
    pub fn new(store: Store, keyring: Arc<Keyring>, bounds: CacheBounds, jwks: Jwks, metrics: CacheMetrics) -> Self {
        let known = Cache::new(bounds.max_entries.min(MAX_ISSUERS), bounds.max_age, metrics);
        Self { store, keyring, known, jwks }
    }

    pub fn size(&self) -> (&'static str, u64) {
        self.known.size()
    }

    /// The state of fetched key sets.
    pub fn jwks_stats(&self) -> JwksStats {
        self.jwks.facts()
    }

    pub fn forget(&self, issuer: &str, audience: &str) {
        self.known.invalidate(&(issuer.to_owned(), audience.to_owned()));
    }

    pub fn invalidate_all(&self) {
        self.known.invalidate_all();
    }

    pub fn evict_expired(&self) {
        self.known.evict_expired();
    }

    /// Finds the one issuer that a token names.
    ///
    /// # Errors
    /// [`AuthError::Refused`] if the token names no known issuer, or two.
    pub async fn get(&self, claimed: &Claimed, may_look_up: &impl Fn() -> bool) -> Result<Arc<KnownIssuer>, AuthError> {
        let mut found = None;
        for audience in &claimed.audiences {
            let issuer = self.find(&claimed.issuer, audience, may_look_up).await?;
            // A token that names two tenants names none.
            if issuer.is_some() && found.is_some() {
                return Err(AuthError::Refused(Refusal::UnknownIssuer));
            }
            found = found.or(issuer);
        }
        found.ok_or(AuthError::Refused(Refusal::UnknownIssuer))
    }

    async fn find(
        &self,
        issuer: &str,
        audience: &str,
        may_look_up: &impl Fn() -> bool,
    ) -> Result<Option<Arc<KnownIssuer>>, AuthError> {
        if let Some(known) = self.known.get(&PairRef(issuer, audience)) {
            return Ok(known);
        }
        if !may_look_up() {
            return Err(AuthError::LookupDenied);
        }
        let pair = (issuer.to_owned(), audience.to_owned());
        let read = self.known.get_or_read(&pair, || self.read(issuer, audience)).await;
        read.map_err(Arc::unwrap_or_clone)
    }

    async fn read(&self, issuer: &str, audience: &str) -> Result<Option<Arc<KnownIssuer>>, AuthError> {
        let row = jwt_issuers::find_any_tenant(&self.store, issuer, audience).await.map_err(Arc::new)?;
        let Some(row) = row else { return Ok(None) };
        let keys = match &row.verification {
            Verification::JwksUrl(url) => KeySource::Published(self.jwks.published(row.id, url, row.algorithm)),
            _ => KeySource::Row(
                open_keys(&self.keyring, &row).map_err(|fault| AuthError::IssuerUnusable(row.id.uuid(), fault))?,
            ),
        };
        let verifier = Verifier::new(&row, keys);
        Ok(Some(Arc::new(KnownIssuer { row, verifier })))
    }
}

/// The associated data of an issuer's HMAC secret.
#[must_use]
pub fn hmac_secret_binding(issuer_id: JwtIssuerId, version: i32) -> AssociatedData {
    AssociatedData { table: "jwt_issuers", row: issuer_id.uuid(), column: "sealed_hmac_secret", version }
}

/// The keys in an issuer's row.
///
/// # Errors
/// The secret does not open, the key material is invalid, or the row has a URL instead of keys.
pub fn open_keys(keyring: &Keyring, row: &JwtIssuer) -> Result<Keys, IssuerFault> {
    let new = |material: KeyMaterial<'_>| Keys::new(row.algorithm, &material);
    Ok(match &row.verification {
        Verification::SealedHmacSecret { sealing_key_id, sealed, version } => {
            let secret = keyring.open(sealing_key_id, hmac_secret_binding(row.id, *version), sealed)?;
            new(KeyMaterial::HmacSecret(&secret))?
        }
        Verification::Jwks(jwks) => new(KeyMaterial::Jwks(jwks))?,
        Verification::PublicKeyPem(pem) => new(KeyMaterial::PublicKeyPem(pem))?,
        Verification::JwksUrl(_) => return Err(Invalid::new("jwks_url", "must be fetched").into()),
    })
}
