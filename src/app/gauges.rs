//! Registers the gauges, which read the state of the parts when metrics are collected.

use std::sync::{Arc, Weak};
use std::time::Duration;

use chrono::NaiveDate;

use crate::buckets::credentials::CredentialCache;
use crate::http::state::Gateway;
use crate::store::{Connections, Store};
use crate::telemetry::metrics::PoolStats;

/// Lets the metrics ask. They hold nothing of a gateway that has stopped.
pub(super) fn register(gateway: &Arc<Gateway>, credentials: &Arc<CredentialCache>, [general, recorder]: &[Store; 2]) {
    let metrics = &gateway.telemetry.signals.metrics;
    if !metrics.are_read() {
        return;
    }
    metrics.observe_pools([("general", pool(general)), ("recorder", pool(recorder))]);
    let (depth, capacity) = gateway.uploads.issuer.queue_depth();
    metrics.observe_queue(depth, capacity);
    let ask = Ask(Arc::downgrade(gateway));
    let asked = ask.clone();
    let credentials = Arc::downgrade(credentials);
    metrics.observe_caches(move || {
        let of_auth = asked.of(|gateway| gateway.auth.sizes());
        of_auth.into_iter().flatten().chain(credentials.upgrade().map(|cache| cache.size())).collect()
    });
    let asked = ask.clone();
    metrics.observe_jwks(move || asked.of(|gateway| gateway.auth.jwks_stats()).unwrap_or_default());
    let asked = ask.clone();
    metrics.observe_listening(move || asked.of(|gateway| gateway.listening.is_on()).unwrap_or(false));
    metrics.observe_sealing_key(move || ask.of(sealing_key_age).flatten());
}

/// Asks a gateway, as long as there is one.
#[derive(Clone)]
struct Ask(Weak<Gateway>);

impl Ask {
    fn of<T>(&self, f: impl FnOnce(&Gateway) -> T) -> Option<T> {
        self.0.upgrade().map(|gateway| f(&gateway))
    }
}

fn pool(store: &Store) -> impl Fn() -> PoolStats + Clone + Send + Sync + use<> {
    let store = store.clone();
    move || {
        let Connections { idle, used, max } = store.connections();
        PoolStats { idle: idle.into(), used: used.into(), max: max.into() }
    }
}

/// By the date in the key's id, where it is such as `keyring generate` makes it.
fn sealing_key_age(gateway: &Gateway) -> Option<Duration> {
    let id = gateway.keyring.sealing_key_id();
    let made = NaiveDate::parse_from_str(id.get(..9)?, "k%Y%m%d").ok()?;
    (gateway.uploads.reader.now().date_naive() - made).to_std().ok()
}
