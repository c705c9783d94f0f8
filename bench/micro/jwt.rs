//! Checking a JWT: its verification, and what it costs to be authenticated by the same token again.

use std::cell::LazyCell;
use std::hint::black_box;

use chrono::{DateTime, Utc};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use presign_gateway::admin::NewVerification;
use presign_gateway::auth::Presented;
use presign_gateway::auth::jwt::keys::{KeyMaterial, Keys};
use presign_gateway::auth::jwt::{KeySource, Verifier};
use presign_gateway::domain::caller::Scopes;
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::ids::{JwtIssuerId, TenantId};
use presign_gateway::domain::jwt_issuer::{JwtAlgorithm, JwtIssuer, Verification};
use presign_gateway::domain::randomness::Randomness;
use serde_json::{Map, Value, json};

use super::callers::Callers;
use super::database::Database;
use super::time_async;
use super::tokens::{self, AUDIENCE, ISSUER, IssuerKey};

const SECRET: &str = "a secret that is made for this benchmark only";

/// One algorithm, and an issuer's key for it.
struct Subject {
    name: &'static str,
    algorithm: JwtAlgorithm,
    library: Algorithm,
    /// `None` where the secret is used.
    public_pem: Option<String>,
    signing: EncodingKey,
    verifying: DecodingKey,
}

pub fn measure(criterion: &mut Criterion, database: &Database<'_>) {
    let mut group = criterion.benchmark_group("jwt");
    group.throughput(Throughput::Elements(1));
    let es256 = IssuerKey::es256();
    let es256_key = DecodingKey::from_ec_pem(es256.public_pem.as_bytes()).unwrap();
    let rs256 = IssuerKey::rs256();
    let rs256_key = DecodingKey::from_rsa_pem(rs256.public_pem.as_bytes()).unwrap();
    Subject::hs256().measure(&mut group, database);
    Subject::of("ES256", JwtAlgorithm::Es256, es256, es256_key).measure(&mut group, database);
    Subject::of("RS256", JwtAlgorithm::Rs256, rs256, rs256_key).measure(&mut group, database);
    group.finish();
}

impl Subject {
    fn hs256() -> Self {
        Self {
            name: "HS256",
            algorithm: JwtAlgorithm::Hs256,
            library: Algorithm::HS256,
            public_pem: None,
            signing: EncodingKey::from_secret(SECRET.as_bytes()),
            verifying: DecodingKey::from_secret(SECRET.as_bytes()),
        }
    }

    fn of(name: &'static str, algorithm: JwtAlgorithm, key: IssuerKey, verifying: DecodingKey) -> Self {
        let IssuerKey { algorithm: library, signing, public_pem, .. } = key;
        Self { name, algorithm, library, public_pem: Some(public_pem), signing, verifying }
    }

    fn measure(&self, group: &mut BenchmarkGroup<'_, WallTime>, database: &Database<'_>) {
        let Self { name, .. } = self;
        let (token, verifier, now) = (self.token(AUDIENCE), self.verifier(), Clock::System.now());
        let validation = self.validation();
        let known = LazyCell::new(|| {
            let (callers, audience) = (Callers::new(database), format!("uploads by {name}"));
            callers.add_issuer(&audience, self.algorithm, self.verification());
            (callers, Presented::Jwt(self.token(&audience).into()))
        });
        group.bench_function(format!("{name}, gateway, verification alone"), |bencher| {
            time_async(bencher, database.runtime, async || verify(&verifier, &token, now).await);
        });
        group.bench_function(format!("{name}, gateway, a token seen before"), |bencher| {
            let (callers, token) = &*known;
            callers.time_authentication(bencher, token);
        });
        group.bench_function(format!("{name}, baseline jsonwebtoken"), |bencher| {
            bencher.iter(|| {
                jsonwebtoken::decode::<Map<String, Value>>(black_box(&token), &self.verifying, &validation).unwrap()
            });
        });
    }

    fn token(&self, audience: &str) -> String {
        let mut claims = tokens::claims_with("exp", json!(tokens::now() + 86_400));
        claims.as_object_mut().unwrap().insert("aud".to_owned(), audience.into());
        tokens::sign(&Header::new(self.library), &claims, &self.signing)
    }

    fn verification(&self) -> NewVerification {
        match &self.public_pem {
            None => NewVerification::HmacSecret(SECRET.into()),
            Some(pem) => NewVerification::PublicKeyPem(pem.clone()),
        }
    }

    /// What is kept in memory of an issuer.
    fn verifier(&self) -> Verifier {
        let now = Clock::System.now();
        let row = JwtIssuer {
            id: JwtIssuerId::generate(now, &Randomness::System),
            tenant_id: TenantId::generate(now, &Randomness::System),
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            algorithm: self.algorithm,
            // Where its keys come from is below.
            verification: Verification::Jwks(String::new()),
            leeway_seconds: 30,
            scopes: Scopes::default_scopes(),
            scopes_claim: "scope".to_owned(),
            created_at: now,
            updated_at: now,
            archived_at: None,
            revision: 1,
        };
        let secret = SECRET.into();
        let material = self.public_pem.as_deref().map_or(KeyMaterial::HmacSecret(&secret), KeyMaterial::PublicKeyPem);
        Verifier::new(&row, KeySource::Row(Keys::new(self.algorithm, &material).unwrap()))
    }

    /// The usual checks.
    fn validation(&self) -> Validation {
        let mut validation = Validation::new(self.library);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation
    }
}

async fn verify(verifier: &Verifier, token: &str, now: DateTime<Utc>) {
    verifier.verify(black_box(token), now, &|| false).await.unwrap();
}
