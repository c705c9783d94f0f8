//! Keys that issuers publish at a URL: fetched when first needed, kept while the issuer is away, never fetched more often
//! than a stranger's tokens could make them.
//!
//! Ages are measured by the monotonic clock, which nobody can set.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::sync::{Cache, EntryAction, EntryResult};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span};

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

/// Issuers whose keys are kept; more work, but fetch more often.
const MAX_ISSUERS: usize = 10_000;
/// An issuer of which no token came for so long is not in use.
const IN_USE: Duration = Duration::from_mins(15);
/// How long nobody tries again after a fetch that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(3);
/// The same while there are old keys to use, and no token needs any other.
const UNHURRIED_RETRY_PAUSE: Duration = Duration::from_secs(30);

/// How long fetched keys are good for.
#[derive(Debug, Clone, Copy)]
pub struct JwksTiming {
    /// Keys that are older are fetched anew, while they are still used.
    pub refresh: Duration,
    /// How often unknown `kid`s may cause a fetch.
    pub cooldown: Duration,
    /// How much older than `refresh` keys may get while fetches fail.
    pub stale: Duration,
}

/// Why there are no new keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksFault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("what it publishes is not usable: {0}")]
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

/// Fetches an issuer's keys, once.
///
/// # Errors
/// They cannot be fetched, or are not usable.
pub async fn fetch(outbound: &Egress, url: &JwksUrl, algorithm: JwtAlgorithm) -> Result<KeySet, JwksFault> {
    let body = outbound.fetch(url.url(), MAX_PUBLIC_KEYS_BYTES).await?;
    Ok(KeySet::parse(algorithm, &body)?)
}

/// The published keys of every issuer. They outlive the issuer's row in memory, which is read again now and then.
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

    /// How all of them fare whose tokens come at all. Keys that nobody asks for are not fetched, and stay as they are.
    pub(super) fn facts(&self) -> JwksStats {
        let mut facts = JwksStats::default();
        for (_, keys) in self.published.iter().filter(|(_, keys)| keys.fresh.was_used_within(IN_USE)) {
            let state = keys.lock();
            let age = state.known.as_ref().map(|(_, at)| at.elapsed()).unwrap_or_default();
            let (count, oldest) = match state.failed_at {
                None => (&mut facts.fresh, &mut facts.oldest_fresh),
                Some(_) => (&mut facts.failing, &mut facts.oldest_failing),
            };
            *count += 1;
            *oldest = age.max(*oldest);
        }
        facts
    }

    /// The keys of an issuer; those of another URL are forgotten.
    pub(super) fn published(&self, issuer: JwtIssuerId, url: &JwksUrl, algorithm: JwtAlgorithm) -> Arc<PublishedKeys> {
        let known = self.published.entry(&issuer, None, |_, known| {
            let is_it = known.url == *url && known.algorithm == algorithm;
            if is_it { EntryAction::Retain(Arc::clone(known)) } else { EntryAction::ReplaceWithGuard }
        });
        let keys = || {
            Arc::new(PublishedKeys {
                issuer,
                url: url.clone(),
                algorithm,
                outbound: self.outbound.clone(),
                timing: self.timing,
                fresh: Fresh::new(),
                state: Mutex::default(),
                metrics: Arc::clone(&self.metrics),
            })
        };
        match known {
            EntryResult::Retained(known) => known,
            EntryResult::Vacant(place) | EntryResult::Replaced(place, _) => {
                let made = keys();
                // Refused only where somebody has put other keys there meanwhile; these serve their caller all the same.
                let _ = place.insert(Arc::clone(&made));
                made
            }
            // Without a time limit, and without removing anything, there is neither.
            EntryResult::Removed(..) | EntryResult::Timeout => keys(),
        }
    }
}

/// The keys of one issuer's URL.
pub struct PublishedKeys {
    issuer: JwtIssuerId,
    url: JwksUrl,
    algorithm: JwtAlgorithm,
    outbound: Egress,
    timing: JwksTiming,
    fresh: Fresh,
    state: Mutex<State>,
    metrics: Arc<JwksMetrics>,
}

/// Which keys need no refresh yet, and until when: what each request asks, without a lock that all of an issuer's share.
struct Fresh {
    fingerprint: AtomicU64,
    until_ms: AtomicU64,
    /// When a token last asked.
    used_ms: AtomicU64,
    /// From which milliseconds count.
    origin: Instant,
}

impl Fresh {
    fn new() -> Self {
        let (fingerprint, until_ms, used_ms) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { fingerprint, until_ms, used_ms, origin: Instant::now() }
    }

    /// Notes that a token asks, and tells when that is.
    fn touch(&self) -> u64 {
        let now_ms = milliseconds(self.origin.elapsed());
        self.used_ms.store(now_ms, Ordering::Relaxed);
        now_ms
    }

    /// Whether a token asked within this time.
    fn was_used_within(&self, time: Duration) -> bool {
        let unused_ms = milliseconds(self.origin.elapsed()).saturating_sub(self.used_ms.load(Ordering::Relaxed));
        unused_ms <= milliseconds(time)
    }

    fn set(&self, keys: Fingerprint, period: Duration) {
        // Never the old keys with the new time: nothing is fresh in between.
        self.until_ms.store(0, Ordering::SeqCst);
        self.fingerprint.store(keys.bits(), Ordering::SeqCst);
        self.until_ms.store(milliseconds(self.origin.elapsed() + period), Ordering::SeqCst);
    }

    fn is(&self, keys: Fingerprint) -> bool {
        let until_ms = self.until_ms.load(Ordering::SeqCst);
        self.touch() < until_ms && self.fingerprint.load(Ordering::SeqCst) == keys.bits()
    }
}

fn milliseconds(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

#[derive(Default)]
struct State {
    /// What the last fetch that succeeded gave, and when.
    known: Option<(Arc<KeySet>, Instant)>,
    /// When the last fetch failed; `None` once one succeeds.
    failed_at: Option<Instant>,
    /// When an unknown `kid` last caused a fetch.
    sought_at: Option<Instant>,
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
    /// Keys to look the `kid` up in. Waits for a fetch where there are none, or where the `kid` is not among them; one
    /// fetch serves all who wait.
    ///
    /// # Errors
    /// [`AuthError::IssuerUnavailable`] where nobody can know whether there is such a key; [`AuthError::LookUpDenied`] where
    /// a fetch would be due and `may_look_up` says no.
    pub(super) async fn get(
        self: &Arc<Self>,
        kid: &str,
        may_look_up: &impl Fn() -> bool,
    ) -> Result<Arc<KeySet>, AuthError> {
        let mut has_waited = false;
        self.fresh.touch();
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

    /// Whether these are the keys that a token would be checked with now. Has them fetched anew where that is due, as a check
    /// would: an issuer whose tokens are all remembered must not be believed for ever.
    pub(super) fn are_still(self: &Arc<Self>, keys: Fingerprint) -> bool {
        if self.fresh.is(keys) {
            return true;
        }
        let mut state = self.lock();
        let Some((known, at)) = state.known.clone() else { return false };
        let are_still = known.fingerprint() == keys && at.elapsed() <= self.timing.refresh + self.timing.stale;
        if are_still {
            self.refresh_if_old(&mut state, at);
        }
        are_still
    }

    fn refresh_if_old(self: &Arc<Self>, state: &mut State, fetched_at: Instant) {
        let is_old = fetched_at.elapsed() > self.timing.refresh;
        if is_old && state.may_try(UNHURRIED_RETRY_PAUSE) && state.running().is_none() {
            self.start(state);
        }
    }

    fn next_step(self: &Arc<Self>, kid: &str, has_waited: bool, may_look_up: &impl Fn() -> bool) -> Step {
        let mut state = self.lock();
        let unavailable = || Step::Fail(AuthError::IssuerUnavailable(self.issuer.uuid()));
        let oldest = self.timing.refresh + self.timing.stale;
        let just_fetched = has_waited && state.failed_at.is_none();
        let usable = state.known.clone().filter(|(_, at)| just_fetched || at.elapsed() <= oldest);
        let may_try = state.may_try(RETRY_PAUSE);
        let is_known = usable.as_ref().is_some_and(|(keys, _)| keys.find(kid).is_some());
        if let Some((keys, at)) = &usable
            && is_known
        {
            if !just_fetched {
                self.refresh_if_old(&mut state, *at);
            }
            return Step::Use(Arc::clone(keys));
        }
        if !has_waited && let Some(running) = state.running() {
            return Step::Wait(running);
        }
        // After a fetch that failed nobody knows more than before: the next one need not wait for so long.
        let is_cooling = usable.is_some()
            && state.failed_at.is_none()
            && state.sought_at.is_some_and(|at| at.elapsed() < self.timing.cooldown);
        if has_waited || is_cooling || !may_try {
            return match usable {
                // The last word of the issuer is that there is no such key.
                Some((keys, _)) if state.failed_at.is_none() => Step::Use(keys),
                _ => unavailable(),
            };
        }
        if !may_look_up() {
            return Step::Fail(AuthError::LookUpDenied);
        }
        if usable.is_some() {
            state.sought_at = Some(Instant::now());
        }
        Step::Wait(self.start(&mut state))
    }

    /// Fetches in a task of its own, which a client that goes away does not stop.
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

    /// The fetch serves many requests: it has a trace of its own, which refers to the one that asked first. None, where that is
    /// not traced.
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
                self.fresh.set(keys.fingerprint(), self.timing.refresh);
                (state.known, state.failed_at) = (Some((Arc::new(keys), Instant::now())), None);
            }
            // Once for each fetch: the requests that it fails do not say it again.
            Err(fault) => {
                tracing::warn!(presign_gateway.jwt_issuer = %self.issuer, server.address = self.url.host(), cause = %fault, "keys of a JWT issuer not fetched");
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
