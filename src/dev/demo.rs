//! The demo: two tenants with buckets, keys and tokens, created once and unchanged by a restart.

use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::admin::{
    Admin, AdminError, BucketChanges, CredentialCheck, NewApiKey, NewBucket, NewJwtIssuer, NewTenant, NewVerification,
    PolicyChanges,
};
use crate::auth::api_key;
use crate::crypto::keyring::Keyring;
use crate::domain::binding::{Binding, BindingSet};
use crate::domain::bucket::{Addressing, Alias, BucketName, Endpoint, Location, Provider, Region};
use crate::domain::caller::Scopes;
use crate::domain::credential::Credential;
use crate::domain::egress::AllowedHosts;
use crate::domain::jwt_issuer::JwtAlgorithm;
use crate::domain::randomness::Randomness;
use crate::domain::tenant::{RateLimit, Slug};

use super::object_store::{Account, REGION};

/// `iss` and `aud` of the demo token.
pub const ISSUER: &str = "https://auth.demo.example";
pub const AUDIENCE: &str = "presign-gateway-demo";
const RATE_PER_SECOND: u32 = 1000;
const BURST: u32 = 2000;
const TOKEN_LIFE: TimeDelta = TimeDelta::days(1);

/// Every secret of the demo; lives in a file that only its owner can read.
#[derive(Clone, Serialize, Deserialize)]
pub struct Demo {
    pub alpha: DemoTenant,
    pub beta: DemoTenant,
    pub operator_key: String,
    pub jwt_secret: String,
}

/// One tenant of the demo.
#[derive(Clone, Serialize, Deserialize)]
pub struct DemoTenant {
    pub slug: String,
    pub bucket: String,
    pub api_key: String,
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl Demo {
    /// Reads the demo, or makes it.
    ///
    /// # Errors
    /// The file cannot be read or written, or is not the demo's.
    pub fn load_or_make(file: &Path, randomness: &Randomness) -> io::Result<Self> {
        if let Ok(text) = std::fs::read_to_string(file) {
            return Ok(serde_json::from_str(&text)?);
        }
        let demo = Self {
            alpha: DemoTenant::make("alpha", randomness),
            beta: DemoTenant::make("beta", randomness),
            operator_key: new_api_key(randomness),
            jwt_secret: random_text(randomness),
        };
        super::postgres::write_private(file, &serde_json::to_string_pretty(&demo)?)?;
        Ok(demo)
    }

    /// The object store's accounts.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        let account = |tenant: &DemoTenant| Account { bucket: tenant.bucket.clone(), credential: tenant.credential() };
        vec![account(&self.alpha), account(&self.beta)]
    }

    /// Writes the demo into the database, where it is not there yet.
    ///
    /// # Errors
    /// The database is unreachable.
    pub async fn ensure(&self, tenants: &Admin, keyring: &Keyring, s3_url: &str) -> Result<(), AdminError> {
        for tenant in [&self.alpha, &self.beta] {
            tenant.ensure(tenants, keyring, s3_url).await?;
        }
        let operator =
            NewApiKey { tenant: None, label: "demo operator".to_owned(), scopes: Scopes::default(), expires_at: None };
        tenants.ensure_api_key(operator, &self.operator_key.as_str().into()).await?;
        let issuer = NewJwtIssuer {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            algorithm: JwtAlgorithm::Hs256,
            verification: NewVerification::HmacSecret(self.jwt_secret.as_str().into()),
            leeway_seconds: 30,
            scopes: Scopes::default_scopes(),
            scopes_claim: "scope".to_owned(),
        };
        absent_or_taken(tenants.add_jwt_issuer(&Slug::parse(&self.alpha.slug)?, issuer, keyring).await.map(drop))
    }

    /// A token of alpha's issuer, good for a day.
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn token(&self, tenants: &Admin) -> Result<SecretString, jsonwebtoken::errors::Error> {
        let now = tenants.now();
        let claims = serde_json::json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "demo-user",
            "iat": now.timestamp(),
            "exp": (now + TOKEN_LIFE).timestamp(),
        });
        let key = jsonwebtoken::EncodingKey::from_secret(self.jwt_secret.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).map(SecretString::from)
    }
}

impl DemoTenant {
    fn make(slug: &str, randomness: &Randomness) -> Self {
        Self {
            slug: slug.to_owned(),
            bucket: format!("{slug}-uploads"),
            api_key: new_api_key(randomness),
            access_key_id: format!("demo-{slug}"),
            secret_access_key: random_text(randomness),
        }
    }

    fn credential(&self) -> Credential {
        Credential {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.as_str().into(),
            session_token: None,
        }
    }

    async fn ensure(&self, tenants: &Admin, keyring: &Keyring, s3_url: &str) -> Result<(), AdminError> {
        let slug = Slug::parse(&self.slug)?;
        let name = format!("Demo app {slug}");
        let rate_limit = RateLimit::new(RATE_PER_SECOND, BURST)?;
        let new = NewTenant { slug: slug.clone(), name, rate_limit, policy: PolicyChanges::default() };
        absent_or_taken(tenants.create_tenant(new).await.map(drop))?;
        let location = Location {
            endpoint: Endpoint::parse(s3_url, &AllowedHosts::any())?,
            region: Region::parse(REGION)?,
            bucket_name: BucketName::parse(&self.bucket)?,
            addressing: Addressing::Path,
            provider: Provider::Generic,
        };
        self.ensure_bucket(tenants, keyring, &slug, location).await?;
        let api_key =
            NewApiKey { tenant: Some(slug), label: "demo app".to_owned(), scopes: Scopes::all(), expires_at: None };
        tenants.ensure_api_key(api_key, &self.api_key.as_str().into()).await
    }

    /// Adds the bucket; one that is there is brought up to date, since the store's port may have moved.
    async fn ensure_bucket(
        &self,
        tenants: &Admin,
        keyring: &Keyring,
        slug: &Slug,
        location: Location,
    ) -> Result<(), AdminError> {
        let alias = Alias::default_alias();
        let credential = self.credential();
        let new = NewBucket {
            alias: alias.clone(),
            is_default: true,
            location: location.clone(),
            // s3s checks both.
            enforced_bindings: optional_bindings(),
            credential: credential.clone(),
        };
        match tenants.add_bucket(slug, new, keyring).await {
            Err(AdminError::Taken { .. }) => {}
            other => return other.map(drop),
        }
        let moved = BucketChanges {
            endpoint: Some(location.endpoint),
            bucket_name: Some(location.bucket_name),
            enforced_bindings: Some(optional_bindings()),
            ..BucketChanges::default()
        };
        tenants.update_bucket(slug, &alias, moved, None).await?;
        tenants.rotate_credential(slug, &alias, credential, CredentialCheck::Skip, None, keyring).await.map(drop)
    }
}

/// What is there from the last start is fine.
fn absent_or_taken(result: Result<(), AdminError>) -> Result<(), AdminError> {
    match result {
        Err(AdminError::Taken { .. }) => Ok(()),
        other => other,
    }
}

fn optional_bindings() -> BindingSet {
    Binding::OPTIONAL.into_iter().fold(BindingSet::default(), BindingSet::with)
}

fn new_api_key(randomness: &Randomness) -> String {
    api_key::generate(randomness).text.expose_secret().to_owned()
}

fn random_text(randomness: &Randomness) -> String {
    URL_SAFE_NO_PAD.encode(randomness.bytes::<32>())
}
