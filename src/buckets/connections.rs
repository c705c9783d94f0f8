//! HTTP connections to buckets, pooled between calls.
//!
//! A pool belongs to a host, not to a credential. Each call makes a client with the current
//! credential, so a rotated credential is never used again and nothing has to be invalidated.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::buckets::credentials::OpenBucket;
use crate::egress::Egress;
use crate::telemetry::metrics::bucket::BucketMetrics;

use super::{BucketClient, BucketError, http_client};

/// Creates clients that share connections.
#[derive(Debug, Clone)]
pub struct BucketConnections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    outbound: Egress,
    timeout: Duration,
    metrics: BucketMetrics,
    // Made when first used: reading the machine's certificates takes a while.
    to_public: OnceLock<SharedHttpClient>,
    to_allowed: OnceLock<SharedHttpClient>,
}

impl BucketConnections {
    /// `timeout` bounds a call, from the first connection attempt.
    #[must_use]
    pub fn new(outbound: Egress, timeout: Duration, metrics: BucketMetrics) -> Self {
        Self(Arc::new(Inner { outbound, timeout, metrics, to_public: OnceLock::new(), to_allowed: OnceLock::new() }))
    }

    /// How long a call may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// Creates a client for one bucket.
    ///
    /// # Errors
    /// The endpoint's host is not allowed.
    pub fn client(&self, open: &OpenBucket) -> Result<BucketClient, BucketError> {
        let Inner { outbound, timeout, metrics, to_public, to_allowed } = &*self.0;
        let names = outbound.resolver_for_endpoint(&open.bucket.location.endpoint);
        let names = names.map_err(|error| BucketError::other(error.to_string()))?;
        let kept = if names.is_public_only() { to_public } else { to_allowed };
        let kept = kept.get_or_init(|| http_client(names)).clone();
        Ok(BucketClient::over(kept, open, *timeout, metrics.clone()))
    }
}
