//! What was read from the store, kept in memory: bounded in number and in age, read once however many ask at once, and
//! forgotten when it is announced as changed.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::Equivalent;

/// Values by the names that requests bring.
pub struct Cache<K, V> {
    entries: moka::future::Cache<K, V>,
    /// Counts what was forgotten, so that a read which began before a change is not kept after it.
    forgotten: AtomicU64,
}

impl<K, V> Cache<K, V>
where
    K: Clone + Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// `max_age` bounds how long a change that is not announced can go unseen; zero keeps nothing.
    #[must_use]
    pub fn new(max_entries: u64, max_age: Duration) -> Self {
        let entries = moka::future::Cache::builder().max_capacity(max_entries).time_to_live(max_age).build();
        Self { entries, forgotten: AtomicU64::new(0) }
    }

    /// What is in memory under this name.
    pub async fn get<Q: Equivalent<K> + Hash + ?Sized>(&self, name: &Q) -> Option<V> {
        self.entries.get(name).await
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
        if let Some(known) = self.entries.get(name).await {
            return Ok(known);
        }
        let before = self.forgotten.load(Ordering::Acquire);
        // Boxed: a query makes a large future, which every request would carry along for the few that read.
        let value = Box::pin(self.entries.try_get_with_by_ref(name, read())).await?;
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
