//! Makes what this instance has in memory follow what is in the database: a change that any instance makes is forgotten
//! here as soon as Postgres announces it.
//!
//! While nothing can be heard, everything is forgotten every so often, which bounds how long a change goes unseen.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::interval;

use crate::auth::Auth;
use crate::error::chain;
use crate::store::announcements::Announcements;
use crate::store::{Store, StoreError};
use crate::vault::Vault;

/// The first pause before listening is tried again; each is twice as long as the one before.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

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

/// How long what is in memory may stay there, where nothing is believed for longer than `believed_for` while nothing can be heard.
#[must_use]
pub fn kept_for(believed_for: Duration) -> Duration {
    if believed_for.is_zero() { believed_for } else { believed_for.max(BACKSTOP) }
}

/// How often what is too old to be believed is taken out of memory.
const CLEAR_UP_EVERY: Duration = Duration::from_mins(1);

/// Takes out what is too old to be believed, for ever, though nobody asks for anything.
async fn clear_up(auth: &Auth, vault: &Vault) {
    let mut ticks = interval(CLEAR_UP_EVERY);
    loop {
        ticks.tick().await;
        auth.clear_up();
        vault.clear_up();
    }
}

/// Sees to it for ever that what is in memory is as new as it should be; `first` is what was begun before anything was there. While
/// nothing can be heard nothing is believed for longer than `believed_for`.
pub async fn follow(
    store: &Store,
    first: Result<Announcements, StoreError>,
    auth: &Auth,
    vault: &Vault,
    listening: &Listening,
    believed_for: Duration,
) {
    let listening = listen(store, first, auth, vault, listening, believed_for);
    tokio::join!(listening, clear_up(auth, vault));
}

async fn listen(
    store: &Store,
    first: Result<Announcements, StoreError>,
    auth: &Auth,
    vault: &Vault,
    listening: &Listening,
    believed_for: Duration,
) {
    let mut pause = SHORTEST_PAUSE;
    let mut opened = first;
    let mut doubts = interval(believed_for.max(SHORTEST_PAUSE));
    loop {
        let lost = match opened {
            Ok(announcements) => {
                // What changed before is not announced again.
                forget_all(auth, vault);
                tracing::info!("listening for changes");
                listening.0.store(true, Ordering::Relaxed);
                pause = SHORTEST_PAUSE;
                let lost = forget_what_is_announced(announcements, auth, vault).await;
                // What is in memory may be old from now on.
                forget_all(auth, vault);
                doubts.reset();
                lost
            }
            Err(error) => error,
        };
        listening.0.store(false, Ordering::Relaxed);
        tracing::warn!(cause = %chain(&lost), "not listening for changes: they are seen late, until this is mended");
        let mut attempt = pin!(async move {
            tokio::time::sleep(pause).await;
            Announcements::open(store).await
        });
        opened = loop {
            tokio::select! {
                opened = &mut attempt => break opened,
                _ = doubts.tick() => forget_all(auth, vault),
            }
        };
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Returns when the connection is lost.
async fn forget_what_is_announced(mut announcements: Announcements, auth: &Auth, vault: &Vault) -> StoreError {
    loop {
        match announcements.next().await {
            Ok(Some(changed)) => {
                auth.forget(&changed);
                vault.forget(&changed);
            }
            Ok(None) => forget_all(auth, vault),
            Err(lost) => return lost,
        }
    }
}

fn forget_all(auth: &Auth, vault: &Vault) {
    auth.forget_all();
    vault.forget_all();
}
