//! Authentication: turns the credential of a request into a [`Caller`].
//!
//! Knows nothing of HTTP. Every rejected credential is one [`AuthError::Refused`], so a response
//! cannot reveal why; the reason is for the log only. API keys, issuers and tenants are cached for
//! a bounded time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::cache::Cache;
use crate::config::auth::AuthConfig;
use crate::crypto::keyring::Keyring;
use crate::domain::api_key::ApiKey;
use crate::domain::caller::{Caller, CallerKind, Scope, Scopes};
use crate::domain::clock::Clock;
use crate::domain::ids::TenantId;
use crate::domain::tenant::{Slug, Tenant, TenantStatus};
use crate::store::change_feed::ChangedRow;
use crate::store::{Store, StoreError, api_keys, tenants};
use crate::telemetry::metrics::{JwksStats, Metrics};

use self::api_key::PresentedApiKey;
pub use self::error::{AuthError, IssuerFault, Refusal};
use self::issuers::{Issuers, KnownIssuer};
pub use self::issuers::{hmac_secret_binding, open_keys};
use self::jwks::Jwks;
use self::jwt::{Claimed, MAX_TOKEN_BYTES};
use self::last_used::LastUsed;
use self::token_cache::{TokenCache, TokenDigest, VerifiedToken};

pub mod api_key;
pub(crate) mod error;
pub(crate) mod fingerprint;
mod issuers;
pub mod jwks;
pub mod jwt;
pub(crate) mod last_used;
pub(crate) mod token_cache;

/// The credential that a client presents.
pub enum Presented {
    ApiKey(SecretString),
    Jwt(SecretString),
    /// A credential that is neither.
    Malformed,
}

impl Presented {
    /// Its word in metrics and traces.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::ApiKey(_) => "api_key",
            Self::Jwt(_) => "jwt",
            Self::Malformed => "malformed",
        }
    }

    /// Distinguishes an API key from a JWT by its prefix.
    #[must_use]
    pub fn bearer(text: &str) -> Self {
        if text.starts_with(api_key::PREFIX) { Self::ApiKey(text.into()) } else { Self::Jwt(text.into()) }
    }
}

/// Bounds of the caches.
#[derive(Debug, Clone, Copy)]
pub struct CacheBounds {
    pub max_entries: u64,
    pub max_age: Duration,
    /// Maximum number of verified tokens in the token cache.
    pub max_tokens: u64,
}

impl CacheBounds {
    /// The configured sizes. The age is the caller's to choose: it depends on whether changes are listened for.
    #[must_use]
    pub const fn new(config: &AuthConfig, max_age: Duration) -> Self {
        Self { max_entries: config.cache_entries.get(), max_age, max_tokens: config.cache_tokens.get() }
    }
}

struct KnownApiKey {
    row: ApiKey,
    last_used_unix_seconds: AtomicI64,
    /// Whether the next flush will see this key already.
    is_pending: AtomicBool,
}

/// Turns credentials into callers.
pub struct Auth {
    store: Store,
    clock: Clock,
    // `None` is remembered too, so that a stranger who repeats himself does not reach the database each time.
    api_keys: Cache<String, Option<Arc<KnownApiKey>>, StoreError>,
    issuers: Issuers,
    tokens: TokenCache,
    tenants: Cache<TenantId, Option<Arc<Tenant>>, StoreError>,
    tenant_ids: Cache<Slug, Option<TenantId>, StoreError>,
    last_used: LastUsed,
}

impl Auth {
    #[must_use]
    pub fn new(
        store: Store,
        keyring: Arc<Keyring>,
        clock: Clock,
        bounds: CacheBounds,
        jwks: Jwks,
        metrics: &Metrics,
    ) -> Self {
        let CacheBounds { max_entries, max_age, max_tokens } = bounds;
        Self {
            last_used: LastUsed::new(store.clone()),
            issuers: Issuers::new(store.clone(), keyring, bounds, jwks, metrics.cache("jwt_issuers")),
            store,
            clock,
            api_keys: Cache::new(max_entries, max_age, metrics.cache("api_keys")),
            tokens: TokenCache::new(max_tokens, metrics.cache("tokens")),
            tenants: Cache::new(max_entries, max_age, metrics.cache("tenants")),
            tenant_ids: Cache::new(max_entries, max_age, metrics.cache("tenant_ids")),
        }
    }

    /// The number of entries of each cache.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, u64); 5] {
        let Self { api_keys, issuers, tokens, tenants, tenant_ids, .. } = self;
        [api_keys.size(), issuers.size(), tokens.size(), tenants.size(), tenant_ids.size()]
    }

    /// The state of key sets fetched from JWT issuers.
    #[must_use]
    pub fn jwks_stats(&self) -> JwksStats {
        self.issuers.jwks_stats()
    }

    /// Authenticates a caller. If the credential is not cached, it is looked up only if
    /// `may_look_up` allows: a client that failed too often must not cause database work.
    ///
    /// # Errors
    /// [`AuthError::Refused`] for a rejected credential; [`AuthError::TenantSuspended`] for a
    /// caller of a suspended tenant.
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

    /// The caller that stands for all clients without a credential.
    ///
    /// # Errors
    /// The tenant does not exist or is suspended.
    pub async fn anonymous(&self, slug: &Slug) -> Result<Caller, AuthError> {
        let find = async || tenants::find_id_by_slug(&self.store, slug).await;
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

    /// Writes the last use of API keys to the store.
    ///
    /// # Errors
    /// The database is unreachable; the times are kept for the next flush.
    pub async fn flush_last_used(&self) -> Result<(), StoreError> {
        self.last_used.flush().await
    }

    /// The cache of verified tokens.
    #[must_use]
    pub const fn tokens(&self) -> &TokenCache {
        &self.tokens
    }

    /// Invalidates cached rows that changed.
    pub fn forget(&self, changed: &ChangedRow) {
        match changed {
            ChangedRow::Tenants { id, slug } => {
                self.tenants.invalidate(id);
                if let Ok(slug) = Slug::parse(slug) {
                    self.tenant_ids.invalidate(&slug);
                }
            }
            ChangedRow::ApiKeys { public_id } => self.api_keys.invalidate(public_id),
            ChangedRow::JwtIssuers { issuer, audience } => self.issuers.forget(issuer, audience),
            ChangedRow::Buckets { .. } => {}
        }
    }

    /// Invalidates all cached rows.
    pub fn invalidate_all(&self) {
        self.tenants.invalidate_all();
        self.tenant_ids.invalidate_all();
        self.api_keys.invalidate_all();
        self.issuers.invalidate_all();
    }

    /// Evicts expired entries.
    pub fn evict_expired(&self) {
        self.tenants.evict_expired();
        self.tenant_ids.evict_expired();
        self.api_keys.evict_expired();
        self.issuers.evict_expired();
        self.tokens.evict_expired();
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

    /// Authenticates an operator and returns the public id of the operator's key.
    ///
    /// # Errors
    /// [`AuthError::Refused`] for a rejected credential; [`AuthError::NotOperator`] for a tenant's
    /// caller.
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
        if let Some(known) = self.api_keys.get(public_id) {
            return Ok(known);
        }
        if !may_look_up() {
            return Err(AuthError::LookupDenied);
        }
        let find = async || {
            let row = api_keys::find_any_tenant(&self.store, public_id).await?;
            Ok(row.map(|row| {
                Arc::new(KnownApiKey {
                    row,
                    last_used_unix_seconds: AtomicI64::new(0),
                    is_pending: AtomicBool::new(false),
                })
            }))
        };
        Ok(self.api_keys.get_or_read(&public_id.to_owned(), find).await?)
    }

    async fn authenticate_jwt(&self, token: &str, may_look_up: &impl Fn() -> bool) -> Result<Caller, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::Refused(Refusal::Malformed));
        }
        let digest = TokenDigest::of(token);
        let recalled = self.recall(&digest, may_look_up).await?;
        let is_new = recalled.is_none();
        let (issuer, checked) = match recalled {
            Some(recalled) => recalled,
            None => self.check_jwt(token, may_look_up).await?,
        };
        let tenant = self.active_tenant(issuer.row.tenant_id).await?;
        if is_new {
            self.tokens.insert(digest, Arc::clone(&checked));
        }
        Ok(Caller {
            tenant,
            kind: CallerKind::Jwt,
            id: Some(issuer.row.id.uuid()),
            subject: Some(Arc::clone(&checked.verified.subject)),
            scopes: checked.verified.scopes,
        })
    }

    /// Returns what a full check of a cached token would return: looks up its issuer again and
    /// checks everything that can have changed.
    async fn recall(
        &self,
        digest: &TokenDigest,
        may_look_up: &impl Fn() -> bool,
    ) -> Result<Option<(Arc<KnownIssuer>, Arc<VerifiedToken>)>, AuthError> {
        let Some(known) = self.tokens.get(digest) else { return Ok(None) };
        let issuer = self.issuers.get(&known.claimed, may_look_up).await?;
        let holds = issuer.verifier.still_holds(&known.verified, self.clock.now());
        Ok(holds.then_some((issuer, known)))
    }

    async fn check_jwt(
        &self,
        token: &str,
        may_look_up: &impl Fn() -> bool,
    ) -> Result<(Arc<KnownIssuer>, Arc<VerifiedToken>), AuthError> {
        let claimed = Claimed::read(token).ok_or(AuthError::Refused(Refusal::Malformed))?;
        let issuer = self.issuers.get(&claimed, may_look_up).await?;
        self.tokens.note_check();
        let verified = issuer.verifier.verify(token, self.clock.now(), may_look_up).await?;
        Ok((issuer, Arc::new(VerifiedToken { claimed, verified })))
    }

    async fn active_tenant(&self, id: TenantId) -> Result<Arc<Tenant>, AuthError> {
        let find = async || Ok(tenants::find(&self.store, id).await?.map(Arc::new));
        let tenant = self.tenants.get_or_read(&id, find).await?;
        // Rows refer to their tenant by foreign key, so one that is missing was never there.
        let tenant = tenant.ok_or(AuthError::Refused(Refusal::Malformed))?;
        match tenant.status {
            TenantStatus::Active => Ok(tenant),
            TenantStatus::Suspended | TenantStatus::Archived => Err(AuthError::TenantSuspended(tenant.slug.clone())),
        }
    }
}
