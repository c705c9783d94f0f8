//! Writes the last use of API keys to the store: periodically, and once more when the gateway stops.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::auth::Auth;
use crate::telemetry::error_chain::chain;

/// Runs until `stop` is cancelled. A write is never interrupted: uses that it has taken out of memory would be lost.
pub(super) async fn run(auth: &Auth, every: Duration, stop: &CancellationToken) {
    loop {
        let is_stopping = stop.run_until_cancelled(sleep(every)).await.is_none();
        if let Err(error) = auth.flush_last_used().await {
            tracing::warn!(cause = %chain(&error), "writing last-used times of API keys failed, retrying");
        }
        if is_stopping {
            return;
        }
    }
}
