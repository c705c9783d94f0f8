//! Reads under way: who wants what is being read waits for that answer.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// The answer, once it is there.
type Answer<T> = watch::Receiver<Option<T>>;

/// What is being read, by name.
pub struct Reads<K, T> {
    under_way: Mutex<HashMap<K, Answer<T>>>,
}

/// Who reads.
pub enum Turn<'a, K: Hash + Eq, T> {
    Mine(Reading<'a, K, T>),
    /// Somebody else does.
    Theirs(Answer<T>),
}

/// Ends when it is dropped. If nothing was told by then, one of those who wait has to read.
pub struct Reading<'a, K: Hash + Eq, T> {
    reads: &'a Reads<K, T>,
    name: K,
    told: watch::Sender<Option<T>>,
}

impl<K: Hash + Eq + Clone, T> Reads<K, T> {
    pub fn new() -> Self {
        Self { under_way: Mutex::default() }
    }

    /// Who asks from now on is told nothing by those who read now.
    pub fn forget(&self, name: &K) {
        self.lock().remove(name);
    }

    pub fn invalidate_all(&self) {
        self.lock().clear();
    }

    pub fn turn(&self, name: &K) -> Turn<'_, K, T> {
        let mut under_way = self.lock();
        if let Some(answer) = under_way.get(name) {
            return Turn::Theirs(answer.clone());
        }
        let (told, answer) = watch::channel(None);
        under_way.insert(name.clone(), answer);
        Turn::Mine(Reading { reads: self, name: name.clone(), told })
    }
}

impl<K: Hash + Eq, T> Reads<K, T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Answer<T>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq, T> Reading<'_, K, T> {
    pub fn tell(self, answer: T) {
        self.told.send_replace(Some(answer));
    }
}

impl<K: Hash + Eq, T> Drop for Reading<'_, K, T> {
    fn drop(&mut self) {
        let mut under_way = self.reads.lock();
        // Somebody else may read by now, where a change was announced meanwhile.
        if under_way.get(&self.name).is_some_and(|answer| answer.same_channel(&self.told.subscribe())) {
            under_way.remove(&self.name);
        }
    }
}
