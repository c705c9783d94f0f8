//! A body that fails if its digest does not match. s3s-fs compares digests only after it has stored
//! the file.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::Sha256;
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, RemainingLength};

/// Whether a body was found to be another than promised.
#[derive(Clone, Default)]
pub(super) struct Verdict(Arc<AtomicBool>);

impl Verdict {
    pub fn is_bad(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The body, checked against a SHA-256 digest in base64.
pub(super) fn checked(body: StreamingBlob, sha256: String) -> (StreamingBlob, Verdict) {
    let verdict = Verdict::default();
    let hasher = ChecksumHasher { sha256: Some(Sha256::default()), ..ChecksumHasher::default() };
    let checked = Checked { body, hasher: Some(hasher), sha256, verdict: verdict.clone() };
    (StreamingBlob::new(checked), verdict)
}

struct Checked {
    body: StreamingBlob,
    /// Until the end.
    hasher: Option<ChecksumHasher>,
    sha256: String,
    verdict: Verdict,
}

impl Stream for Checked {
    type Item = <StreamingBlob as Stream>::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(Pin::new(&mut self.body).poll_next(context));
        if let (Some(Ok(bytes)), Some(hasher)) = (&next, &mut self.hasher) {
            hasher.update(bytes);
        }
        let ended = if next.is_none() { self.hasher.take() } else { None };
        if ended.is_some_and(|hasher| hasher.finalize().checksum_sha256.as_ref() != Some(&self.sha256)) {
            self.verdict.0.store(true, Ordering::Release);
            return Poll::Ready(Some(Err(io::Error::other("another digest").into())));
        }
        Poll::Ready(next)
    }
}

impl ByteStream for Checked {
    fn remaining_length(&self) -> RemainingLength {
        self.body.remaining_length()
    }
}
