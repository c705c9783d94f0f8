//! Invalidates cached rows when they change in the database, as soon as Postgres sends the
//! notification.
//!
//! While the connection is lost, empties the caches periodically. This bounds how long a change
//! stays unseen.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::interval;

use crate::auth::Auth;
use crate::buckets::credentials::CredentialCache;
use crate::store::change_feed::ChangeFeed;
use crate::store::{Store, StoreError};
use crate::telemetry::error_chain::chain;

/// The shortest pause before listening is tried again.
const MIN_PAUSE: Duration = Duration::from_millis(100);
/// The longest such pause, to which as much again is added by chance, so that instances do not come back together.
const MAX_PAUSE: Duration = Duration::from_millis(2500);
const BACKOFF: ExponentialBuilder =
    ExponentialBuilder::new().with_min_delay(MIN_PAUSE).with_max_delay(MAX_PAUSE).with_jitter().without_max_times();

/// Whether changes are heard of at present.
#[derive(Debug, Default)]
pub struct Listening(AtomicBool);

impl Listening {
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is in memory is read anew after this, though nothing was heard of a change and all should have been.
const BACKSTOP: Duration = Duration::from_mins(15);

/// How long what is in memory may stay there, where nothing is believed for longer than `stale_after` while nothing can be heard.
#[must_use]
pub fn max_age(stale_after: Duration) -> Duration {
    if stale_after.is_zero() { stale_after } else { stale_after.max(BACKSTOP) }
}

/// How often what is too old to be believed is taken out of memory.
const EVICTION_INTERVAL: Duration = Duration::from_mins(1);

/// Takes out what is too old to be believed, for ever, though nobody asks for anything.
async fn evict_expired(auth: &Auth, credentials: &CredentialCache) {
    let mut ticks = interval(EVICTION_INTERVAL);
    loop {
        ticks.tick().await;
        auth.evict_expired();
        credentials.evict_expired();
    }
}

/// Sees to it for ever that what is in memory is as new as it should be; `first` is what was begun before anything was there. While
/// nothing can be heard nothing is believed for longer than `stale_after`.
pub async fn follow(
    store: &Store,
    first: Result<ChangeFeed, StoreError>,
    auth: &Auth,
    credentials: &CredentialCache,
    listening: &Listening,
    stale_after: Duration,
) {
    let listening = listen(store, first, auth, credentials, listening, stale_after);
    tokio::join!(listening, evict_expired(auth, credentials));
}

async fn listen(
    store: &Store,
    first: Result<ChangeFeed, StoreError>,
    auth: &Auth,
    credentials: &CredentialCache,
    listening: &Listening,
    stale_after: Duration,
) {
    let mut pauses = BACKOFF.build();
    let mut opened = first;
    let mut doubts = interval(stale_after.max(MIN_PAUSE));
    loop {
        let lost = match opened {
            Ok(announcements) => {
                // What changed before is not announced again.
                invalidate_all(auth, credentials);
                tracing::info!("listening for changes");
                listening.0.store(true, Ordering::Relaxed);
                pauses = BACKOFF.build();
                let lost = forget_what_is_announced(announcements, auth, credentials).await;
                // What is in memory may be old from now on.
                invalidate_all(auth, credentials);
                doubts.reset();
                lost
            }
            Err(error) => error,
        };
        listening.0.store(false, Ordering::Relaxed);
        tracing::warn!(cause = %chain(&lost), "not listening for changes: they take effect late until the connection is back");
        let pause = pauses.next().unwrap_or(MAX_PAUSE);
        let mut attempt = pin!(async move {
            tokio::time::sleep(pause).await;
            ChangeFeed::open(store).await
        });
        opened = loop {
            tokio::select! {
                opened = &mut attempt => break opened,
                _ = doubts.tick() => invalidate_all(auth, credentials),
            }
        };
    }
}

/// Returns when the connection is lost.
async fn forget_what_is_announced(
    mut announcements: ChangeFeed,
    auth: &Auth,
    credentials: &CredentialCache,
) -> StoreError {
    loop {
        match announcements.next().await {
            Ok(Some(changed)) => {
                auth.forget(&changed);
                credentials.forget(&changed);
            }
            Ok(None) => invalidate_all(auth, credentials),
            Err(lost) => return lost,
        }
    }
}

fn invalidate_all(auth: &Auth, credentials: &CredentialCache) {
    auth.invalidate_all();
    credentials.invalidate_all();
}
