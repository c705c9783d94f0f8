//! Rate limits: for a tenant's callers, for anonymous clients, and for failed authentication by
//! address.
//!
//! The algorithm is GCRA (<https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>), from
//! governor. Checks are synchronous and never block. The state is local to the process, so N
//! instances admit N times the limit.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota as GovernorQuota, RateLimiter};

use crate::domain::caller::{Caller, CallerKind};
use crate::domain::ids::TenantId;
use crate::domain::tenant::{RateLimit, Tenant};
use crate::telemetry::metrics::rate_limit::{Decisions, LimiterMetrics};

use self::address::AddressLimiter;

pub(crate) mod address;

/// A caller whose request is within every limit.
///
/// Only this module can create one, and issuing an upload requires one. So code that forgets
/// authentication or limits does not compile.
#[derive(Debug)]
pub struct Admitted {
    caller: Caller,
}

impl Admitted {
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// The rest of a limit, for the `RateLimit` fields
/// (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub limit: RateLimit,
    /// Requests that would be admitted at once.
    pub remaining: u32,
    /// Seconds until the full burst is available; for a rejected request, until the next one is
    /// admitted.
    pub reset_seconds: u64,
}

/// Too many requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("over the limit; retry after {retry_after_seconds} s")]
pub struct Limited {
    pub retry_after_seconds: u64,
    /// The tenant's limit, if that was exceeded.
    pub quota: Option<Quota>,
}

type Governor = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

struct TenantLimiter {
    limit: RateLimit,
    governor: Governor,
    decisions: Decisions,
}

/// Every limit of this process.
pub struct Limits {
    /// One entry for each active tenant, because only authenticated callers create one.
    tenants: RwLock<HashMap<TenantId, Arc<TenantLimiter>>>,
    anonymous: AddressLimiter,
    strangers: AddressLimiter,
    metrics: LimiterMetrics,
}

impl Limits {
    /// `anonymous` applies to each address without a credential, `strangers` to each address whose
    /// credentials are rejected.
    #[must_use]
    pub fn new(anonymous: RateLimit, strangers: RateLimit, max_addresses: usize, metrics: LimiterMetrics) -> Self {
        Self {
            tenants: RwLock::default(),
            anonymous: AddressLimiter::new(anonymous, max_addresses),
            strangers: AddressLimiter::new(strangers, max_addresses),
            metrics,
        }
    }

    /// Admits a caller, or returns when to retry.
    ///
    /// # Errors
    /// The tenant's limit is exceeded, or the limit of an anonymous client's address.
    pub fn admit(&self, caller: Caller, client_address: IpAddr) -> Result<(Admitted, Quota), Limited> {
        // The address first: one that asks too much must not use up the tenant's limit.
        if caller.kind == CallerKind::Anonymous {
            let checked = self.anonymous.check(client_address);
            self.metrics.anonymous.note(&checked);
            checked?;
        }
        let quota = self.tenant_limiter(&caller.tenant).check()?;
        Ok((Admitted { caller }, quota))
    }

    /// Charges an admitted request for further work: `more` times the cost of one.
    ///
    /// # Errors
    /// The tenant's limit is exceeded; then nothing is charged.
    pub fn charge(&self, admitted: &Admitted, more: NonZeroU32) -> Result<Quota, Limited> {
        self.tenant_limiter(&admitted.caller.tenant).charge(more)
    }

    /// Counts a failed authentication.
    ///
    /// # Errors
    /// The address has failed too often.
    pub fn count_failure(&self, client_address: IpAddr) -> Result<(), Limited> {
        let checked = self.strangers.check(client_address);
        self.metrics.failures.note(&checked);
        checked
    }

    /// Counts a client that failed too often and was not looked up.
    pub fn note_denied(&self) {
        self.metrics.failures.refused.add(1);
    }

    /// Whether the address has failed too often and must wait before a lookup.
    #[must_use]
    pub fn has_failed_too_often(&self, client_address: IpAddr) -> bool {
        self.strangers.is_refused(client_address)
    }

    fn tenant_limiter(&self, tenant: &Tenant) -> Arc<TenantLimiter> {
        let (id, limit) = (tenant.id, tenant.rate_limit);
        let known = self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some(known) = known.filter(|known| known.limit == limit) {
            return known;
        }
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(TenantLimiter::new(limit, self.metrics.tenant(tenant.slug.as_str())));
        let entry = tenants.entry(id).or_insert_with(new);
        if entry.limit != limit {
            *entry = new();
        }
        Arc::clone(entry)
    }
}

impl TenantLimiter {
    fn new(limit: RateLimit, decisions: Decisions) -> Self {
        Self { limit, governor: RateLimiter::direct(governor_quota(limit)).with_middleware(), decisions }
    }

    fn check(&self) -> Result<Quota, Limited> {
        let checked = self.try_charge(NonZeroU32::MIN);
        self.decisions.note(&checked);
        checked
    }

    fn charge(&self, times: NonZeroU32) -> Result<Quota, Limited> {
        // Its request was let in, and is counted once; that it is refused all the same is told.
        self.try_charge(times).inspect_err(|_| self.decisions.refused.add(1))
    }

    fn try_charge(&self, times: NonZeroU32) -> Result<Quota, Limited> {
        let quota = |remaining, reset_seconds| Quota { limit: self.limit, remaining, reset_seconds };
        let Ok(checked) = self.governor.check_n(times) else {
            // More than the burst is never let through at once; who asks for that should have been told before.
            let window = window_seconds(self.limit).get().into();
            return Err(Limited { retry_after_seconds: window, quota: Some(quota(0, window)) });
        };
        match checked {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let used = self.limit.burst.get().saturating_sub(remaining);
                Ok(quota(remaining, u64::from(used.div_ceil(self.limit.per_second.get()))))
            }
            Err(refused) => {
                let wait = whole_seconds(refused.wait_time_from(self.governor.clock().now()));
                Err(Limited { retry_after_seconds: wait, quota: Some(quota(0, wait)) })
            }
        }
    }
}

fn governor_quota(limit: RateLimit) -> GovernorQuota {
    GovernorQuota::per_second(limit.per_second).allow_burst(limit.burst)
}

/// Rounded up, and at least one, so that a client that waits this long is admitted.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// Seconds in which the full burst becomes available again; the window of `RateLimit-Policy`.
#[must_use]
pub fn window_seconds(limit: RateLimit) -> NonZeroU32 {
    limit.burst.div_ceil(limit.per_second)
}
