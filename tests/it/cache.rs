//! The caches.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use presign_gateway::telemetry::metrics::Metrics;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::support::eventually;

type Cache = presign_gateway::cache::Cache<u8, u8, &'static str>;

const LONG: Duration = Duration::from_mins(10);

fn cache(max_entries: u64, max_age: Duration) -> Cache {
    Cache::new(max_entries, max_age, Metrics::off().cache("test"))
}

/// Whoever waits for ever fails.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.unwrap()
}

async fn read(cache: &Cache, value: u8) -> u8 {
    cache.get_or_read(&1, async || Ok(value)).await.unwrap()
}

#[tokio::test]
async fn a_value_is_read_once_until_it_is_forgotten() {
    let cache = cache(10, LONG);
    assert_eq!((read(&cache, 1).await, read(&cache, 2).await), (1, 1));
    cache.invalidate(&1);
    assert_eq!((read(&cache, 3).await, read(&cache, 4).await), (3, 3));
    cache.invalidate_all();
    assert_eq!(read(&cache, 5).await, 5);
}

#[tokio::test]
async fn value_read_before_a_change_is_not_cached_after_it() {
    for invalidate_all in [false, true] {
        let cache = cache(10, LONG);
        let old = cache.get_or_read(&1, async || {
            // The old row has been read; the change is announced before it is in memory.
            if invalidate_all {
                cache.invalidate_all();
            } else {
                cache.invalidate(&1);
            }
            Ok(1)
        });
        assert_eq!(old.await.unwrap(), 1, "whoever asked before the change may hear the old value");
        assert_eq!(read(&cache, 2).await, 2);
    }
}

#[tokio::test]
async fn lookup_after_a_change_ignores_reads_that_began_before_it() {
    for invalidate_all in [false, true] {
        let (cache, old_is_read) = (cache(10, LONG), Notify::new());
        let before = cache.get_or_read(&1, async || {
            old_is_read.notified().await;
            Ok(1)
        });
        let before = waiting(Box::pin(before)).await;
        if invalidate_all {
            cache.invalidate_all();
        } else {
            cache.invalidate(&1);
        }
        // Though the older reading is still under way, and ends after this one.
        assert_eq!(in_time(read(&cache, 2)).await, 2);
        old_is_read.notify_one();
        assert_eq!(in_time(before).await.unwrap(), 1, "whoever asked before the change may hear the old value");
        assert_eq!(read(&cache, 3).await, 2, "the newer one stays");
    }
}

#[tokio::test]
async fn an_error_is_not_kept() {
    let cache = cache(10, LONG);
    cache.get_or_read(&1, async || Err("away")).await.unwrap_err();
    assert_eq!(read(&cache, 1).await, 1);
}

#[tokio::test]
async fn concurrent_lookups_share_one_value_or_error() {
    for answer in [Ok(7), Err("away")] {
        let (cache, reads, asked) = (cache(10, LONG), AtomicU8::new(0), Notify::new());
        let ask = |number| {
            let (cache, reads, asked) = (&cache, &reads, &asked);
            async move {
                if number == 9 {
                    // All others wait by now: futures are polled in their order.
                    asked.notify_one();
                }
                let read = async || {
                    reads.fetch_add(1, Ordering::Relaxed);
                    asked.notified().await;
                    answer
                };
                cache.get_or_read(&1, read).await.map_err(|error| *error)
            }
        };
        let heard = in_time(join_all((0..10).map(ask))).await;
        assert_eq!((heard, reads.into_inner()), (vec![answer; 10], 1));
    }
}

#[tokio::test]
async fn when_the_one_who_reads_gives_up_another_one_reads() {
    let cache = Arc::new(cache(10, LONG));
    let began = Arc::new(Notify::new());
    let first = tokio::spawn({
        let (cache, began) = (Arc::clone(&cache), Arc::clone(&began));
        async move {
            let read = async || {
                began.notify_one();
                pending().await
            };
            cache.get_or_read(&1, read).await
        }
    });
    began.notified().await;
    let second = waiting(Box::pin({
        let cache = Arc::clone(&cache);
        async move { read(&cache, 2).await }
    }))
    .await;
    first.abort();
    assert_eq!(in_time(second).await, 2);
}

/// The future, once it was polled and had to wait.
async fn waiting<F: Future + Unpin>(mut future: F) -> F {
    let polled = futures_util::poll!(&mut future);
    assert!(polled.is_pending(), "somebody else reads");
    future
}

#[tokio::test]
async fn names_are_read_beside_each_other() {
    let cache = cache(10, LONG);
    let other = Notify::new();
    let waits = cache.get_or_read(&1, async || {
        other.notified().await;
        Ok(1)
    });
    let goes_on = cache.get_or_read(&2, async || {
        other.notify_one();
        Ok(2)
    });
    let (first, second) = in_time(futures_util::future::join(waits, goes_on)).await;
    assert_eq!((first.unwrap(), second.unwrap()), (1, 2));
}

#[tokio::test]
async fn what_is_too_old_is_read_again_and_does_not_stay_in_memory() {
    let cache = cache(10, Duration::from_millis(20));
    assert_eq!(read(&cache, 1).await, 1);
    let value = eventually("the value is too old", async || Some(read(&cache, 2).await).filter(|value| *value == 2));
    assert_eq!(value.await, 2);
    let gone = eventually("it is taken out, though nobody asks for it", async || {
        cache.evict_expired();
        (cache.size().1 == 0).then_some(())
    });
    gone.await;
}

#[tokio::test]
async fn what_is_not_too_old_stays_when_there_is_a_clear_up() {
    let cache = cache(10, LONG);
    read(&cache, 1).await;
    cache.evict_expired();
    assert_eq!(read(&cache, 2).await, 1);
}

#[tokio::test]
async fn cache_keeps_nothing_at_zero_ttl_and_at_most_its_capacity() {
    let (none, few) = (cache(10, Duration::ZERO), cache(3, LONG));
    for value in 1..=100 {
        assert_eq!(read(&none, value).await, value);
        few.get_or_read(&value, async || Ok(value)).await.unwrap();
        assert!(few.size().1 <= 3, "{:?}", few.size());
    }
    assert_eq!(none.size().1, 0);
}

#[tokio::test]
async fn hit_is_answered_without_waiting() {
    let cache = cache(10, LONG);
    read(&cache, 1).await;
    let hit = cache.get_or_read(&1, async || panic!("read again"));
    assert_eq!(hit.now_or_never().expect("the first poll answers").unwrap(), 1);
}

#[tokio::test]
async fn removed_values_are_dropped_though_nobody_asks() {
    for removal in ["expired", "invalidated", "all invalidated"] {
        let max_age = if removal == "expired" { Duration::from_millis(20) } else { LONG };
        let cache = presign_gateway::cache::Cache::<u16, _, ()>::new(2000, max_age, Metrics::off().cache("test"));
        let mut values = Vec::new();
        for key in 0..1000 {
            let value = cache.get_or_read(&key, async || Ok(Arc::new("a secret"))).await.unwrap();
            values.push(Arc::downgrade(&value));
        }
        match removal {
            "invalidated" => (0..1000).for_each(|key| cache.invalidate(&key)),
            "all invalidated" => cache.invalidate_all(),
            _ => {}
        }
        let dropped = eventually(removal, async || {
            cache.evict_expired();
            values.iter().all(|value| value.strong_count() == 0).then_some(())
        });
        dropped.await;
    }
}

#[tokio::test]
async fn concurrent_requests_share_a_read_whose_value_is_not_kept() {
    let (cache, go_on) = (cache(10, Duration::ZERO), Notify::new());
    let first = waiting(Box::pin(cache.get_or_read(&1, async || {
        go_on.notified().await;
        Ok(1)
    })))
    .await;
    let second = waiting(Box::pin(read(&cache, 2))).await;
    go_on.notify_one();
    assert_eq!((in_time(first).await.unwrap(), in_time(second).await), (1, 1));
    assert_eq!(read(&cache, 3).await, 3);
}

#[tokio::test]
async fn value_is_read_after_hundreds_of_cancelled_reads() {
    let cache = cache(10, LONG);
    let mut cancelled = Vec::new();
    for _ in 0..300 {
        cancelled.push(waiting(Box::pin(cache.get_or_read(&1, pending))).await);
    }
    let last = waiting(Box::pin(read(&cache, 2))).await;
    for read in cancelled {
        // All before it are gone, so it reads now.
        drop(waiting(read).await);
    }
    assert_eq!(in_time(last).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_request_after_a_change_gets_an_older_value() {
    type Versions = presign_gateway::cache::Cache<u8, u64, ()>;
    async fn ask(cache: &Versions, stored: &AtomicU64) -> u64 {
        let read = async || {
            let version = stored.load(Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(version)
        };
        cache.get_or_read(&1, read).await.unwrap()
    }
    let cache = Arc::new(Versions::new(10, LONG, Metrics::off().cache("test")));
    let stored = Arc::new(AtomicU64::new(0));
    let mut others = JoinSet::new();
    for _ in 0..2 {
        let (cache, stored) = (Arc::clone(&cache), Arc::clone(&stored));
        others.spawn(async move {
            loop {
                ask(&cache, &stored).await;
                tokio::task::yield_now().await;
            }
        });
    }
    for version in 1..=2000 {
        stored.store(version, Ordering::SeqCst);
        if version % 2 == 0 {
            cache.invalidate_all();
        } else {
            cache.invalidate(&1);
        }
        assert_eq!(in_time(ask(&cache, &stored)).await, version);
        // moka may have removed the value already, which costs a read; an older one must not be there.
        assert!(cache.get(&1).is_none_or(|cached| cached == version));
    }
}
