//! Reads and sets a bucket's CORS rules. The provider stores them; the gateway keeps no copy.

use crate::buckets::BucketClient;
use crate::crypto::keyring::Keyring;
use crate::domain::bucket::{Alias, Bucket};
use crate::domain::cors::CorsRule;
use crate::domain::tenant::Slug;

use super::buckets::change_of;
use super::{Admin, AdminError};

impl Admin {
    /// Returns the rules of a bucket (the tenant's default one for `None`).
    ///
    /// # Errors
    /// There is no such bucket, or its store rejects the request or does not answer.
    pub async fn bucket_cors(
        &self,
        slug: &Slug,
        alias: Option<&Alias>,
        keyring: &Keyring,
    ) -> Result<Vec<CorsRule>, AdminError> {
        let open = self.open_bucket(slug, alias, keyring).await?;
        Ok(BucketClient::new(&open, &self.outbound)?.cors_rules().await?)
    }

    /// Replaces all rules of the bucket with one that lets pages of these origins upload.
    ///
    /// # Errors
    /// There is no such bucket, an origin is invalid, or the store rejects the request or does not
    /// answer.
    pub async fn set_bucket_cors(
        &self,
        slug: &Slug,
        alias: Option<&Alias>,
        origins: &[String],
        keyring: &Keyring,
    ) -> Result<Vec<CorsRule>, AdminError> {
        let rules = vec![CorsRule::for_uploads(origins)?];
        let open = self.open_bucket(slug, alias, keyring).await?;
        // Two events at worst: the store cannot take part in a transaction, and what it did must be on record.
        self.audit_cors("bucket.set_cors", &open.bucket).await?;
        let set = BucketClient::new(&open, &self.outbound)?.set_cors_rules(&rules).await;
        if set.is_err() {
            self.audit_cors("bucket.set_cors_failed", &open.bucket).await?;
        }
        set?;
        Ok(rules)
    }

    async fn audit_cors(&self, action: &'static str, bucket: &Bucket) -> Result<(), AdminError> {
        let mut transaction = self.store.begin().await?;
        self.audit(&mut transaction, change_of(action, bucket, &["cors_rules"])).await?;
        self.commit(transaction).await
    }
}
