//! When API keys were last used: kept in memory on each call, written to the store in batches.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::store::{Store, StoreError, api_keys};

use super::KnownApiKey;

/// The keys that were used since the last flush; each is there once, so there are at most as many as keys in memory.
pub struct LastUsed {
    store: Store,
    pending: Mutex<Vec<Arc<KnownApiKey>>>,
}

impl LastUsed {
    pub(super) fn new(store: Store) -> Self {
        Self { store, pending: Mutex::default() }
    }

    /// Notes a use. All but the first within a second only read, so that processors that serve one key at once need not hand
    /// its memory to and fro. All these operations are in one order: see `flush`.
    pub(super) fn note(&self, known: &Arc<KnownApiKey>, now: DateTime<Utc>) {
        if known.last_used_unix_seconds.load(Ordering::SeqCst) < now.timestamp() {
            known.last_used_unix_seconds.fetch_max(now.timestamp(), Ordering::SeqCst);
        }
        if !known.is_pending.load(Ordering::SeqCst) && !known.is_pending.swap(true, Ordering::SeqCst) {
            self.lock().push(Arc::clone(known));
        }
    }

    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let pending = std::mem::take(&mut *self.lock());
        if pending.is_empty() {
            return Ok(());
        }
        let used: Vec<_> = pending
            .iter()
            .filter_map(|known| {
                // Cleared before the time is read: a use in between is kept for the next flush.
                known.is_pending.store(false, Ordering::SeqCst);
                let at = DateTime::from_timestamp(known.last_used_unix_seconds.load(Ordering::SeqCst), 0)?;
                Some((known.row.id, at))
            })
            .collect();
        let written = api_keys::touch_any_tenant(&self.store, &used).await;
        if written.is_err() {
            let unwritten = pending.into_iter().filter(|known| !known.is_pending.swap(true, Ordering::SeqCst));
            self.lock().extend(unwritten);
        }
        written
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<KnownApiKey>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
