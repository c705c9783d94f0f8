//! A tenant's buckets: add, list, update, choose the default, archive.

use crate::buckets::credentials::seal;
use crate::crypto::keyring::Keyring;
use crate::domain::binding::BindingSet;
use crate::domain::bucket::{Addressing, Alias, Bucket, BucketName, Endpoint, Location, Provider, Region};
use crate::domain::credential::Credential;
use crate::domain::ids::{BucketId, TenantId};
use crate::domain::tenant::Slug;
use crate::store::buckets::SealedBucket;
use crate::store::{Transaction, buckets, tenants};

use super::{Admin, AdminError, AuditEntry, check_revision, not_found, taken};

/// A new bucket with its unsealed credential.
#[derive(Debug, Clone)]
pub struct NewBucket {
    pub alias: Alias,
    /// Whether this is the new default; a tenant's first bucket always is.
    pub is_default: bool,
    pub location: Location,
    /// Bindings that a generic store enforces, as its operator declares.
    pub enforced_bindings: BindingSet,
    pub credential: Credential,
}

/// Changes of a bucket, except its credential; `None` keeps a value.
#[derive(Debug, Clone, Default)]
pub struct BucketChanges {
    pub alias: Option<Alias>,
    pub endpoint: Option<Endpoint>,
    pub region: Option<Region>,
    pub bucket_name: Option<BucketName>,
    pub addressing: Option<Addressing>,
    pub provider: Option<Provider>,
    pub enforced_bindings: Option<BindingSet>,
}

impl Admin {
    /// # Errors
    /// There is no such tenant, it has a bucket with that alias, or a value is invalid.
    pub async fn add_bucket(&self, slug: &Slug, new: NewBucket, keyring: &Keyring) -> Result<Bucket, AdminError> {
        new.credential.check()?;
        let location = new.location.check()?;
        let now = self.clock.now();
        let mut transaction = self.store.begin().await?;
        let tenant_id = lock_buckets(&mut transaction, slug).await?;
        let is_first = buckets::find_locked(&mut transaction, tenant_id, None).await?.is_none();
        if new.is_default && !is_first {
            buckets::clear_default(&mut transaction, tenant_id).await?;
        }
        let bucket = Bucket {
            id: BucketId::generate(now, &self.randomness),
            tenant_id,
            alias: new.alias,
            is_default: new.is_default || is_first,
            location,
            enforced_bindings: new.enforced_bindings,
            access_key_id: new.credential.access_key_id.clone(),
            credential_version: 1,
            created_at: now,
            updated_at: now,
            archived_at: None,
            revision: 1,
        };
        let sealed = seal(keyring, bucket, &new.credential);
        let inserted = buckets::insert(&mut transaction, &sealed).await;
        inserted.map_err(|error| taken(error, "bucket", "alias", sealed.bucket.alias.as_str()))?;
        self.audit(&mut transaction, change_of("bucket.add", &sealed.bucket, &[])).await?;
        self.commit(transaction).await?;
        Ok(sealed.bucket)
    }

    /// Lists a tenant's buckets, the default one first.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn list_buckets(&self, slug: &Slug) -> Result<Vec<Bucket>, AdminError> {
        let tenant_id = self.get_tenant_id(slug).await?;
        Ok(buckets::list(&self.store, tenant_id).await?.into_iter().map(|sealed| sealed.bucket).collect())
    }

    /// Returns the tenant's bucket with this alias, or the default one for `None`.
    ///
    /// # Errors
    /// There is no such tenant, or no such bucket.
    pub async fn get_bucket(&self, slug: &Slug, alias: Option<&Alias>) -> Result<Bucket, AdminError> {
        Ok(self.get_sealed_bucket(slug, alias).await?.bucket)
    }

    /// Changes the named fields. URLs that were issued earlier do not change.
    ///
    /// # Errors
    /// There is no such bucket, it has another revision, or the values contradict each other.
    pub async fn update_bucket(
        &self,
        slug: &Slug,
        alias: &Alias,
        changes: BucketChanges,
        expected_revision: Option<i32>,
    ) -> Result<Bucket, AdminError> {
        let mut transaction = self.store.begin().await?;
        let mut bucket = lock_bucket(&mut transaction, slug, alias).await?.bucket;
        check_revision(expected_revision, bucket.revision)?;
        let fields = apply(&mut bucket, changes)?;
        if !fields.is_empty() {
            self.save_bucket(&mut transaction, "bucket.update", &mut bucket, &fields).await?;
        }
        self.commit(transaction).await?;
        Ok(bucket)
    }

    /// Makes this bucket the default of the tenant's uploads.
    ///
    /// # Errors
    /// There is no such bucket.
    pub async fn set_default_bucket(&self, slug: &Slug, alias: &Alias) -> Result<Bucket, AdminError> {
        let mut transaction = self.store.begin().await?;
        let mut bucket = lock_bucket(&mut transaction, slug, alias).await?.bucket;
        if !bucket.is_default {
            buckets::clear_default(&mut transaction, bucket.tenant_id).await?;
            bucket.is_default = true;
            self.save_bucket(&mut transaction, "bucket.set_default", &mut bucket, &["is_default"]).await?;
        }
        self.commit(transaction).await?;
        Ok(bucket)
    }

    /// Archives a bucket. The records of its uploads remain.
    ///
    /// # Errors
    /// There is no such bucket, or it is the default one.
    pub async fn archive_bucket(&self, slug: &Slug, alias: &Alias) -> Result<Bucket, AdminError> {
        let mut transaction = self.store.begin().await?;
        let mut bucket = lock_bucket(&mut transaction, slug, alias).await?.bucket;
        if bucket.is_default {
            let told = "this is the tenant's default bucket: make another one the default first, or suspend the tenant";
            return Err(AdminError::Conflict(told.to_owned()));
        }
        bucket.archived_at = Some(self.clock.now());
        self.save_bucket(&mut transaction, "bucket.archive", &mut bucket, &["archived_at"]).await?;
        self.commit(transaction).await?;
        Ok(bucket)
    }

    pub(super) async fn get_sealed_bucket(
        &self,
        slug: &Slug,
        alias: Option<&Alias>,
    ) -> Result<SealedBucket, AdminError> {
        let tenant_id = self.get_tenant_id(slug).await?;
        buckets::find(&self.store, tenant_id, alias).await?.ok_or_else(|| no_bucket(alias))
    }

    async fn save_bucket(
        &self,
        transaction: &mut Transaction,
        action: &'static str,
        bucket: &mut Bucket,
        fields: &[&str],
    ) -> Result<(), AdminError> {
        bucket.updated_at = self.clock.now();
        let saved = buckets::save(transaction, bucket).await;
        bucket.revision = saved.map_err(|error| taken(error, "bucket", "alias", bucket.alias.as_str()))?;
        Ok(self.audit(transaction, change_of(action, bucket, fields)).await?)
    }
}

/// Returns the tenant's bucket with this alias. Locks all buckets of the tenant until the
/// transaction ends.
pub(super) async fn lock_bucket(
    transaction: &mut Transaction,
    slug: &Slug,
    alias: &Alias,
) -> Result<SealedBucket, AdminError> {
    let tenant_id = lock_buckets(transaction, slug).await?;
    buckets::find_locked(transaction, tenant_id, Some(alias)).await?.ok_or_else(|| no_bucket(Some(alias)))
}

async fn lock_buckets(transaction: &mut Transaction, slug: &Slug) -> Result<TenantId, AdminError> {
    tenants::lock_buckets(transaction, slug).await?.ok_or_else(|| not_found("tenant", slug))
}

pub(super) fn change_of<'a>(action: &'static str, bucket: &'a Bucket, fields: &'a [&'a str]) -> AuditEntry<'a> {
    AuditEntry { action, tenant_id: Some(bucket.tenant_id), id: bucket.id.uuid(), name: bucket.alias.as_str(), fields }
}

fn no_bucket(alias: Option<&Alias>) -> AdminError {
    not_found("bucket", alias.map_or("(the default one)", Alias::as_str))
}

/// Applies the changes and returns the names of the fields that differ.
fn apply(bucket: &mut Bucket, changes: BucketChanges) -> Result<Vec<&'static str>, AdminError> {
    let old = (bucket.alias.clone(), bucket.location.clone(), bucket.enforced_bindings);
    let location = old.1.clone();
    bucket.alias = changes.alias.unwrap_or_else(|| old.0.clone());
    bucket.location = Location {
        endpoint: changes.endpoint.unwrap_or(location.endpoint),
        region: changes.region.unwrap_or(location.region),
        bucket_name: changes.bucket_name.unwrap_or(location.bucket_name),
        addressing: changes.addressing.unwrap_or(location.addressing),
        provider: changes.provider.unwrap_or(location.provider),
    }
    .check()?;
    bucket.enforced_bindings = changes.enforced_bindings.unwrap_or(old.2);
    let (alias, location, enforced_bindings) = old;
    let new = &bucket.location;
    let differs = [
        ("alias", bucket.alias != alias),
        ("endpoint", new.endpoint != location.endpoint),
        ("region", new.region != location.region),
        ("bucket", new.bucket_name != location.bucket_name),
        ("addressing", new.addressing != location.addressing),
        ("provider", new.provider != location.provider),
        ("enforced_bindings", bucket.enforced_bindings != enforced_bindings),
    ];
    Ok(differs.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect())
}
