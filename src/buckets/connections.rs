//! Connections to buckets that are kept between calls.
//!
//! They belong to a host, not to a credential: a client is made for each call with the credential of that moment, so one
//! that was rotated is never used again, and there is nothing to forget.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::buckets::credentials::OpenBucket;
use crate::egress::Egress;
use crate::telemetry::metrics::bucket::BucketMetrics;

use super::{BucketClient, BucketError, http_client};

/// Makes clients that share their connections.
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
    /// `timeout` is how long a call may take, from the first attempt to connect.
    #[must_use]
    pub fn new(outbound: Egress, timeout: Duration, metrics: BucketMetrics) -> Self {
        Self(Arc::new(Inner { outbound, timeout, metrics, to_public: OnceLock::new(), to_allowed: OnceLock::new() }))
    }

    /// How long a call may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// A client for one bucket.
    ///
    /// # Errors
    /// The endpoint's host is one that may not be reached.
    pub fn client(&self, open: &OpenBucket) -> Result<BucketClient, BucketError> {
        let Inner { outbound, timeout, metrics, to_public, to_allowed } = &*self.0;
        let names = outbound.resolver_for_endpoint(&open.bucket.location.endpoint);
        let names = names.map_err(|error| BucketError::other(error.to_string()))?;
        let kept = if names.is_public_only() { to_public } else { to_allowed };
        let kept = kept.get_or_init(|| http_client(names)).clone();
        Ok(BucketClient::over(kept, open, *timeout, metrics.clone()))
    }
}
