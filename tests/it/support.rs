//! Helpers of the tests.

pub mod binary;
pub mod canary;
pub mod collector;
pub mod faulty_store;
pub mod jwks_server;
pub mod ledger;
pub mod postgres;
pub mod postgres_server;
pub mod proxy;
pub mod scrape;
pub mod stack;
pub mod tcp_gate;
pub mod tokens;

use std::time::Duration;

/// Tries again until the check gives something; fails after ten seconds.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, check: impl FnMut() -> F) -> T {
    within(Duration::from_secs(10), what, check).await
}

/// Tries again until the check gives something; fails when the time is over.
pub async fn within<T, F: Future<Output = Option<T>>>(time: Duration, what: &str, mut check: impl FnMut() -> F) -> T {
    let found = tokio::time::timeout(time, async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            pause.tick().await;
            if let Some(found) = check().await {
                return found;
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("did not happen within {time:?}: {what}"))
}
