//! Caches of rows: bounded in number and age, and invalidated when a change is announced.
//!
//! A value that was read before a change is never kept after it.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use moka::Equivalent;
use moka::ops::compute::Op;
use tokio::sync::OnceCell;

use crate::telemetry::metrics::cache::CacheMetrics;

/// The outcome of one read of the store, which every request for the same key shares.
///
/// An invalidation removes it from the map. Requests that already hold it still get its outcome; later requests start a
/// new read. So a value that was read before a change is never kept after it.
type SharedRead<V, E> = Arc<OnceCell<Result<V, Arc<E>>>>;

/// moka removes a value in one run of its maintenance and drops it in the next; one more, because another thread may be
/// looking at it.
const DROP_RUNS: usize = 3;

/// A cache of values `V` by key `K`; `E` is the error of a read.
pub struct Cache<K, V, E> {
    // The default hasher is keyed at random: strangers choose some of the keys, and must not be able to make them collide.
    reads: moka::sync::Cache<K, SharedRead<V, E>>,
    keeps_values: bool,
    metrics: CacheMetrics,
}

impl<K, V, E> Cache<K, V, E>
where
    K: Clone + Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    /// `max_age` bounds how long a change can go unnoticed if its announcement is lost. With zero, concurrent requests still
    /// share a read, but no value is kept.
    #[must_use]
    pub fn new(max_entries: u64, max_age: Duration, metrics: CacheMetrics) -> Self {
        let keeps_values = !max_age.is_zero();
        let reads = moka::sync::Cache::builder().max_capacity(max_entries);
        let reads = if keeps_values { reads.time_to_live(max_age) } else { reads };
        Self { reads: reads.build(), keeps_values, metrics }
    }

    /// The cache's name, and how many entries it holds.
    #[must_use]
    pub fn size(&self) -> (&'static str, u64) {
        (self.metrics.name, self.entry_count())
    }

    /// How many entries the cache holds.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.reads.run_pending_tasks();
        self.reads.entry_count()
    }

    /// The cached value of a key.
    pub fn get<Q: Equivalent<K> + Hash + ?Sized>(&self, key: &Q) -> Option<V> {
        let read = self.reads.get(key)?;
        let value = read.get()?.as_ref().ok()?.clone();
        self.metrics.hits.add(1);
        Some(value)
    }

    /// The cached value of a key, or the value that `read` returns. Concurrent requests for one key share one read. If the
    /// request that reads is cancelled, one of the others reads.
    ///
    /// # Errors
    /// The error of `read`, for every request that waited for it. It is not cached.
    pub async fn get_or_read<R>(&self, key: &K, read: impl FnOnce() -> R) -> Result<V, Arc<E>>
    where
        R: Future<Output = Result<V, E>>,
    {
        if let Some(value) = self.get(key) {
            return Ok(value);
        }
        self.metrics.misses.add(1);
        // Boxed, because a query makes a large future, and requests that hit the cache should not carry it.
        Box::pin(self.read(key, read)).await.inspect_err(|_| self.metrics.failures.add(1))
    }

    async fn read<R>(&self, key: &K, read: impl FnOnce() -> R) -> Result<V, Arc<E>>
    where
        R: Future<Output = Result<V, E>>,
    {
        let shared = self.join_or_start(key);
        let run = async || {
            let outcome = read().await.map_err(Arc::new);
            if outcome.is_err() || !self.keeps_values {
                self.reads.invalidate(key);
            }
            outcome
        };
        shared.get_or_init(run).await.clone()
    }

    /// The read of this key that is in the map, or a new one.
    fn join_or_start(&self, key: &K) -> SharedRead<V, E> {
        // Not `get_with`: a request that joins another's `get_with` gets its value, even if it was invalidated in between.
        let entry = self.reads.entry_by_ref(key).and_compute_with(|current| match current {
            Some(_) => Op::Nop,
            None => Op::Put(SharedRead::default()),
        });
        entry.into_entry().map(moka::Entry::into_value).unwrap_or_default()
    }

    /// Removes one value.
    pub fn invalidate(&self, key: &K) {
        self.reads.invalidate(key);
    }

    /// Removes all values, and drops them.
    pub fn invalidate_all(&self) {
        self.reads.invalidate_all();
        self.evict_expired();
    }

    /// Drops the values that have expired or were invalidated. moka does this only when the cache is used, and a decrypted
    /// credential must not stay in memory because nobody uses it.
    pub fn evict_expired(&self) {
        for _ in 0..DROP_RUNS {
            self.reads.run_pending_tasks();
        }
    }
}
