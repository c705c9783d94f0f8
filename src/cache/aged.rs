//! Values that are kept for a bounded time, and bounded in number.

use std::hash::{Hash, RandomState};
use std::time::{Duration, Instant};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, UnitWeighter};

/// Where strangers choose the names, they must not be able to choose ones that collide: hence the standard library's hasher.
type Entries<K, V> = Cache<K, (V, Instant), UnitWeighter, RandomState>;

/// A map that forgets: what is old, and of too many what is asked for the least. To look takes no lock but a shared one.
pub struct Aged<K, V> {
    entries: Entries<K, V>,
    max_age: Duration,
}

impl<K, V> Aged<K, V>
where
    K: Hash + Eq,
    V: Clone,
{
    /// With a `max_entries` or a `max_age` of zero nothing is kept. There is room for about `max_entries`: it is divided among shards.
    pub fn new(max_entries: u64, max_age: Duration) -> Self {
        let expected = usize::try_from(max_entries).unwrap_or(usize::MAX);
        let lifecycle = DefaultLifecycle::default();
        let entries = Cache::with(expected, max_entries, UnitWeighter, RandomState::new(), lifecycle);
        Self { entries, max_age }
    }

    pub fn get<Q: Equivalent<K> + Hash + ?Sized>(&self, name: &Q) -> Option<V> {
        let (value, since) = self.entries.get(name)?;
        (since.elapsed() < self.max_age).then_some(value)
    }

    pub fn insert(&self, name: K, value: V) {
        if !self.max_age.is_zero() {
            self.entries.insert(name, (value, Instant::now()));
        }
    }

    pub fn remove(&self, name: &K) {
        self.entries.remove(name);
    }

    pub fn clear(&self) {
        self.entries.clear();
    }

    /// Takes out what is too old to be given.
    pub fn evict_expired(&self) {
        self.entries.retain(|_, (_, since)| since.elapsed() < self.max_age);
    }

    /// How many there are, with those that are too old but still there.
    pub fn count(&self) -> u64 {
        self.entries.len().try_into().unwrap_or(u64::MAX)
    }
}
