//! Key sets (JWKS) that issuers publish at a URL. They are fetched on first use and kept while the
//! issuer is unreachable.
//!
//! Tokens of strangers cannot raise the rate of fetches: there is a cooldown for each issuer. Ages
//! use the monotonic clock, because the system clock can be set.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use moka::sync::Cache;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::config::auth::AuthConfig;
use crate::domain::Invalid;
use crate::domain::ids::JwtIssuerId;
use crate::domain::jwt_issuer::{JwksUrl, JwtAlgorithm};
use crate::egress::{Egress, FetchError};
use crate::telemetry::metrics::JwksStats;
use crate::telemetry::metrics::auth::JwksMetrics;
use crate::telemetry::trace;

use super::AuthError;
use super::fingerprint::Fingerprint;
use super::jwt::keys::{KeySet, MAX_PUBLIC_KEYS_BYTES};

/// Maximum number of issuers whose keys are kept. Further issuers work, but fetch more often.
const MAX_ISSUERS: u64 = 10_000;
/// An issuer without tokens for this long is not in use.
const IN_USE: Duration = Duration::from_mins(15);
/// How long to wait after a failed fetch.
const RETRY_PAUSE: Duration = Duration::from_secs(3);
/// How long to wait if old keys are available and no token needs another one.
const UNHURRIED_RETRY_PAUSE: Duration = Duration::from_secs(30);

/// How long fetched keys are valid.
#[derive(Debug, Clone, Copy)]
pub struct JwksTiming {
    /// Older keys are fetched again, but still used meanwhile.
    pub refresh: Duration,
    /// Minimum interval between fetches caused by unknown `kid`s.
    pub cooldown: Duration,
    /// How much older than `refresh` keys may become while fetches fail.
    pub stale: Duration,
}

impl From<&AuthConfig> for JwksTiming {
    fn from(config: &AuthConfig) -> Self {
        Self {
            refresh: config.jwks_refresh_seconds.as_seconds(),
            cooldown: config.jwks_cooldown_seconds.as_seconds(),
            stale: config.jwks_stale_seconds.as_seconds(),
        }
    }
}

/// Why there are no new keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksFault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the published key set is not usable: {0}")]
    Unusable(#[from] Invalid),
}

impl JwksFault {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Fetch(_) => "fetch",
            Self::Unusable(_) => "unusable",
        }
    }
}

/// Fetches an issuer's keys once.
///
/// # Errors
/// The keys cannot be fetched or are invalid.
pub async fn fetch(outbound: &Egress, url: &JwksUrl, algorithm: JwtAlgorithm) -> Result<KeySet, JwksFault> {
    let body = outbound.fetch(url.url(), MAX_PUBLIC_KEYS_BYTES).await?;
    Ok(KeySet::parse(algorithm, &body)?)
}

/// The published keys of all issuers. They outlive the cached row of the issuer.
pub struct Jwks {
    outbound: Egress,
    timing: JwksTiming,
    published: Cache<JwtIssuerId, Arc<PublishedKeys>>,
    metrics: Arc<JwksMetrics>,
}

impl Jwks {
    #[must_use]
    pub fn new(outbound: Egress, timing: JwksTiming, metrics: JwksMetrics) -> Self {
        Self { outbound, timing, published: Cache::new(MAX_ISSUERS), metrics: Arc::new(metrics) }
    }

    /// The state of all issuers that receive tokens. Without tokens, keys are neither fetched nor
    /// dropped.
    pub(super) fn facts(&self) -> JwksStats {
        let mut facts = JwksStats::default();
        for (_, keys) in self.published.iter().filter(|(_, keys)| keys.last_use.is_within(IN_USE)) {
            let state = keys.lock();
            let age = keys.fetched.load().as_ref().map(|fetched| fetched.at.elapsed()).unwrap_or_default();
            let (count, oldest) = match state.failed_at {
                None => (&mut facts.fresh, &mut facts.oldest_fresh),
                Some(_) => (&mut facts.failing, &mut facts.oldest_failing),
            };
            *count += 1;
            *oldest = age.max(*oldest);
        }
        facts
    }

    /// Returns the keys of an issuer, and drops those of an earlier URL.
    pub(super) fn published(&self, issuer: JwtIssuerId, url: &JwksUrl, algorithm: JwtAlgorithm) -> Arc<PublishedKeys> {
        let make = || {
            Arc::new(PublishedKeys {
                issuer,
                url: url.clone(),
                algorithm,
                outbound: self.outbound.clone(),
                timing: self.timing,
                last_use: LastUse::new(),
                fetched: ArcSwapOption::empty(),
                state: Mutex::default(),
                metrics: Arc::clone(&self.metrics),
            })
        };
        let is_other = |known: &Arc<PublishedKeys>| known.url != *url || known.algorithm != algorithm;
        self.published.entry(issuer).or_insert_with_if(make, is_other).into_value()
    }
}

/// The keys of one issuer's URL.
pub struct PublishedKeys {
    issuer: JwtIssuerId,
    url: JwksUrl,
    algorithm: JwtAlgorithm,
    outbound: Egress,
    timing: JwksTiming,
    last_use: LastUse,
    /// Read by each request without a lock that an issuer's requests share. Written only while
    /// `state` is locked.
    fetched: ArcSwapOption<Fetched>,
    state: Mutex<State>,
    metrics: Arc<JwksMetrics>,
}

/// The result and time of the last successful fetch.
struct Fetched {
    keys: Arc<KeySet>,
    at: Instant,
}

/// When a token last needed the keys.
struct LastUse {
    /// Milliseconds after `started_at`.
    ms: AtomicU64,
    started_at: Instant,
}

impl LastUse {
    fn new() -> Self {
        Self { ms: AtomicU64::new(0), started_at: Instant::now() }
    }

    fn touch(&self) {
        self.ms.store(milliseconds(self.started_at.elapsed()), Ordering::Relaxed);
    }

    fn is_within(&self, time: Duration) -> bool {
        let unused_ms = milliseconds(self.started_at.elapsed()).saturating_sub(self.ms.load(Ordering::Relaxed));
        unused_ms <= milliseconds(time)
    }
}

fn milliseconds(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

#[derive(Default)]
struct State {
    /// When the last fetch failed; `None` after a success.
    failed_at: Option<Instant>,
    /// When an unknown `kid` last caused a fetch.
    last_lookup_at: Option<Instant>,
    /// The fetch under way, which ends when its other end is dropped.
    running: Option<watch::Receiver<()>>,
}

/// What to do for a token.
enum Step {
    Use(Arc<KeySet>),
    Wait(watch::Receiver<()>),
    Fail(AuthError),
}

impl PublishedKeys {
    /// Returns keys that contain the `kid`. Waits for a fetch if there are no keys or the `kid` is
    /// unknown; concurrent requests share one fetch.
    ///
    /// # Errors
    /// [`AuthError::IssuerUnavailable`] where nobody can know whether there is such a key; [`AuthError::LookupDenied`] where
    /// a fetch would be due and `may_look_up` says no.
    pub(super) async fn get(
        self: &Arc<Self>,
        kid: &str,
        may_look_up: &impl Fn() -> bool,
    ) -> Result<Arc<KeySet>, AuthError> {
        let mut has_waited = false;
        self.last_use.touch();
        loop {
            match self.next_step(kid, has_waited, may_look_up) {
                Step::Use(keys) => return Ok(keys),
                Step::Fail(error) => return Err(error),
                Step::Wait(mut running) => while running.changed().await.is_ok() {},
            }
            // What came while this one waited is as new as can be.
            has_waited = true;
        }
    }

    /// Whether these are the keys that would verify a token now. Starts a fetch if one is due,
    /// because an issuer whose tokens are all cached must not be trusted forever.
    pub(super) fn are_still(self: &Arc<Self>, keys: Fingerprint) -> bool {
        self.last_use.touch();
        let fetched = self.fetched.load();
        let Some(Fetched { keys: known, at }) = fetched.as_deref() else { return false };
        let are_still = known.fingerprint() == keys && at.elapsed() <= self.timing.refresh + self.timing.stale;
        if are_still && at.elapsed() > self.timing.refresh {
            self.refresh_if_old(&mut self.lock());
        }
        are_still
    }

    fn refresh_if_old(self: &Arc<Self>, state: &mut State) {
        let is_old = self.fetched.load().as_ref().is_some_and(|fetched| fetched.at.elapsed() > self.timing.refresh);
        if is_old && state.may_try(UNHURRIED_RETRY_PAUSE) && state.running().is_none() {
            self.start(state);
        }
    }

    fn next_step(self: &Arc<Self>, kid: &str, has_waited: bool, may_look_up: &impl Fn() -> bool) -> Step {
        let mut state = self.lock();
        let unavailable = || Step::Fail(AuthError::IssuerUnavailable(self.issuer.uuid()));
        let oldest = self.timing.refresh + self.timing.stale;
        let just_fetched = has_waited && state.failed_at.is_none();
        let usable = self.fetched.load_full().filter(|fetched| just_fetched || fetched.at.elapsed() <= oldest);
        let may_try = state.may_try(RETRY_PAUSE);
        if let Some(fetched) = usable.as_ref().filter(|fetched| fetched.keys.find(kid).is_some()) {
            if !just_fetched {
                self.refresh_if_old(&mut state);
            }
            return Step::Use(Arc::clone(&fetched.keys));
        }
        if !has_waited && let Some(running) = state.running() {
            return Step::Wait(running);
        }
        // After a fetch that failed nobody knows more than before: the next one need not wait for so long.
        let is_cooling = usable.is_some()
            && state.failed_at.is_none()
            && state.last_lookup_at.is_some_and(|at| at.elapsed() < self.timing.cooldown);
        if has_waited || is_cooling || !may_try {
            return match usable {
                // The last word of the issuer is that there is no such key.
                Some(fetched) if state.failed_at.is_none() => Step::Use(Arc::clone(&fetched.keys)),
                _ => unavailable(),
            };
        }
        if !may_look_up() {
            return Step::Fail(AuthError::LookupDenied);
        }
        if usable.is_some() {
            state.last_lookup_at = Some(Instant::now());
        }
        Step::Wait(self.start(&mut state))
    }

    /// Fetches in its own task, so that a cancelled request does not stop it.
    fn start(self: &Arc<Self>, state: &mut State) -> watch::Receiver<()> {
        let (end, running) = watch::channel(());
        state.running = Some(running.clone());
        let this = Arc::clone(self);
        let span = self.fetch_span();
        let fetching = async move {
            this.refresh().await;
            drop(end);
        };
        tokio::spawn(fetching.instrument(span));
        running
    }

    /// The fetch serves many requests, so it has its own trace, which links to the request that
    /// started it. `None` if that request is not traced.
    fn fetch_span(&self) -> Span {
        let asker = Span::current();
        if asker.is_disabled() {
            return Span::none();
        }
        let host = self.url.host();
        let span = tracing::info_span!(target: trace::ROOT, parent: None, "fetch jwks", otel.kind = "client",
            otel.status_code = Empty, server.address = host, error.type = Empty);
        trace::link(&span, &asker);
        span
    }

    async fn refresh(&self) {
        let fetched = fetch(&self.outbound, &self.url, self.algorithm).await;
        self.metrics.fetched(fetched.is_ok());
        if let Err(fault) = &fetched {
            Span::current().record("error.type", fault.kind());
            Span::current().record("otel.status_code", "ERROR");
        }
        let mut state = self.lock();
        match fetched {
            Ok(keys) => {
                tracing::debug!(presign_gateway.jwt_issuer = %self.issuer, server.address = self.url.host(), "keys of a JWT issuer fetched");
                self.fetched.store(Some(Arc::new(Fetched { keys: Arc::new(keys), at: Instant::now() })));
                state.failed_at = None;
            }
            // Once for each fetch: the requests that it fails do not say it again.
            Err(fault) => {
                tracing::warn!(presign_gateway.jwt_issuer = %self.issuer, server.address = self.url.host(), cause = %fault, "fetching the keys of a JWT issuer failed");
                state.failed_at = Some(Instant::now());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn running(&self) -> Option<watch::Receiver<()>> {
        self.running.clone().filter(|running| running.has_changed().is_ok())
    }

    fn may_try(&self, pause: Duration) -> bool {
        self.failed_at.is_none_or(|at| at.elapsed() >= pause)
    }
}
