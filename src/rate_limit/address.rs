//! Rate limits by client address, for clients without a tenant.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, RateLimiter};

use crate::domain::tenant::RateLimit;

use super::{Limited, governor_quota, whole_seconds};

/// A limit for each address. An IPv6 client owns a whole /64, so that is counted.
pub(super) struct AddressLimiter {
    governor: DefaultKeyedRateLimiter<IpAddr>,
    max_addresses: usize,
    /// Rejected addresses and until when: governor reveals this only by counting again.
    refused_until: Mutex<HashMap<IpAddr, Instant>>,
}

impl AddressLimiter {
    pub(super) fn new(limit: RateLimit, max_addresses: usize) -> Self {
        Self { governor: RateLimiter::keyed(governor_quota(limit)), max_addresses, refused_until: Mutex::default() }
    }

    pub(super) fn check(&self, address: IpAddr) -> Result<(), Limited> {
        if self.governor.len() >= self.max_addresses {
            self.make_room()?;
        }
        self.governor.check_key(&network(address)).map_err(|refused| {
            let wait = refused.wait_time_from(self.governor.clock().now());
            self.note_refusal(network(address), Instant::now() + wait);
            Limited { retry_after_seconds: whole_seconds(wait), quota: None }
        })
    }

    /// Whether the address was rejected and has not waited long enough.
    pub(super) fn is_refused(&self, address: IpAddr) -> bool {
        self.refused().get(&network(address)).is_some_and(|until| *until > Instant::now())
    }

    fn note_refusal(&self, address: IpAddr, until: Instant) {
        let mut refused = self.refused();
        if refused.len() >= self.max_addresses {
            let now = Instant::now();
            refused.retain(|_, until| *until > now);
        }
        // With no room left the address is not remembered; it is refused by the count all the same.
        if refused.len() < self.max_addresses {
            refused.insert(address, until);
        }
    }

    fn refused(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.refused_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops addresses whose full burst is available again.
    fn make_room(&self) -> Result<(), Limited> {
        self.governor.retain_recent();
        if self.governor.len() >= self.max_addresses {
            return Err(Limited { retry_after_seconds: 1, quota: None });
        }
        Ok(())
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}
