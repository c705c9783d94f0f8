//! Opens bucket credentials: cache → store → open.
//!
//! An opened credential lives in memory only, in types that are wiped when dropped and cannot be printed.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use secrecy::SecretString;

use crate::domain::bucket::Bucket;
use crate::domain::credential::Credential;
use crate::domain::ids::{BucketId, TenantId};
use crate::store::buckets::SealedBucket;
use crate::store::{Store, StoreError, buckets};

use self::cipher::{Binding, CipherError};
use self::keyring::Keyring;

pub mod cipher;
pub mod keyring;

/// A bucket that can be signed for.
#[derive(Debug)]
pub struct OpenBucket {
    pub bucket: Bucket,
    pub credential: Credential,
}

/// Why a credential could not be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VaultError {
    #[error("the tenant has no bucket")]
    NoBucket,
    #[error("the credential of bucket {bucket_id} does not open")]
    Sealed {
        bucket_id: BucketId,
        #[source]
        source: CipherError,
    },
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
}

/// Gives opened credentials; bounded in number and in age.
#[derive(Debug, Clone)]
pub struct Vault {
    store: Store,
    keyring: Arc<Keyring>,
    open_buckets: Cache<TenantId, Arc<OpenBucket>>,
}

impl Vault {
    /// `max_open` bounds how many credentials are open at a time, `max_age` how long one is kept before it is read again.
    #[must_use]
    pub fn new(store: Store, keyring: Arc<Keyring>, max_open: u64, max_age: Duration) -> Self {
        let open_buckets = Cache::builder().max_capacity(max_open).time_to_live(max_age).build();
        Self { store, keyring, open_buckets }
    }

    /// The tenant's default bucket; however many ask at once, it is read and opened once.
    ///
    /// # Errors
    /// There is none, it does not open, or the database is away.
    pub async fn default_bucket(&self, tenant_id: TenantId) -> Result<Arc<OpenBucket>, VaultError> {
        self.open_buckets
            .try_get_with(tenant_id, self.open_default_bucket(tenant_id))
            .await
            .map_err(Arc::unwrap_or_clone)
    }

    async fn open_default_bucket(&self, tenant_id: TenantId) -> Result<Arc<OpenBucket>, VaultError> {
        let sealed =
            buckets::find_default(&self.store, tenant_id).await.map_err(Arc::new)?.ok_or(VaultError::NoBucket)?;
        let bucket_id = sealed.bucket.id;
        let credential =
            open_credential(&self.keyring, &sealed).map_err(|source| VaultError::Sealed { bucket_id, source })?;
        Ok(Arc::new(OpenBucket { bucket: sealed.bucket, credential }))
    }
}

const SECRET_COLUMN: &str = "sealed_secret_access_key";
const TOKEN_COLUMN: &str = "sealed_session_token";

fn binding(bucket_id: BucketId, column: &'static str, version: i32) -> Binding {
    Binding { table: "buckets", row: bucket_id.uuid(), column, version }
}

fn open_credential(keyring: &Keyring, sealed: &SealedBucket) -> Result<Credential, CipherError> {
    let open = |column, text: &[u8]| -> Result<SecretString, CipherError> {
        keyring.open(&sealed.sealing_key_id, binding(sealed.bucket.id, column, sealed.credential_version), text)
    };
    Ok(Credential {
        access_key_id: sealed.access_key_id.clone(),
        secret_access_key: open(SECRET_COLUMN, &sealed.sealed_secret_access_key)?,
        session_token: sealed.sealed_session_token.as_deref().map(|token| open(TOKEN_COLUMN, token)).transpose()?,
    })
}

/// Seals a credential for the row of `bucket`, as that row's `credential_version`-th.
#[must_use]
pub fn seal_credential(
    keyring: &Keyring,
    bucket: Bucket,
    credential: &Credential,
    credential_version: i32,
) -> SealedBucket {
    let seal = |column, secret| keyring.seal(binding(bucket.id, column, credential_version), secret);
    SealedBucket {
        access_key_id: credential.access_key_id.clone(),
        sealing_key_id: keyring.sealing_key_id().to_owned(),
        sealed_secret_access_key: seal(SECRET_COLUMN, &credential.secret_access_key),
        sealed_session_token: credential.session_token.as_ref().map(|token| seal(TOKEN_COLUMN, token)),
        credential_version,
        bucket,
    }
}
