//! What was read from the store, kept in memory: bounded in number and in age, read once however many ask at once, and
//! forgotten when it is announced as changed.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::Equivalent;

use crate::telemetry::metrics::cache::CacheMetrics;

/// Values by the names that requests bring.
pub struct Cache<K, V> {
    entries: moka::future::Cache<K, V>,
    /// Counts what was forgotten, so that a read which began before a change is not kept after it.
    forgotten: AtomicU64,
    metrics: CacheMetrics,
}

impl<K, V> Cache<K, V>
where
    K: Clone + Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// `max_age` bounds how long a change that is not announced can go unseen; zero keeps nothing.
    #[must_use]
    pub fn new(max_entries: u64, max_age: Duration, metrics: CacheMetrics) -> Self {
        let entries = moka::future::Cache::builder().max_capacity(max_entries).time_to_live(max_age).build();
        Self { entries, forgotten: AtomicU64::new(0), metrics }
    }

    /// The cache's name, and about how many values it holds.
    #[must_use]
    pub fn size(&self) -> (&'static str, u64) {
        (self.metrics.name, self.entries.entry_count())
    }

    /// What is in memory under this name.
    pub async fn get<Q: Equivalent<K> + Hash + ?Sized>(&self, name: &Q) -> Option<V> {
        self.entries.get(name).await.inspect(|_| self.metrics.hits.add(1))
    }

    /// What is in memory under this name, or else what `read` gives.
    ///
    /// # Errors
    /// That of `read`; it is not remembered.
    pub async fn get_or_read<E, R>(&self, name: &K, read: impl FnOnce() -> R) -> Result<V, Arc<E>>
    where
        E: Send + Sync + 'static,
        R: Future<Output = Result<V, E>>,
    {
        if let Some(known) = self.get(name).await {
            return Ok(known);
        }
        self.metrics.misses.add(1);
        let before = self.forgotten.load(Ordering::Acquire);
        // Boxed: a query makes a large future, which every request would carry along for the few that read.
        let value = Box::pin(self.entries.try_get_with_by_ref(name, read())).await;
        let value = value.inspect_err(|_| self.metrics.failures.add(1))?;
        // A change that was announced while we read came before our entry was there to be forgotten.
        if self.forgotten.load(Ordering::Acquire) != before {
            self.entries.invalidate(name).await;
        }
        Ok(value)
    }

    /// Forgets one value.
    pub async fn forget(&self, name: &K) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.entries.invalidate(name).await;
    }

    /// Forgets every value.
    pub fn forget_all(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.entries.invalidate_all();
    }
}
