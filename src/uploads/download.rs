//! Presigns GETs. File bytes never pass through the gateway.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::buckets::credentials::CredentialCache;
use crate::domain::Invalid;
use crate::domain::caller::Scope;
use crate::domain::clock::Clock;
use crate::domain::disposition::{self, DispositionKind, Filename};
use crate::domain::extension::Extension;
use crate::domain::ids::UploadId;
use crate::domain::upload::UploadState;
use crate::presign::{Operation, SignedUrl};
use crate::rate_limit::Admitted;
use crate::store::Store;

use super::{UploadError, demand, find_for};

/// A media type that every file may be saved as.
const BYTES: &str = "application/octet-stream";

/// A request to download a file.
#[derive(Debug, Clone, Default)]
pub struct DownloadRequest {
    /// How long the URL lives; `None` for the policy's default.
    pub expires_in_seconds: Option<u32>,
    pub disposition: Option<DispositionKind>,
    pub filename: Option<Filename>,
    pub content_type: Option<&'static str>,
}

/// The URL of a download.
#[derive(Debug)]
pub struct Download {
    pub url: SignedUrl,
    pub expires_at: DateTime<Utc>,
}

impl DownloadRequest {
    /// Parses a media type: that of a supported extension, or plain bytes. Never one that a browser
    /// would execute.
    ///
    /// # Errors
    /// Any other media type.
    pub fn parse_content_type(text: &str) -> Result<&'static str, Invalid> {
        let mut known = Extension::ALL.iter().map(|ext| ext.content_type()).chain([BYTES]);
        known.clone().find(|known| known.eq_ignore_ascii_case(text)).ok_or_else(|| {
            // Two extensions have the same.
            let mut words: Vec<&str> = known.by_ref().collect();
            words.dedup();
            Invalid::new("content_type", format!("must be one of: {}", words.join(", ")))
        })
    }
}

/// Signs downloads.
pub struct Downloader {
    store: Store,
    credentials: Arc<CredentialCache>,
    clock: Clock,
}

impl Downloader {
    pub(super) const fn new(store: Store, credentials: Arc<CredentialCache>, clock: Clock) -> Self {
        Self { store, credentials, clock }
    }

    /// Signs a GET of an upload's object. Nobody looks whether it is there.
    ///
    /// # Errors
    /// There is no such upload, it was deleted, or its credential is unavailable.
    pub async fn download(
        &self,
        admitted: &Admitted,
        id: UploadId,
        request: DownloadRequest,
    ) -> Result<Download, UploadError> {
        let caller = demand(admitted, Scope::UploadsRead)?;
        let expiry = caller.tenant.policy.expiry();
        let seconds = request.expires_in_seconds.unwrap_or(expiry.default_seconds);
        if !(1..=expiry.longest_seconds).contains(&seconds) {
            let longest = expiry.longest_seconds;
            return Err(
                Invalid::new("expires_in", format!("must be 1 to {longest} seconds: this app's maximum")).into()
            );
        }
        let upload = find_for(&self.store, caller, id).await?;
        if upload.state == UploadState::Deleted {
            return Err(UploadError::Deleted);
        }
        let open = self.credentials.bucket_by_id(upload.issued.tenant_id, upload.issued.bucket_id).await?;
        // Whatever the client called its file when it PUT it: a browser must not take a picture for a page.
        let content_type = request.content_type.unwrap_or_else(|| upload.issued.file.ext.content_type());
        let kind = request.disposition.or_else(|| request.filename.as_ref().map(|_| DispositionKind::Attachment));
        let content_disposition = kind.map(|kind| disposition::header(kind, request.filename.as_ref()));
        let operation =
            Operation::Get { content_disposition: content_disposition.as_deref(), content_type: Some(content_type) };
        let now = self.clock.now();
        let url = open.signer.sign(operation, &upload.issued.object_key, seconds, now);
        Ok(Download { url, expires_at: now + TimeDelta::seconds(seconds.into()) })
    }
}
