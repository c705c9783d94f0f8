//! The cache of opened bucket credentials: memory first, then the store, then the keyring.
//!
//! An opened credential exists in memory only. Its types are zeroed on drop and cannot be printed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::SecretString;

use crate::cache::Cache;
use crate::domain::bucket::{Alias, Bucket};
use crate::domain::credential::Credential;
use crate::domain::ids::{BucketId, TenantId};
use crate::presign::Signer;
use crate::store::buckets::SealedBucket;
use crate::store::change_feed::ChangedRow;
use crate::store::keyring::SealedSecret;
use crate::store::{Store, StoreError, buckets};
use crate::telemetry::metrics::Metrics;

use crate::crypto::cipher::{AssociatedData, CipherError};
use crate::crypto::keyring::Keyring;

/// A bucket with its opened credential.
#[derive(Debug)]
pub struct OpenBucket {
    pub bucket: Bucket,
    pub credential: Credential,
    /// Signs with that credential.
    pub signer: Signer,
}

impl OpenBucket {
    #[must_use]
    pub fn new(bucket: Bucket, credential: Credential) -> Self {
        let signer = Signer::new(&credential, &bucket.location);
        Self { bucket, credential, signer }
    }
}

/// Why no credential is available.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CredentialError {
    #[error("the tenant has no bucket")]
    NoBucket,
    /// The tenant has no active bucket with this alias.
    #[error("the tenant has no bucket {0}")]
    NoSuchBucket(Alias),
    #[error("the credential of bucket {bucket_id} cannot be decrypted")]
    Sealed {
        bucket_id: BucketId,
        #[source]
        source: CipherError,
    },
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
}

/// How long a failure to open is cached: re-sealing the credential with a known key is not
/// announced.
const SEALED_RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// A bucket, opened or with the reason why not.
enum CachedBucket {
    Open(Arc<OpenBucket>),
    Sealed(Box<Bucket>, CredentialError),
}

impl CachedBucket {
    fn new(keyring: &Keyring, sealed: SealedBucket) -> Self {
        let bucket = sealed.bucket.clone();
        match open(keyring, sealed) {
            Ok(open) => Self::Open(Arc::new(open)),
            Err(error) => Self::Sealed(Box::new(bucket), error),
        }
    }

    fn bucket(&self) -> &Bucket {
        match self {
            Self::Open(open) => &open.bucket,
            Self::Sealed(bucket, _) => bucket,
        }
    }

    fn open(&self) -> Result<Arc<OpenBucket>, CredentialError> {
        match self {
            Self::Open(open) => Ok(Arc::clone(open)),
            Self::Sealed(_, error) => Err(error.clone()),
        }
    }
}

/// All buckets of a tenant, including archived ones.
struct OpenBuckets {
    buckets: Vec<CachedBucket>,
    /// For a list that is not to be kept for long, since a credential in it does not open.
    read_again_at: Option<Instant>,
}

impl OpenBuckets {
    fn find(&self, is_it: impl Fn(&Bucket) -> bool) -> Option<Result<Arc<OpenBucket>, CredentialError>> {
        self.buckets.iter().find(|cached| is_it(cached.bucket())).map(CachedBucket::open)
    }
}

/// The cache of opened credentials, bounded in number and age.
pub struct CredentialCache {
    store: Store,
    keyring: Arc<Keyring>,
    open_buckets: Cache<TenantId, Arc<OpenBuckets>, CredentialError>,
}

impl CredentialCache {
    /// `max_open` bounds the number of opened credentials, `max_age` how long one is kept.
    #[must_use]
    pub fn new(store: Store, keyring: Arc<Keyring>, max_open: u64, max_age: Duration, metrics: &Metrics) -> Self {
        Self { store, keyring, open_buckets: Cache::new(max_open, max_age, metrics.cache("credentials")) }
    }

    /// The number of cached entries.
    #[must_use]
    pub fn size(&self) -> (&'static str, u64) {
        self.open_buckets.size()
    }

    /// Returns the tenant's bucket with this alias, or the default bucket for `None`. Concurrent
    /// requests share one read.
    ///
    /// # Errors
    /// There is no such bucket, its credential does not open, or the database is unreachable.
    pub async fn bucket(&self, tenant_id: TenantId, alias: Option<&Alias>) -> Result<Arc<OpenBucket>, CredentialError> {
        let open = self.open_buckets(tenant_id).await?;
        let found = open.find(|bucket| {
            bucket.archived_at.is_none() && alias.map_or(bucket.is_default, |alias| bucket.alias == *alias)
        });
        found.unwrap_or_else(|| {
            Err(alias.map_or(CredentialError::NoBucket, |alias| CredentialError::NoSuchBucket(alias.clone())))
        })
    }

    /// Returns the bucket of an upload, even if the bucket was archived since.
    ///
    /// # Errors
    /// There is no such bucket, its credential does not open, or the database is unreachable.
    pub async fn bucket_by_id(&self, tenant_id: TenantId, id: BucketId) -> Result<Arc<OpenBucket>, CredentialError> {
        self.open_buckets(tenant_id).await?.find(|bucket| bucket.id == id).unwrap_or(Err(CredentialError::NoBucket))
    }

    async fn open_buckets(&self, tenant_id: TenantId) -> Result<Arc<OpenBuckets>, CredentialError> {
        let open = self.open_buckets.get_or_read(&tenant_id, || self.read(tenant_id)).await;
        let open = open.map_err(Arc::unwrap_or_clone)?;
        if open.read_again_at.is_some_and(|at| at <= Instant::now()) {
            self.open_buckets.invalidate(&tenant_id);
        }
        Ok(open)
    }

    /// Invalidates the credentials that changed.
    pub fn forget(&self, changed: &ChangedRow) {
        if let ChangedRow::Buckets { tenant_id } = changed {
            self.open_buckets.invalidate(tenant_id);
        }
    }

    /// Evicts expired credentials.
    pub fn evict_expired(&self) {
        self.open_buckets.evict_expired();
    }

    /// Invalidates every credential.
    pub fn invalidate_all(&self) {
        self.open_buckets.invalidate_all();
    }

    async fn read(&self, tenant_id: TenantId) -> Result<Arc<OpenBuckets>, CredentialError> {
        let sealed = buckets::list_with_archived(&self.store, tenant_id).await.map_err(Arc::new)?;
        // One that does not open must not stand in the way of the others.
        let buckets: Vec<_> = sealed.into_iter().map(|sealed| CachedBucket::new(&self.keyring, sealed)).collect();
        let is_whole = buckets.iter().all(|cached| matches!(cached, CachedBucket::Open(_)));
        Ok(Arc::new(OpenBuckets {
            buckets,
            read_again_at: (!is_whole).then(|| Instant::now() + SEALED_RETRY_INTERVAL),
        }))
    }
}

const SECRET_COLUMN: &str = "sealed_secret_access_key";
const TOKEN_COLUMN: &str = "sealed_session_token";

fn binding(bucket_id: BucketId, column: &'static str, version: i32) -> AssociatedData {
    AssociatedData { table: "buckets", row: bucket_id.uuid(), column, version }
}

/// Opens a bucket's credential.
///
/// # Errors
/// It was sealed with a key that is not in the keyring, or for another row.
pub fn open(keyring: &Keyring, sealed: SealedBucket) -> Result<OpenBucket, CredentialError> {
    let bucket_id = sealed.bucket.id;
    let credential =
        open_credential(keyring, &sealed).map_err(|source| CredentialError::Sealed { bucket_id, source })?;
    Ok(OpenBucket::new(sealed.bucket, credential))
}

fn open_credential(keyring: &Keyring, sealed: &SealedBucket) -> Result<Credential, CipherError> {
    let bucket = &sealed.bucket;
    let open = |column, text: &[u8]| -> Result<SecretString, CipherError> {
        keyring.open(&sealed.sealing_key_id, binding(bucket.id, column, bucket.credential_version), text)
    };
    Ok(Credential {
        access_key_id: bucket.access_key_id.clone(),
        secret_access_key: open(SECRET_COLUMN, &sealed.sealed_secret_access_key)?,
        session_token: sealed.sealed_session_token.as_deref().map(|token| open(TOKEN_COLUMN, token)).transpose()?,
    })
}

/// Whether a bucket's secret opens. Its content is zeroed at once.
#[must_use]
pub fn opens(keyring: &Keyring, sealed: &SealedSecret) -> bool {
    let place = binding(sealed.bucket_id, SECRET_COLUMN, sealed.credential_version);
    keyring.open(&sealed.sealing_key_id, place, &sealed.sealed_secret_access_key).is_ok()
}

/// Seals a credential for the row of `bucket` and its `credential_version`.
#[must_use]
pub fn seal(keyring: &Keyring, bucket: Bucket, credential: &Credential) -> SealedBucket {
    let seal = |column, secret| keyring.seal(binding(bucket.id, column, bucket.credential_version), secret);
    SealedBucket {
        sealing_key_id: keyring.sealing_key_id().to_owned(),
        sealed_secret_access_key: seal(SECRET_COLUMN, &credential.secret_access_key),
        sealed_session_token: credential.session_token.as_ref().map(|token| seal(TOKEN_COLUMN, token)),
        bucket: Bucket { access_key_id: credential.access_key_id.clone(), ..bucket },
    }
}
