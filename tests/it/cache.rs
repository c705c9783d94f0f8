//! What is kept in memory.

use std::sync::Arc;
use std::time::Duration;

use presign_gateway::cache::Cache;
use presign_gateway::telemetry::metrics::Metrics;

const LONG: Duration = Duration::from_mins(10);

async fn read(cache: &Cache<u8, u8>, value: u8) -> u8 {
    cache.get_or_read(&1, || async move { Ok::<_, ()>(value) }).await.unwrap()
}

#[tokio::test]
async fn a_value_is_read_once_until_it_is_forgotten() {
    let cache = Cache::new(10, LONG, Metrics::off().cache("test"));
    assert_eq!((read(&cache, 1).await, read(&cache, 2).await), (1, 1));
    cache.forget(&1).await;
    assert_eq!((read(&cache, 3).await, read(&cache, 4).await), (3, 3));
    cache.forget_all();
    assert_eq!(read(&cache, 5).await, 5);
}

#[tokio::test]
async fn a_value_whose_reading_began_before_a_change_is_not_kept_after_it() {
    for forget_all in [false, true] {
        let cache = Arc::new(Cache::new(10, LONG, Metrics::off().cache("test")));
        let old = cache.get_or_read(&1, || async {
            // The old row has been read; the change is announced before it is in memory.
            if forget_all {
                cache.forget_all();
            } else {
                cache.forget(&1).await;
            }
            Ok::<_, ()>(1)
        });
        assert_eq!(old.await.unwrap(), 1, "whoever asked before the change may hear the old value");
        assert_eq!(read(&cache, 2).await, 2);
    }
}

#[tokio::test]
async fn an_error_is_not_kept() {
    let cache = Cache::<u8, u8>::new(10, LONG, Metrics::off().cache("test"));
    cache.get_or_read(&1, || async { Err("away") }).await.unwrap_err();
    assert_eq!(read(&cache, 1).await, 1);
}
