//! Rotates the credentials of buckets. A new credential is tried before it replaces the old one.

use crate::buckets::credentials::{OpenBucket, open, seal};
use crate::buckets::doctor::{self, Finding, Health};
use crate::crypto::keyring::Keyring;
use crate::domain::bucket::{Alias, Bucket};
use crate::domain::credential::Credential;
use crate::domain::origin::WebOrigin;
use crate::domain::tenant::Slug;
use crate::store::buckets;

use super::buckets::{change_of, lock_bucket};
use super::{Admin, AdminError, check_revision};

/// The origin that the doctor uses by default.
pub const DEFAULT_ORIGIN: &str = "https://app.example.com";

/// Whether a new credential is tried against its bucket before it replaces the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialCheck {
    Try,
    /// For buckets that cannot be reached from here, or if the old credential must be replaced at
    /// once.
    Skip,
}

/// A credential that replaced another.
#[derive(Debug)]
pub struct Rotation {
    pub bucket: Bucket,
    /// The doctor's findings, if it was tried.
    pub findings: Vec<Finding>,
}

impl Admin {
    /// Replaces a bucket's credential: tries the new one first, then stores it. URLs that the old
    /// one signed work until they expire, or until it is deleted at the provider.
    ///
    /// # Errors
    /// There is no such bucket, it changed since the caller read it or while the credential was
    /// tried, or the credential lacks a permission.
    pub async fn rotate_credential(
        &self,
        slug: &Slug,
        alias: &Alias,
        credential: Credential,
        check: CredentialCheck,
        expected_revision: Option<i32>,
        keyring: &Keyring,
    ) -> Result<Rotation, AdminError> {
        credential.check()?;
        let bucket = self.get_sealed_bucket(slug, Some(alias)).await?.bucket;
        check_revision(expected_revision, bucket.revision)?;
        let tried = (bucket.id, bucket.revision);
        let findings = match check {
            CredentialCheck::Try => self.try_credential(bucket, credential.clone()).await?,
            CredentialCheck::Skip => Vec::new(),
        };
        let mut transaction = self.store.begin().await?;
        let mut bucket = lock_bucket(&mut transaction, slug, alias).await?.bucket;
        // The credential may do for one place, and not for the one that the bucket has moved to meanwhile.
        if (bucket.id, bucket.revision) != tried {
            return Err(AdminError::Conflict(
                "the bucket was changed while the credential was tested: try again".to_owned(),
            ));
        }
        bucket.credential_version += 1;
        bucket.updated_at = self.clock.now();
        let mut sealed = seal(keyring, bucket, &credential);
        sealed.bucket.revision = buckets::save_credential(&mut transaction, &sealed).await?;
        let fields = ["access_key_id", "secret_access_key", "session_token"];
        self.audit(&mut transaction, change_of("bucket.rotate_credential", &sealed.bucket, &fields)).await?;
        self.commit(transaction).await?;
        Ok(Rotation { bucket: sealed.bucket, findings })
    }

    /// Returns the tenant's bucket with this alias (the default one for `None`), ready to sign.
    ///
    /// # Errors
    /// There is no such bucket, or its credential does not open.
    pub async fn open_bucket(
        &self,
        slug: &Slug,
        alias: Option<&Alias>,
        keyring: &Keyring,
    ) -> Result<OpenBucket, AdminError> {
        Ok(open(keyring, self.get_sealed_bucket(slug, alias).await?)?)
    }

    /// Runs the bucket doctor; `origin` is that of the web pages that upload.
    ///
    /// # Errors
    /// There is no such bucket, or its credential does not open.
    pub async fn examine_bucket(
        &self,
        slug: &Slug,
        alias: Option<&Alias>,
        origin: &str,
        keyring: &Keyring,
    ) -> Result<Vec<Finding>, AdminError> {
        WebOrigin::parse(origin)?;
        let open = self.open_bucket(slug, alias, keyring).await?;
        let mut findings = doctor::examine(&open, origin, &self.outbound, &self.clock, &self.randomness).await;
        // The doctor knows buckets, not whose they are.
        let whose = alias.map_or_else(|| slug.to_string(), |alias| format!("{slug} --bucket {alias}"));
        for remedy in findings.iter_mut().filter_map(|finding| finding.remedy.as_mut()) {
            *remedy = remedy.replace("TENANT", &whose);
        }
        Ok(findings)
    }

    async fn try_credential(&self, bucket: Bucket, credential: Credential) -> Result<Vec<Finding>, AdminError> {
        let candidate = OpenBucket::new(bucket, credential);
        let findings = doctor::examine(&candidate, DEFAULT_ORIGIN, &self.outbound, &self.clock, &self.randomness).await;
        let bad = findings.iter().find(|finding| finding.health == Health::Bad);
        match bad {
            Some(Finding { check, found, remedy, .. }) => {
                let remedy = remedy.as_deref().unwrap_or_default();
                Err(AdminError::CredentialFailed(format!("{check}: {found}; {remedy}")))
            }
            None => Ok(findings),
        }
    }
}
