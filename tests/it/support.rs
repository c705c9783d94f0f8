//! What tests stand on.

pub mod binary;
pub mod canary;
pub mod postgres;
pub mod proxy;
pub mod publisher;
pub mod stack;
pub mod tokens;

use std::time::Duration;

/// Tries again until the check gives something; fails after ten seconds.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut check: impl FnMut() -> F) -> T {
    let found = tokio::time::timeout(Duration::from_secs(10), async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            pause.tick().await;
            if let Some(found) = check().await {
                return found;
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("did not happen within ten seconds: {what}"))
}
