//! A tenant with callers of every kind, and what authenticates them, which has read them once.

use std::sync::Arc;
use std::time::Duration;

use criterion::Bencher;
use presign_gateway::admin::{Actor, Admin, NewApiKey, NewJwtIssuer, NewTenant, NewVerification, PolicyChanges};
use presign_gateway::auth::jwks::{Jwks, JwksTiming};
use presign_gateway::auth::{Auth, CacheBounds, Presented};
use presign_gateway::crypto::keyring::Keyring;
use presign_gateway::domain::caller::Scopes;
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::domain::jwt_issuer::JwtAlgorithm;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use presign_gateway::domain::tenant::{RateLimit, Slug};
use presign_gateway::egress::Egress;
use presign_gateway::store::Store;
use presign_gateway::telemetry::metrics::Metrics;
use secrecy::{ExposeSecret, SecretString};

use super::database::Database;
use super::{time_async, tokens};

/// Longer than any measurement: nothing is read twice.
const LONG: Duration = Duration::from_hours(1);

pub struct Callers<'a> {
    database: &'a Database<'a>,
    tenants: Admin,
    keyring: Arc<Keyring>,
    auth: Auth,
    tenant: Slug,
}

impl<'a> Callers<'a> {
    /// A new tenant, which has none yet.
    pub fn new(database: &'a Database<'a>) -> Self {
        let sealing_key = SealingKey::generate("bench", &Randomness::System);
        let (store, outbound) = (database.store(2), Egress::new(AllowedHosts::any()));
        let actor = Actor { name: "bench".to_owned(), origin: None };
        let tenants = Admin::new(store.clone(), Clock::System, Randomness::System, outbound.clone(), actor);
        let name = format!("tenant-{:08x}", u32::from_be_bytes(Randomness::System.bytes()));
        let tenant = Slug::parse(&name).unwrap();
        let (rate_limit, policy) = (RateLimit::new(1, 1).unwrap(), PolicyChanges::default());
        let new = NewTenant { slug: tenant.clone(), name, rate_limit, policy };
        database.runtime.block_on(tenants.create_tenant(new)).unwrap();
        let keyring = Arc::new(Keyring::new(&[SealingKey::parse(sealing_key.expose_secret()).unwrap()]).unwrap());
        let auth = auth(store, outbound, &keyring);
        Self { database, tenants, keyring, auth, tenant }
    }

    pub fn add_api_key(&self) -> SecretString {
        let tenant = Some(self.tenant.clone());
        let new = NewApiKey { tenant, label: "bench".to_owned(), scopes: Scopes::all(), expires_at: None };
        self.database.runtime.block_on(self.tenants.create_api_key(new)).unwrap().1
    }

    /// An issuer of such tokens as [`tokens::claims`] says; each needs an audience of its own.
    pub fn add_issuer(&self, audience: &str, algorithm: JwtAlgorithm, verification: NewVerification) {
        let new = NewJwtIssuer {
            issuer: tokens::ISSUER.to_owned(),
            audience: audience.to_owned(),
            algorithm,
            verification,
            leeway_seconds: 30,
            scopes: Scopes::default_scopes(),
            scopes_claim: "scope".to_owned(),
        };
        self.database.runtime.block_on(self.tenants.add_jwt_issuer(&self.tenant, new, &self.keyring)).unwrap();
    }

    /// Times the authentication of one who was seen before.
    pub fn time_authentication(&self, bencher: &mut Bencher<'_>, presented: &Presented) {
        let Self { auth, .. } = self;
        self.database.runtime.block_on(auth.authenticate(presented, || true)).unwrap();
        time_async(bencher, self.database.runtime, async || auth.authenticate(presented, || false).await.unwrap());
    }
}

fn auth(store: Store, outbound: Egress, keyring: &Arc<Keyring>) -> Auth {
    let bounds = CacheBounds { max_entries: 1000, max_age: LONG, max_tokens: 1000 };
    let timing = JwksTiming { refresh: LONG, cooldown: LONG, stale: LONG };
    let jwks = Jwks::new(outbound, timing, Metrics::off().jwks());
    Auth::new(store, Arc::clone(keyring), Clock::System, bounds, jwks, &Metrics::off())
}
