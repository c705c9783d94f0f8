//! Prepares an upload for its commit: applies the policy, generates the object key, signs the URL,
//! builds the row.
//!
//! Decides how long the URL lives. Its default comes from the tenant's policy (`domain::policy`).

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;

use chrono::TimeDelta;

use crate::buckets::credentials::CredentialCache;
use crate::domain::Invalid;
use crate::domain::binding::{Bindings, Metadata};
use crate::domain::bucket::{Bucket, Provider};
use crate::domain::caller::Caller;
use crate::domain::clock::Clock;
use crate::domain::ids::UploadId;
use crate::domain::object_key::Naming;
use crate::domain::randomness::Randomness;
use crate::domain::tenant::Policy;
use crate::domain::upload::{FileFacts, NewUpload, RequestSource, UploadRequest};
use crate::presign::Operation;
use crate::telemetry::trace;

use super::verify::GRACE;
use super::{IssuedUpload, UploadError};

/// 5 GiB less 5 MiB (<https://developers.cloudflare.com/r2/platform/limits/>).
const MAX_R2_PUT_BYTES: u64 = (5 << 30) - (5 << 20);

/// Prepares uploads for the commit: one by one for the recorder, or the uploads of one request together.
#[derive(Clone)]
pub(super) struct Preparer {
    credentials: Arc<CredentialCache>,
    clock: Clock,
    randomness: Randomness,
}

impl Preparer {
    pub(super) const fn new(credentials: Arc<CredentialCache>, clock: Clock, randomness: Randomness) -> Self {
        Self { credentials, clock, randomness }
    }

    /// The row to commit, and what may be revealed once it is.
    pub(super) async fn prepare(
        &self,
        caller: &Caller,
        request: UploadRequest,
        source: RequestSource,
    ) -> Result<(NewUpload, IssuedUpload), UploadError> {
        let policy = &caller.tenant.policy;
        let expires_in_seconds = check_policy(policy, &request)?;
        let UploadRequest { file, bindings, metadata, bucket, .. } = request;

        let issued_at = self.clock.now();
        let id = UploadId::generate(issued_at, &self.randomness);
        let naming = Naming { id, ext: file.ext, kind: file.kind, issued_at, time_zone: policy.time_zone.0 };
        let object_key = policy.template().object_key(&naming);

        let opening = pin!(self.credentials.bucket(caller.tenant.id, bucket.as_ref()));
        let open = trace::within(&tracing::info_span!("credential"), opening).await?;
        check_enforced(&open.bucket, &bindings)?;
        let headers = headers(&bindings);
        let signed_metadata = signed_metadata(&file, &metadata);
        let operation = Operation::Put { metadata: &signed_metadata, headers: &headers };
        let sign = || open.signer.sign(operation, &object_key, expires_in_seconds, issued_at);
        let url = tracing::info_span!("sign").in_scope(sign);

        let expires_at = issued_at + TimeDelta::seconds(expires_in_seconds.into());
        let upload = NewUpload {
            id,
            tenant_id: caller.tenant.id,
            bucket_id: open.bucket.id,
            object_key: object_key.clone(),
            file,
            bindings,
            metadata,
            caller_kind: caller.kind,
            caller_id: caller.id,
            caller_subject: caller.subject.clone(),
            source,
            access_key_id: open.credential.access_key_id.clone(),
            issued_at,
            url_expires_at: expires_at,
            check_at: policy.verify_arrival.then(|| expires_at + GRACE),
        };
        Ok((upload, IssuedUpload { id, object_key, url, headers, expires_at }))
    }
}

/// Whether the tenant's policy lets this be uploaded; gives how long the URL lives.
fn check_policy(policy: &Policy, request: &UploadRequest) -> Result<u32, UploadError> {
    if !policy.allowed_extensions.contains(request.file.ext) {
        return Err(UploadError::ExtensionNotAllowed { allowed: policy.allowed_extensions.clone() });
    }
    let missing = policy.required_bindings.without(request.bindings.set());
    if !missing.is_empty() {
        return Err(UploadError::BindingRequired(missing));
    }
    check_maximum("size", "bytes", policy.max_size_bytes, request.bindings.size_bytes)?;
    let longest = policy.expiry().longest_seconds;
    match request.expires_in_seconds {
        Some(seconds) if !(1..=longest).contains(&seconds) => {
            Err(Invalid::new("expires_in", format!("must be 1 to {longest} seconds: this app's maximum")).into())
        }
        Some(seconds) => Ok(seconds),
        None => Ok(policy.expiry().default_seconds),
    }
}

/// Checks a declared value against a limit of the policy.
fn check_maximum(field: &'static str, unit: &str, maximum: Option<u64>, declared: Option<u64>) -> Result<(), Invalid> {
    match maximum {
        Some(maximum) if declared > Some(maximum) => {
            Err(Invalid::new(field, format!("must be at most {maximum} {unit}: this app's limit")))
        }
        _ => Ok(()),
    }
}

/// Refuses what the bucket's store would let pass.
fn check_enforced(bucket: &Bucket, bindings: &Bindings) -> Result<(), UploadError> {
    let is_too_large = |bytes: u64| bucket.location.provider == Provider::R2 && bytes > MAX_R2_PUT_BYTES;
    if bindings.size_bytes.is_some_and(is_too_large) {
        return Err(
            Invalid::new("size", format!("must be at most {MAX_R2_PUT_BYTES} bytes: R2's limit for one PUT")).into()
        );
    }
    match bindings.set().iter().find(|binding| !bucket.enforces(*binding)) {
        Some(binding) => Err(UploadError::BindingNotEnforced(binding)),
        None => Ok(()),
    }
}

/// The header fields that enforce the bindings.
#[must_use]
pub fn headers(bindings: &Bindings) -> Vec<(&'static str, String)> {
    let size = bindings.size_bytes.map(|bytes| ("content-length", bytes.to_string()));
    let content_type = bindings.content_type.map(|text| ("content-type", text.to_owned()));
    let write_once = bindings.write_once.then(|| ("if-none-match", "*".to_owned()));
    let sha256 = bindings.sha256.map(|digest| ("x-amz-checksum-sha256", digest.base64()));
    [size, content_type, write_once, sha256].into_iter().flatten().collect()
}

/// The declared facts about the file and the caller's own pairs, as object metadata.
pub(super) fn signed_metadata<'a>(file: &FileFacts, own: &'a Metadata) -> Vec<(&'a str, Cow<'a, str>)> {
    let duration = file.duration.map(|seconds| ("duration", seconds.get().to_string().into()));
    let height = file.height.map(|pixels| ("height", pixels.get().to_string().into()));
    let kind = file.kind.map(|kind| ("type", kind.as_str().into()));
    let width = file.width.map(|pixels| ("width", pixels.get().to_string().into()));
    let own = own.pairs().iter().map(|(name, value)| (name.as_str(), Cow::Borrowed(value.as_str())));
    [duration, height, kind, width].into_iter().flatten().chain(own).collect()
}
