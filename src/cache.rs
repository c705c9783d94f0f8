//! What was read from the store, kept in memory: bounded in number and in age, read once however many ask at once, and
//! forgotten when it is announced as changed.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::Equivalent;

use crate::telemetry::metrics::cache::CacheMetrics;

pub use self::aged::Aged;
use self::reads::{Reads, Turn};

mod aged;
mod reads;

/// Values by the names that requests bring; `E` is why one cannot be read.
pub struct Cache<K, V, E> {
    entries: Aged<K, V>,
    reads: Reads<K, Result<V, Arc<E>>>,
    /// Counts what was forgotten, so that a read which began before a change is not kept after it.
    forgotten: AtomicU64,
    metrics: CacheMetrics,
}

impl<K, V, E> Cache<K, V, E>
where
    K: Clone + Hash + Eq,
    V: Clone,
{
    /// `max_age` bounds how long a change that is not announced can go unseen; zero keeps nothing.
    #[must_use]
    pub fn new(max_entries: u64, max_age: Duration, metrics: CacheMetrics) -> Self {
        let (entries, reads) = (Aged::new(max_entries, max_age), Reads::new());
        Self { entries, reads, forgotten: AtomicU64::new(0), metrics }
    }

    /// The cache's name, and about how many values it holds.
    #[must_use]
    pub fn size(&self) -> (&'static str, u64) {
        (self.metrics.name, self.entries.count())
    }

    /// What is in memory under this name.
    pub fn get<Q: Equivalent<K> + Hash + ?Sized>(&self, name: &Q) -> Option<V> {
        self.entries.get(name).inspect(|_| self.metrics.hits.add(1))
    }

    /// What is in memory under this name, or else what `read` gives.
    ///
    /// # Errors
    /// That of `read`; it is not remembered.
    pub async fn get_or_read<R>(&self, name: &K, read: impl FnOnce() -> R) -> Result<V, Arc<E>>
    where
        R: Future<Output = Result<V, E>>,
    {
        if let Some(known) = self.get(name) {
            return Ok(known);
        }
        self.metrics.misses.add(1);
        // Boxed: a query makes a large future, which every request would carry along for the few that read.
        Box::pin(self.read(name, read)).await.inspect_err(|_| self.metrics.failures.add(1))
    }

    async fn read<R>(&self, name: &K, read: impl FnOnce() -> R) -> Result<V, Arc<E>>
    where
        R: Future<Output = Result<V, E>>,
    {
        loop {
            let reading = match self.reads.turn(name) {
                Turn::Mine(reading) => reading,
                Turn::Theirs(mut answer) => match answer.wait_for(Option::is_some).await.as_deref() {
                    Ok(Some(answer)) => return answer.clone(),
                    // Who read gave up: its client may have gone.
                    _ => continue,
                },
            };
            // It may have been read between our look and our turn.
            if let Some(known) = self.entries.get(name) {
                reading.tell(Ok(known.clone()));
                return Ok(known);
            }
            let outcome = self.read_and_keep(name, read()).await;
            reading.tell(outcome.clone());
            return outcome;
        }
    }

    async fn read_and_keep(&self, name: &K, reading: impl Future<Output = Result<V, E>>) -> Result<V, Arc<E>> {
        let before = self.forgotten.load(Ordering::Acquire);
        let value = reading.await?;
        let has_changed = || self.forgotten.load(Ordering::Acquire) != before;
        if !has_changed() {
            self.entries.insert(name.clone(), value.clone());
            // A change that is announced just now came before our entry was there to be forgotten.
            if has_changed() {
                self.entries.remove(name);
            }
        }
        Ok(value)
    }

    /// Forgets one value.
    pub fn forget(&self, name: &K) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.reads.forget(name);
        self.entries.remove(name);
    }

    /// Forgets every value.
    pub fn invalidate_all(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.reads.invalidate_all();
        self.entries.clear();
    }

    /// Takes out what is too old to be given: an opened credential that nobody asks for must not stay for ever.
    pub fn evict_expired(&self) {
        self.entries.evict_expired();
    }
}
