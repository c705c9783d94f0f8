//! Authentication: what a client presents → who is calling.
//!
//! Knows nothing of HTTP. Every way of being wrong is one [`AuthError::Refused`], so that an answer can tell a stranger
//! nothing; the reason is for the log. Keys, issuers and tenants are kept in memory for a bounded time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::cache::Cache;
use crate::domain::Invalid;
use crate::domain::api_key::ApiKey;
use crate::domain::caller::{Caller, CallerKind, Scope, Scopes};
use crate::domain::clock::Clock;
use crate::domain::ids::{JwtIssuerId, TenantId};
use crate::domain::jwt_issuer::{JwtIssuer, Verification};
use crate::domain::tenant::{Slug, Tenant, TenantStatus};
use crate::store::announcements::Announced;
use crate::store::{Store, StoreError, api_keys, jwt_issuers, tenants};
use crate::vault::cipher::Binding;
use crate::vault::keyring::Keyring;

use self::api_key::PresentedApiKey;
pub use self::error::{AuthError, IssuerFault, Refusal};
use self::jwks::Jwks;
use self::jwt::keys::{KeyMaterial, Keys};
use self::jwt::{Claimed, KeySource, Verifier};
use self::last_used::LastUsed;

pub mod api_key;
pub mod error;
pub mod jwks;
pub mod jwt;
pub mod last_used;

/// What a client shows to prove who it is.
pub enum Presented {
    ApiKey(SecretString),
    Jwt(SecretString),
    /// Something, but nothing that could be either.
    Malformed,
}

impl Presented {
    /// Tells an API key from a JWT by its prefix.
    #[must_use]
    pub fn bearer(text: &str) -> Self {
        if text.starts_with(api_key::PREFIX) { Self::ApiKey(text.into()) } else { Self::Jwt(text.into()) }
    }
}

/// How much is kept in memory, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct CacheBounds {
    pub max_entries: u64,
    pub max_age: Duration,
}

struct KnownApiKey {
    row: ApiKey,
    last_used_unix_seconds: AtomicI64,
    /// Whether the next flush will see this key already.
    noted: AtomicBool,
}

/// Issuers are few, but a stranger's made-up one is remembered too, with up to a kilobyte of names.
const MOST_ISSUERS: u64 = 10_000;

struct KnownIssuer {
    row: JwtIssuer,
    verifier: Verifier,
}

/// Turns what clients present into callers.
pub struct Auth {
    store: Store,
    keyring: Arc<Keyring>,
    clock: Clock,
    // `None` is remembered too, so that a stranger who repeats himself does not reach the database each time.
    api_keys: Cache<String, Option<Arc<KnownApiKey>>>,
    issuers: Cache<(String, String), Option<Arc<KnownIssuer>>>,
    tenants: Cache<TenantId, Option<Arc<Tenant>>>,
    tenant_ids: Cache<Slug, Option<TenantId>>,
    jwks: Jwks,
    last_used: LastUsed,
}

impl Auth {
    #[must_use]
    pub fn new(store: Store, keyring: Arc<Keyring>, clock: Clock, bounds: CacheBounds, jwks: Jwks) -> Self {
        Self {
            last_used: LastUsed::new(store.clone()),
            store,
            keyring,
            clock,
            api_keys: Cache::new(bounds.max_entries, bounds.max_age),
            issuers: Cache::new(bounds.max_entries.min(MOST_ISSUERS), bounds.max_age),
            tenants: Cache::new(bounds.max_entries, bounds.max_age),
            tenant_ids: Cache::new(bounds.max_entries, bounds.max_age),
            jwks,
        }
    }

    /// Finds out who is calling. What is not in memory is looked up only if `may_look_up` says so: a client that failed
    /// too often must not make the database work.
    ///
    /// # Errors
    /// [`AuthError::Refused`] for a stranger; [`AuthError::TenantSuspended`] for a caller who may not be served.
    pub async fn authenticate(
        &self,
        presented: &Presented,
        may_look_up: impl Fn() -> bool,
    ) -> Result<Caller, AuthError> {
        match presented {
            Presented::ApiKey(text) => self.authenticate_api_key(text, &may_look_up).await,
            Presented::Jwt(token) => self.authenticate_jwt(token.expose_secret(), &may_look_up).await,
            Presented::Malformed => Err(AuthError::Refused(Refusal::Malformed)),
        }
    }

    /// The caller that stands for everybody who presents nothing.
    ///
    /// # Errors
    /// There is no such tenant, or it is suspended.
    pub async fn anonymous(&self, slug: &Slug) -> Result<Caller, AuthError> {
        let find = async { tenants::find_id_by_slug(&self.store, slug).await };
        let id = self.tenant_ids.get_or_read(slug, find).await?.ok_or(AuthError::NoAnonymousTenant)?;
        let tenant = self.active_tenant(id).await?;
        Ok(Caller {
            tenant,
            kind: CallerKind::Anonymous,
            id: None,
            subject: None,
            scopes: Scopes::default().with(Scope::UploadsIssue),
        })
    }

    /// Writes down which API keys were used since the last time.
    ///
    /// # Errors
    /// The database is away; what was to be written is kept for the next time.
    pub async fn flush_last_used(&self) -> Result<(), StoreError> {
        self.last_used.flush().await
    }

    /// Forgets what has changed; of the next request it is read anew.
    pub async fn forget(&self, changed: &Announced) {
        match changed {
            Announced::Tenants { id, slug } => {
                self.tenants.forget(id).await;
                if let Ok(slug) = Slug::parse(slug) {
                    self.tenant_ids.forget(&slug).await;
                }
            }
            Announced::ApiKeys { public_id } => self.api_keys.forget(public_id).await,
            Announced::JwtIssuers { issuer, audience } => {
                self.issuers.forget(&(issuer.clone(), audience.clone())).await;
            }
            Announced::Buckets { .. } => {}
        }
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        self.tenants.forget_all();
        self.tenant_ids.forget_all();
        self.api_keys.forget_all();
        self.issuers.forget_all();
    }

    async fn authenticate_api_key(
        &self,
        text: &SecretString,
        may_look_up: &impl Fn() -> bool,
    ) -> Result<Caller, AuthError> {
        let known = self.check_api_key(text, may_look_up).await?;
        let tenant = self.active_tenant(known.row.tenant_id.ok_or(AuthError::IsOperator)?).await?;
        Ok(Caller {
            tenant,
            kind: CallerKind::ApiKey,
            id: Some(known.row.id.uuid()),
            subject: None,
            scopes: known.row.scopes,
        })
    }

    /// Finds out which operator is calling, by the public id of the operator's key.
    ///
    /// # Errors
    /// [`AuthError::Refused`] for a stranger; [`AuthError::NotOperator`] for a tenant's caller.
    pub async fn authenticate_operator(
        &self,
        presented: &Presented,
        may_look_up: impl Fn() -> bool,
    ) -> Result<String, AuthError> {
        match presented {
            Presented::ApiKey(text) => {
                let known = self.check_api_key(text, &may_look_up).await?;
                match known.row.tenant_id {
                    None => Ok(known.row.public_id.clone()),
                    Some(_) => Err(AuthError::NotOperator),
                }
            }
            Presented::Jwt(token) => {
                self.authenticate_jwt(token.expose_secret(), &may_look_up).await?;
                Err(AuthError::NotOperator)
            }
            Presented::Malformed => Err(AuthError::Refused(Refusal::Malformed)),
        }
    }

    async fn check_api_key(
        &self,
        text: &SecretString,
        may_look_up: &impl Fn() -> bool,
    ) -> Result<Arc<KnownApiKey>, AuthError> {
        let refused = |refusal| Err(AuthError::Refused(refusal));
        let Some(presented) = PresentedApiKey::parse(text.expose_secret()) else { return refused(Refusal::Malformed) };
        let Some(known) = self.find_api_key(presented.public_id, may_look_up).await? else {
            return refused(Refusal::UnknownApiKey);
        };
        if !presented.matches(&known.row.secret_sha256) {
            return refused(Refusal::WrongSecret);
        }
        let now = self.clock.now();
        if known.row.revoked_at.is_some() {
            return refused(Refusal::Revoked);
        }
        if known.row.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return refused(Refusal::Expired);
        }
        self.last_used.note(&known, now);
        Ok(known)
    }

    async fn find_api_key(
        &self,
        public_id: &str,
        may_look_up: &impl Fn() -> bool,
    ) -> Result<Option<Arc<KnownApiKey>>, AuthError> {
        if let Some(known) = self.api_keys.get(public_id).await {
            return Ok(known);
        }
        if !may_look_up() {
            return Err(AuthError::LookUpDenied);
        }
        let find = async {
            let row = api_keys::find_any_tenant(&self.store, public_id).await?;
            Ok(row.map(|row| {
                Arc::new(KnownApiKey { row, last_used_unix_seconds: AtomicI64::new(0), noted: AtomicBool::new(false) })
            }))
        };
        Ok(self.api_keys.get_or_read(&public_id.to_owned(), find).await.map_err(|error: Arc<StoreError>| error)?)
    }

    async fn authenticate_jwt(&self, token: &str, may_look_up: &impl Fn() -> bool) -> Result<Caller, AuthError> {
        let claimed = Claimed::read(token).ok_or(AuthError::Refused(Refusal::Malformed))?;
        let mut found = None;
        for audience in claimed.audiences {
            let issuer = self.find_issuer((claimed.issuer.clone(), audience), may_look_up).await?;
            // A token that names two tenants names none.
            if issuer.is_some() && found.is_some() {
                return Err(AuthError::Refused(Refusal::UnknownIssuer));
            }
            found = found.or(issuer);
        }
        let known = found.ok_or(AuthError::Refused(Refusal::UnknownIssuer))?;
        let verified = known.verifier.verify(token, self.clock.now(), may_look_up).await?;
        let tenant = self.active_tenant(known.row.tenant_id).await?;
        Ok(Caller {
            tenant,
            kind: CallerKind::Jwt,
            id: Some(known.row.id.uuid()),
            subject: Some(verified.subject.into()),
            scopes: verified.scopes,
        })
    }

    async fn find_issuer(
        &self,
        pair: (String, String),
        may_look_up: &impl Fn() -> bool,
    ) -> Result<Option<Arc<KnownIssuer>>, AuthError> {
        if let Some(known) = self.issuers.get(&pair).await {
            return Ok(known);
        }
        if !may_look_up() {
            return Err(AuthError::LookUpDenied);
        }
        let (issuer, audience) = pair.clone();
        let find = async {
            let Some(row) = jwt_issuers::find_any_tenant(&self.store, &issuer, &audience).await.map_err(Arc::new)?
            else {
                return Ok(None);
            };
            let keys = match &row.verification {
                Verification::JwksUrl(url) => {
                    KeySource::Published(self.jwks.published(row.id, url, row.algorithm).await)
                }
                _ => KeySource::Row(
                    open_keys(&self.keyring, &row).map_err(|fault| AuthError::IssuerUnusable(row.id.uuid(), fault))?,
                ),
            };
            let verifier = Verifier::new(&row, keys);
            Ok(Some(Arc::new(KnownIssuer { row, verifier })))
        };
        self.issuers.get_or_read(&pair, find).await.map_err(|error: Arc<AuthError>| Arc::unwrap_or_clone(error))
    }

    async fn active_tenant(&self, id: TenantId) -> Result<Arc<Tenant>, AuthError> {
        let find = async { Ok(tenants::find(&self.store, id).await?.map(Arc::new)) };
        let tenant = self.tenants.get_or_read(&id, find).await.map_err(|error: Arc<StoreError>| error)?;
        // Rows refer to their tenant by foreign key, so one that is missing was never there.
        let tenant = tenant.ok_or(AuthError::Refused(Refusal::Malformed))?;
        match tenant.status {
            TenantStatus::Active => Ok(tenant),
            TenantStatus::Suspended | TenantStatus::Archived => Err(AuthError::TenantSuspended(tenant.slug.clone())),
        }
    }
}

/// Where an issuer's HMAC secret belongs.
#[must_use]
pub fn hmac_secret_binding(issuer_id: JwtIssuerId, version: i32) -> Binding {
    Binding { table: "jwt_issuers", row: issuer_id.uuid(), column: "sealed_hmac_secret", version }
}

/// The keys that stand in an issuer's row.
///
/// # Errors
/// The secret does not open, or the key material is not valid; so is a URL, which holds none.
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
