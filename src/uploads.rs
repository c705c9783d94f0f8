//! The use cases of apps: issue an upload, and everything that happens to it later.
//!
//! The policy decides, the gateway names the object, the bucket's credential signs, the recorder
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

pub use self::batch::{BatchError, BatchIssuer, BatchRequest, BatchWriter, ItemError};
use self::export::{ExportSlots, Exporter};
use self::list::UploadReader;
use self::prepare::Preparer;
use self::recorder::{RecordError, Recorder};
use self::resign::Resigner;
use self::verify::{Completer, Deleter, Verifier};

mod batch;
mod download;
pub(crate) mod export;
pub(crate) mod idempotency;
pub mod list;
pub mod prepare;
pub mod recorder;
mod resign;
pub(crate) mod usage;
pub(crate) mod verify;
pub(crate) mod view;

pub use self::download::{Download, DownloadRequest, Downloader};

/// Why an upload was not issued, or nothing could be done with one.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("the caller lacks the scope {}", .0.as_str())]
    ScopeMissing(Scope),
    #[error("the tenant's policy does not allow this extension")]
    ExtensionNotAllowed { allowed: ExtensionSet },
    #[error("the tenant's policy requires more bindings")]
    BindingRequired(BindingSet),
    /// What cannot be held is refused, never weakened.
    #[error("the bucket's store does not enforce {}", .0.as_str())]
    BindingNotEnforced(Binding),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("this Idempotency-Key was used for another request")]
    IdempotencyMismatch,
    /// A bug, or a row that somebody changed by hand.
    #[error("inconsistent state: {0}")]
    Inconsistent(&'static str),
    /// Or it is another tenant's: both are answered alike.
    #[error("no such upload")]
    NotFound,
    #[error("the file of upload {0} has already arrived")]
    AlreadyArrived(UploadId),
    #[error("the file was deleted")]
    Deleted,
    #[error("the bucket of this upload is archived")]
    BucketArchived,
    #[error("no such tenant")]
    NoSuchTenant,
    #[error("too many exports are in progress")]
    TooManyExports,
    /// The bucket has no such object; what is on record has not changed.
    #[error("the file is not in the bucket")]
    NotArrived,
    /// The bucket's credential lacks this permission.
    #[error("the bucket's credential lacks {0}")]
    BucketRefused(&'static str),
    #[error("the bucket does not answer: {0}")]
    BucketUnavailable(BucketError),
    #[error("the bucket's store returned an error: {0}")]
    Bucket(BucketError),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl UploadError {
    /// The outcome of issuing, in a word for metrics.
    #[must_use]
    const fn kind(&self) -> &'static str {
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
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::Inconsistent(_) => "inconsistent",
            // Issuing meets an earlier upload only if it replays the answer to an earlier request.
            Self::NotFound
            | Self::AlreadyArrived(_)
            | Self::Deleted
            | Self::BucketArchived
            | Self::NoSuchTenant
            | Self::TooManyExports
            | Self::NotArrived
            | Self::BucketRefused(_)
            | Self::BucketUnavailable(_)
            | Self::Bucket(_)
            | Self::Store(_) => "replay_failed",
        }
    }

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

/// The use cases of uploads. Each has its parts to itself, so a handler reaches the database through a use case only.
pub struct Uploads {
    pub issuer: Issuer,
    pub batch_issuer: BatchIssuer,
    pub resigner: Resigner,
    pub completer: Completer,
    pub deleter: Deleter,
    pub downloader: Downloader,
    pub reader: UploadReader,
    pub exporter: Exporter,
}

/// What the use cases are made of.
pub struct UploadParts {
    pub store: Store,
    pub credentials: Arc<CredentialCache>,
    pub recorder: Recorder,
    /// Commits batches, because the recorder does not keep the rows of one request together.
    pub batch_writer: BatchWriter,
    pub clock: Clock,
    pub randomness: Randomness,
    /// How many exports may run at the same time.
    pub exports: ExportSlots,
    /// How buckets are reached; never on the way of a presign.
    pub buckets: BucketConnections,
    pub metrics: Arc<UploadMetrics>,
}

impl Uploads {
    /// Wires the use cases.
    #[must_use]
    pub fn new(parts: UploadParts) -> Self {
        let UploadParts { store, credentials, recorder, batch_writer, clock, randomness, exports, buckets, metrics } =
            parts;
        let preparer = Preparer::new(Arc::clone(&credentials), clock.clone(), randomness);
        let resigner = Resigner::new(store.clone(), Arc::clone(&credentials), clock.clone());
        let verifier = Verifier::new(store.clone(), Arc::clone(&credentials), buckets, clock.clone());
        let reader = UploadReader::new(store.clone(), clock.clone());
        Self {
            issuer: Issuer { preparer: preparer.clone(), recorder, metrics: Arc::clone(&metrics) },
            batch_issuer: BatchIssuer::new(
                store.clone(),
                preparer,
                resigner.clone(),
                batch_writer,
                clock.clone(),
                Arc::clone(&metrics),
            ),
            resigner,
            completer: Completer::new(verifier.clone(), Arc::clone(&metrics)),
            deleter: Deleter::new(verifier, metrics),
            downloader: Downloader::new(store, credentials, clock),
            exporter: Exporter::new(reader.clone(), exports),
            reader,
        }
    }
}

/// Issues single uploads.
pub struct Issuer {
    preparer: Preparer,
    recorder: Recorder,
    metrics: Arc<UploadMetrics>,
}

impl Issuer {
    /// Issues one upload: it is on record before its URL is returned.
    ///
    /// # Errors
    /// Whatever goes wrong: no URL leaves this function without a committed row.
    pub async fn issue(
        &self,
        admitted: &Admitted,
        request: UploadRequest,
        source: RequestSource,
    ) -> Result<IssuedUpload, UploadError> {
        let kind = request.file.kind;
        let issuing = async {
            let caller = demand(admitted, Scope::UploadsIssue)?;
            let (upload, issued) = self.preparer.prepare(caller, request, source).await?;
            self.recorder.record(upload).await?;
            Ok(issued)
        };
        let issued = issuing.await;
        count(&self.metrics, kind, issued.as_ref().err());
        issued
    }

    /// A function that returns how many rows wait for the recorder, and how many may.
    pub fn queue_depth(&self) -> (impl Fn() -> usize + Send + Sync + use<>, usize) {
        self.recorder.depth()
    }

    /// Accepts no more uploads, and returns once every accepted row has an outcome.
    pub async fn drain(&self) {
        self.recorder.drain().await;
    }
}

/// Counts the outcome of one requested upload.
fn count(metrics: &UploadMetrics, kind: Option<UploadKind>, error: Option<&UploadError>) {
    let kind = kind.map(UploadKind::as_str);
    match error {
        None => metrics.issued(kind),
        Some(error) => metrics.not_issued(kind, error.kind()),
    }
}

/// The upload of this id that the caller may know of: its tenant's. One who may not read them knows only of its own.
async fn find_for(store: &Store, caller: &Caller, id: UploadId) -> Result<Upload, UploadError> {
    let upload = uploads::find(store, caller.tenant.id, id).await?.ok_or(UploadError::NotFound)?;
    let is_own = upload.issued.caller_kind == caller.kind
        && upload.issued.caller_id == caller.id
        && upload.issued.caller_subject.as_deref() == caller.subject.as_deref();
    if is_own || caller.scopes.contains(Scope::UploadsRead) { Ok(upload) } else { Err(UploadError::NotFound) }
}

/// The caller, if it has this scope.
fn demand(admitted: &Admitted, scope: Scope) -> Result<&Caller, UploadError> {
    let caller = admitted.caller();
    if caller.scopes.contains(scope) { Ok(caller) } else { Err(UploadError::ScopeMissing(scope)) }
}
