//! Values that are kept for a bounded time, and bounded in number.

use std::hash::{Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, UnitWeighter};

/// Where strangers choose the names, they must not be able to choose ones that collide: hence the standard library's hasher.
type Entries<K, V> = Cache<K, (V, Instant), UnitWeighter, RandomState>;

/// A map that forgets: what is old, and of too many what is asked for the least. To look takes no lock but a shared one.
pub struct Aged<K, V> {
    entries: Entries<K, V>,
    max_age: Duration,
    /// When those that are too old are taken out next.
    clear_up_at: Mutex<Instant>,
}

impl<K, V> Aged<K, V>
where
    K: Hash + Eq,
    V: Clone,
{
    /// With a `max_entries` or a `max_age` of zero nothing is kept.
    pub fn new(max_entries: u64, max_age: Duration) -> Self {
        let expected = usize::try_from(max_entries).unwrap_or(usize::MAX);
        let lifecycle = DefaultLifecycle::default();
        let entries = Cache::with(expected, max_entries, UnitWeighter, RandomState::new(), lifecycle);
        Self { entries, max_age, clear_up_at: Mutex::new(Instant::now()) }
    }

    pub fn get<Q: Equivalent<K> + Hash + ?Sized>(&self, name: &Q) -> Option<V> {
        let (value, since) = self.entries.get(name)?;
        (since.elapsed() < self.max_age).then_some(value)
    }

    pub fn insert(&self, name: K, value: V) {
        let now = Instant::now();
        self.entries.insert(name, (value, now));
        self.clear_up(now);
    }

    /// Takes out what is too old, now and then: all that is in use comes here anew within `max_age`, so nothing stays for twice as long.
    fn clear_up(&self, now: Instant) {
        let mut due_at = self.clear_up_at.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= *due_at {
            *due_at = now + self.max_age;
            self.entries.retain(|_, (_, since)| now.duration_since(*since) < self.max_age);
        }
    }

    pub fn remove(&self, name: &K) {
        self.entries.remove(name);
    }

    pub fn clear(&self) {
        self.entries.clear();
    }

    /// How many there are, with those that are too old but still there.
    pub fn len(&self) -> u64 {
        self.entries.len().try_into().unwrap_or(u64::MAX)
    }
}
