//! THE use case: issue an upload.
//!
//! Policy decides, the gateway names the object, the vault gives the bucket's credential, `presign` signs, the recorder
//! commits, and only then is the URL returned.

use std::net::IpAddr;

use chrono::TimeDelta;

use crate::domain::caller::Scope;
use crate::domain::clock::Clock;
use crate::domain::extension::ExtensionSet;
use crate::domain::ids::UploadId;
use crate::domain::object_key::Naming;
use crate::domain::randomness::Randomness;
use crate::domain::upload::{NewUpload, UploadRequest};
use crate::limit::Admitted;
use crate::presign::{self, Operation, PresignError, SignedUrl};
use crate::vault::{Vault, VaultError};

use self::recorder::{RecordError, Recorder};

pub mod recorder;

/// Why no upload was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    #[error("the caller lacks the scope {}", .0.as_str())]
    ScopeMissing(Scope),
    #[error("the tenant's policy does not allow this extension")]
    ExtensionNotAllowed { allowed: ExtensionSet },
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Presign(#[from] PresignError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// A place to upload to, on record.
#[derive(Debug)]
pub struct IssuedUpload {
    pub url: SignedUrl,
    pub object_key: String,
}

/// Issues uploads.
pub struct Uploads {
    pub vault: Vault,
    pub recorder: Recorder,
    pub clock: Clock,
    pub randomness: Randomness,
}

impl Uploads {
    /// Issues one upload: it is on record before its URL is returned.
    ///
    /// # Errors
    /// Whatever goes wrong: no URL leaves this function without a committed row.
    pub async fn issue(
        &self,
        admitted: &Admitted,
        request: UploadRequest,
        client_address: IpAddr,
    ) -> Result<IssuedUpload, IssueError> {
        let caller = admitted.caller();
        if !caller.scopes.contains(Scope::UploadsIssue) {
            return Err(IssueError::ScopeMissing(Scope::UploadsIssue));
        }
        let policy = &caller.tenant.policy;
        if !policy.allowed_extensions.contains(request.ext) {
            return Err(IssueError::ExtensionNotAllowed { allowed: policy.allowed_extensions.clone() });
        }

        let issued_at = self.clock.now();
        let id = UploadId::generate(issued_at, &self.randomness);
        let naming = Naming { id, ext: request.ext, kind: request.kind, issued_at, time_zone: policy.time_zone };
        let object_key = policy.object_key_template.object_key(&naming);

        let open = self.vault.default_bucket(caller.tenant.id).await?;
        let metadata = metadata(&request);
        let operation = Operation::Put { metadata: &metadata };
        let expires_in_seconds = policy.expiry.default_seconds;
        let url = presign::sign(
            &open.credential,
            &open.bucket.location,
            operation,
            &object_key,
            expires_in_seconds,
            issued_at,
        )?;

        let upload = NewUpload {
            id,
            tenant_id: caller.tenant.id,
            bucket_id: open.bucket.id,
            object_key: object_key.clone(),
            request,
            caller_kind: caller.kind,
            caller_id: caller.id,
            caller_subject: caller.subject.clone(),
            client_address,
            access_key_id: open.credential.access_key_id.clone(),
            issued_at,
            url_expires_at: issued_at + TimeDelta::seconds(expires_in_seconds.into()),
        };
        self.recorder.record(upload).await?;
        Ok(IssuedUpload { url, object_key })
    }
}

/// What the caller said of the file, as object metadata.
fn metadata(request: &UploadRequest) -> Vec<(&'static str, String)> {
    let duration = request.duration.map(|seconds| ("duration", seconds.get().to_string()));
    let height = request.height.map(|pixels| ("height", pixels.get().to_string()));
    let kind = request.kind.map(|kind| ("type", kind.as_str().to_owned()));
    let width = request.width.map(|pixels| ("width", pixels.get().to_string()));
    [duration, height, kind, width].into_iter().flatten().collect()
}
