//! Re-signs URLs, for the same object key and with the same bindings.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::buckets::credentials::{CredentialCache, OpenBucket};
use crate::domain::caller::{Caller, Scope};
use crate::domain::clock::Clock;
use crate::domain::ids::UploadId;
use crate::domain::upload::{Upload, UploadState};
use crate::presign::Operation;
use crate::rate_limit::Admitted;
use crate::store::Store;
use crate::store::uploads::{self, Renewal};

use super::prepare::{headers, signed_metadata};
use super::verify::GRACE;
use super::{IssuedUpload, UploadError, demand, find_for};

/// Makes new URLs for uploads that were issued before.
#[derive(Clone)]
pub struct Resigner {
    store: Store,
    credentials: Arc<CredentialCache>,
    clock: Clock,
}

impl Resigner {
    pub(super) const fn new(store: Store, credentials: Arc<CredentialCache>, clock: Clock) -> Self {
        Self { store, credentials, clock }
    }

    /// A new URL for an upload that has not arrived; it lives as long as the tenant's URLs usually do.
    ///
    /// # Errors
    /// There is no such upload, it has arrived, or it was deleted.
    pub async fn renew(&self, admitted: &Admitted, id: UploadId) -> Result<IssuedUpload, UploadError> {
        let caller = demand(admitted, Scope::UploadsIssue)?;
        let upload = find_for(&self.store, caller, id).await?;
        self.renew_upload(caller, upload).await
    }

    /// The upload of an earlier request of the same caller, with its URL, or with a new one if that
    /// expired.
    pub(super) async fn reissue(&self, caller: &Caller, id: UploadId) -> Result<IssuedUpload, UploadError> {
        let upload = find_for(&self.store, caller, id).await?;
        let now = self.clock.now();
        let left = u32::try_from((upload.issued.url_expires_at - now).num_seconds()).unwrap_or(0);
        let open = self.credentials.bucket_by_id(upload.issued.tenant_id, upload.issued.bucket_id).await?;
        let is_same = open.credential.access_key_id == upload.issued.access_key_id && open.bucket.archived_at.is_none();
        // What is on record holds for it: so this needs no commit.
        if left > 0 && is_same && upload.state != UploadState::Deleted {
            return Ok(issued(&open, upload, left, now));
        }
        self.renew_upload(caller, upload).await
    }

    async fn renew_upload(&self, caller: &Caller, upload: Upload) -> Result<IssuedUpload, UploadError> {
        match upload.state {
            UploadState::Issued | UploadState::Expired => {}
            UploadState::Uploaded | UploadState::Mismatched => {
                return Err(UploadError::AlreadyArrived(upload.issued.id));
            }
            UploadState::Deleted => return Err(UploadError::Deleted),
        }
        let open = self.credentials.bucket_by_id(upload.issued.tenant_id, upload.issued.bucket_id).await?;
        if open.bucket.archived_at.is_some() {
            return Err(UploadError::BucketArchived);
        }
        let policy = &caller.tenant.policy;
        let (now, seconds) = (self.clock.now(), policy.expiry().default_seconds);
        let (tenant_id, id) = (upload.issued.tenant_id, upload.issued.id);
        let issued = issued(&open, upload, seconds, now);
        let renewal = Renewal {
            url_expires_at: issued.expires_at,
            access_key_id: &open.credential.access_key_id,
            check_at: policy.verify_arrival.then(|| issued.expires_at + GRACE),
        };
        // On record before it is revealed, as the first one was.
        if uploads::renew(&self.store, tenant_id, id, renewal).await? {
            return Ok(issued);
        }
        // It arrived, or was deleted, since it was read.
        match uploads::find(&self.store, tenant_id, id).await?.map(|upload| upload.state) {
            Some(UploadState::Deleted) => Err(UploadError::Deleted),
            Some(_) => Err(UploadError::AlreadyArrived(id)),
            None => Err(UploadError::NotFound),
        }
    }
}

/// Signs the upload's URL for this many seconds from now.
fn issued(open: &OpenBucket, upload: Upload, expires_in_seconds: u32, now: DateTime<Utc>) -> IssuedUpload {
    let headers = headers(&upload.issued.bindings);
    let metadata = signed_metadata(&upload.issued.file, &upload.issued.metadata);
    let operation = Operation::Put { metadata: &metadata, headers: &headers };
    let url = open.signer.sign(operation, &upload.issued.object_key, expires_in_seconds, now);
    let expires_at = now + TimeDelta::seconds(expires_in_seconds.into());
    IssuedUpload { id: upload.issued.id, object_key: upload.issued.object_key, url, headers, expires_at }
}
