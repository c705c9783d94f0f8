//! THE use cases: issue an upload, and all that becomes of it.
//!
//! Policy decides, the gateway names the object, the vault gives the bucket's credential, `presign` signs, the recorder
//! commits, and only then is the URL returned.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::buckets::credentials::{CredentialCache, CredentialError};
use crate::buckets::{BucketConnections, BucketError, Failure};
use crate::domain::Invalid;
use crate::domain::binding::{Binding, BindingSet};
use crate::domain::caller::{Caller, Scope};
use crate::domain::clock::Clock;
use crate::domain::extension::ExtensionSet;
use crate::domain::ids::UploadId;
use crate::domain::randomness::Randomness;
use crate::domain::upload::{RequestSource, Upload, UploadKind, UploadRequest};
use crate::presign::SignedUrl;
use crate::rate_limit::Admitted;
use crate::store::{Store, StoreError, uploads};
use crate::telemetry::metrics::uploads::UploadMetrics;

pub use self::batch::{BatchError, BatchRequest, BatchWriter, ItemError};
use self::export::ExportSlots;
use self::recorder::{RecordError, Recorder};
pub use self::verify::KnownBuckets;

mod batch;
mod download;
pub mod export;
pub mod idempotency;
pub mod list;
pub mod prepare;
pub mod recorder;
mod resign;
pub mod usage;
pub mod verify;
pub mod view;

pub use self::download::{Download, DownloadRequest};

/// Why no upload was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    #[error("the caller lacks the scope {}", .0.as_str())]
    ScopeMissing(Scope),
    #[error("the tenant's policy does not allow this extension")]
    ExtensionNotAllowed { allowed: ExtensionSet },
    #[error("the tenant's policy demands more to be bound")]
    BindingRequired(BindingSet),
    /// What cannot be held is refused, never weakened.
    #[error("the bucket's store does not enforce {}", .0.as_str())]
    BindingNotEnforced(Binding),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The same request came before, and its upload can be had no more.
    #[error(transparent)]
    Replay(#[from] UploadError),
    #[error("this Idempotency-Key was used for another request")]
    IdempotencyMismatch,
    /// A bug, or a row that somebody changed by hand.
    #[error("this cannot be: {0}")]
    Inconsistent(&'static str),
}

impl IssueError {
    /// What kind it is, in a word for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ScopeMissing(_) => "scope_missing",
            Self::ExtensionNotAllowed { .. } => "ext_not_allowed",
            Self::BindingRequired(_) => "binding_required",
            Self::BindingNotEnforced(_) => "binding_not_enforced",
            Self::Invalid(_) => "invalid",
            Self::Credential(CredentialError::NoBucket | CredentialError::NoSuchBucket(_)) => "no_bucket",
            Self::Credential(CredentialError::Sealed { .. }) => "credential_sealed",
            Self::Credential(CredentialError::Store(_)) => "credential_unavailable",
            Self::Record(RecordError::QueueFull) => "queue_full",
            Self::Record(RecordError::TimedOut) => "timed_out",
            Self::Record(RecordError::Closed) => "closed",
            Self::Record(RecordError::NotCommitted(_)) => "not_committed",
            Self::Replay(_) => "replay_failed",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::Inconsistent(_) => "inconsistent",
        }
    }
}

/// Why nothing could be done with an upload.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("the caller lacks the scope {}", .0.as_str())]
    ScopeMissing(Scope),
    /// Or it is another tenant's: both are answered alike.
    #[error("there is no such upload")]
    NotFound,
    #[error("the file of upload {0} has arrived already")]
    AlreadyArrived(UploadId),
    #[error("the file was deleted")]
    Deleted,
    #[error("the bucket of this upload is archived")]
    BucketArchived,
    #[error("there is no such tenant")]
    NoSuchTenant,
    #[error("too many exports are under way")]
    TooManyExports,
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The bucket has no such object; what is on record has not changed.
    #[error("the file is not in the bucket")]
    NotArrived,
    /// The bucket's credential lacks this permission.
    #[error("the bucket's credential lacks {0}")]
    BucketRefused(&'static str),
    #[error("the bucket does not answer: {0}")]
    BucketUnavailable(BucketError),
    #[error("the bucket's store answered: {0}")]
    Bucket(BucketError),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl UploadError {
    /// What a failed call of a bucket means, that needed this permission.
    fn of_bucket(error: BucketError, needed: &'static str) -> Self {
        match error.failure {
            Failure::Refused => Self::BucketRefused(needed),
            Failure::Unavailable => Self::BucketUnavailable(error),
            Failure::NotFound | Failure::Other => Self::Bucket(error),
        }
    }
}

/// A place to upload to, on record.
#[derive(Debug)]
pub struct IssuedUpload {
    pub id: UploadId,
    pub object_key: String,
    pub url: SignedUrl,
    /// The header fields that the client must send, exactly as they are.
    pub headers: Vec<(&'static str, String)>,
    pub expires_at: DateTime<Utc>,
}

/// Issues uploads, and follows what becomes of them.
pub struct Uploads {
    pub store: Store,
    pub credentials: Arc<CredentialCache>,
    pub recorder: Recorder,
    /// For uploads that belong together, which the recorder would not keep so.
    pub batch_writer: BatchWriter,
    pub clock: Clock,
    pub randomness: Randomness,
    /// How many exports there may be at a time.
    pub exports: ExportSlots,
    /// How buckets are reached; never on the way of a presign.
    pub buckets: BucketConnections,
    /// What `complete` has learned of them.
    pub known_buckets: KnownBuckets,
    pub metrics: Arc<UploadMetrics>,
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
        source: RequestSource,
    ) -> Result<IssuedUpload, IssueError> {
        let kind = request.file.kind;
        let issued = self.issue_one(admitted.caller(), request, source).await;
        self.count(kind, issued.as_ref().err());
        issued
    }

    async fn issue_one(
        &self,
        caller: &Caller,
        request: UploadRequest,
        source: RequestSource,
    ) -> Result<IssuedUpload, IssueError> {
        if !caller.scopes.contains(Scope::UploadsIssue) {
            return Err(IssueError::ScopeMissing(Scope::UploadsIssue));
        }
        let (upload, issued) = self.prepare(caller, request, source).await?;
        self.recorder.record(upload).await?;
        Ok(issued)
    }

    /// Counts what came of an upload that was asked for.
    fn count(&self, kind: Option<UploadKind>, error: Option<&IssueError>) {
        let kind = kind.map(UploadKind::as_str);
        match error {
            None => self.metrics.issued(kind),
            Some(error) => self.metrics.not_issued(kind, error.kind()),
        }
    }

    /// An upload of the caller's tenant.
    ///
    /// # Errors
    /// There is none of this id, or the caller may not read it.
    pub async fn show(&self, admitted: &Admitted, id: UploadId) -> Result<Upload, UploadError> {
        self.find_for(demand(admitted, Scope::UploadsRead)?, id).await
    }

    /// The upload of this id that the caller may know of: its tenant's. One who may not read them knows only of its own.
    async fn find_for(&self, caller: &Caller, id: UploadId) -> Result<Upload, UploadError> {
        let upload = uploads::find(&self.store, caller.tenant.id, id).await?.ok_or(UploadError::NotFound)?;
        let is_own = upload.issued.caller_kind == caller.kind
            && upload.issued.caller_id == caller.id
            && upload.issued.caller_subject.as_deref() == caller.subject.as_deref();
        if is_own || caller.scopes.contains(Scope::UploadsRead) { Ok(upload) } else { Err(UploadError::NotFound) }
    }
}

/// The caller, if it has this scope.
fn demand(admitted: &Admitted, scope: Scope) -> Result<&Caller, UploadError> {
    let caller = admitted.caller();
    if caller.scopes.contains(scope) { Ok(caller) } else { Err(UploadError::ScopeMissing(scope)) }
}
