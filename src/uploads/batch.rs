//! Issues several uploads in one commit, and requests with an `Idempotency-Key`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::Instrument;

use crate::buckets::credentials::CredentialError;
use crate::domain::caller::{Caller, Scope};
use crate::domain::clock::Clock;
use crate::domain::ids::UploadId;
use crate::domain::upload::{NewUpload, RequestSource, UploadKind, UploadRequest};
use crate::rate_limit::Admitted;
use crate::store::idempotency_keys::{self, KnownRequest, NewIdempotencyKey};
use crate::store::{Store, StoreError, uploads};
use crate::telemetry::metrics::uploads::UploadMetrics;

use super::idempotency::Idempotency;
use super::prepare::Preparer;
use super::recorder::RecordError;
use super::resign::Resigner;
use super::{IssuedUpload, UploadError, count, demand};

/// How often a request is retried if its idempotency key is taken and then not found.
const MAX_ATTEMPTS: usize = 3;

/// A batch of upload requests. `R` is the reason why an item was rejected earlier; `Infallible` if
/// none can be.
#[derive(Debug)]
pub struct BatchRequest<R> {
    pub items: Vec<Result<UploadRequest, R>>,
    /// Whether one rejected item rejects the whole batch.
    pub all_or_nothing: bool,
    pub idempotency: Option<Idempotency>,
}

/// Why an item of a batch was not issued.
#[derive(Debug)]
pub enum ItemError<R> {
    /// As the request has it.
    Before(R),
    ByPolicy(UploadError),
}

impl From<ItemError<Infallible>> for UploadError {
    fn from(refusal: ItemError<Infallible>) -> Self {
        match refusal {
            ItemError::ByPolicy(error) => error,
        }
    }
}

/// Why nothing of a batch was issued.
#[derive(Debug, thiserror::Error)]
pub enum BatchError<R> {
    #[error("item {index} is rejected, so the whole batch is")]
    Item { index: usize, refusal: ItemError<R> },
    #[error(transparent)]
    Whole(#[from] UploadError),
}

/// Commits of single requests. They share connections with reads, so few run at a time; a bounded
/// number of others waits for a bounded time.
pub struct BatchWriter {
    places: Semaphore,
    under_way: Semaphore,
    timeout: Duration,
}

impl BatchWriter {
    /// `waiting` bounds the waiting requests, `under_way` the running commits.
    #[must_use]
    pub fn new(waiting: usize, under_way: usize, timeout: Duration) -> Self {
        let (places, under_way) = (Semaphore::new(waiting), Semaphore::new(under_way));
        Self { places, under_way, timeout }
    }

    /// Returns whether the idempotency key was free, which means that the rows are recorded.
    async fn record(
        &self,
        store: &Store,
        rows: &[&NewUpload],
        idempotency_key: Option<&NewIdempotencyKey>,
    ) -> Result<bool, RecordError> {
        let _place = self.places.try_acquire().map_err(|_| RecordError::QueueFull)?;
        let turn = timeout(self.timeout, self.under_way.acquire()).await;
        let _turn = turn.map_err(|_| RecordError::TimedOut)?.map_err(|_| RecordError::Closed)?;
        let recorded = uploads::insert_batch_any_tenant(store, rows, idempotency_key, self.timeout).await;
        recorded.map_err(|error| match error {
            StoreError::TimedOut => RecordError::TimedOut,
            error => RecordError::NotCommitted(error.into()),
        })
    }
}

type Outcome<R> = Result<IssuedUpload, ItemError<R>>;

/// The outcome of a batch.
struct BatchOutcome<R> {
    outcomes: Vec<Outcome<R>>,
    /// Whether this is a repeated request, so that nothing new was recorded.
    is_replay: bool,
}

/// Issues several uploads in one commit, and answers repeated requests as the first time.
pub struct BatchIssuer {
    store: Store,
    preparer: Preparer,
    resigner: Resigner,
    writer: BatchWriter,
    clock: Clock,
    metrics: Arc<UploadMetrics>,
}

impl BatchIssuer {
    pub(super) const fn new(
        store: Store,
        preparer: Preparer,
        resigner: Resigner,
        writer: BatchWriter,
        clock: Clock,
        metrics: Arc<UploadMetrics>,
    ) -> Self {
        Self { store, preparer, resigner, writer, clock, metrics }
    }

    /// Issues one upload; the same request gets the same one when it is sent again.
    ///
    /// # Errors
    /// As [`Issuer::issue`](super::Issuer::issue), or the key was used for another request.
    pub async fn issue_once(
        &self,
        admitted: &Admitted,
        request: UploadRequest,
        idempotency: Idempotency,
        source: RequestSource,
    ) -> Result<IssuedUpload, UploadError> {
        let items: Vec<Result<_, Infallible>> = vec![Ok(request)];
        let batch = BatchRequest { items, all_or_nothing: true, idempotency: Some(idempotency) };
        match self.issue_batch(admitted, batch, source).await {
            Ok(mut outcomes) => match outcomes.pop() {
                Some(outcome) => Ok(outcome?),
                None => Err(UploadError::Inconsistent("one upload was requested, and has no outcome")),
            },
            Err(BatchError::Whole(error)) => Err(error),
            Err(BatchError::Item { refusal, .. }) => Err(refusal.into()),
        }
    }

    /// Issues several uploads in one commit. Accepted items are recorded before their URLs are
    /// returned.
    ///
    /// # Errors
    /// Nothing was issued: the caller lacks the scope, the commit failed, the key was used for
    /// another request, or an item was rejected in all-or-nothing mode.
    pub async fn issue_batch<R: Clone>(
        &self,
        admitted: &Admitted,
        batch: BatchRequest<R>,
        source: RequestSource,
    ) -> Result<Vec<Outcome<R>>, BatchError<R>> {
        let kinds: Vec<_> = batch.items.iter().map(|item| item.as_ref().ok().map(|item| item.file.kind)).collect();
        let issued = self.issue_all(admitted, batch, source).await;
        self.count_batch(kinds, issued.as_ref());
        issued.map(|BatchOutcome { outcomes, .. }| outcomes)
    }

    /// Counts the outcome of each item, except those that were rejected earlier.
    fn count_batch<R>(&self, kinds: Vec<Option<Option<UploadKind>>>, issued: Result<&BatchOutcome<R>, &BatchError<R>>) {
        match issued {
            Ok(BatchOutcome { outcomes, is_replay }) => {
                for (kind, outcome) in kinds.into_iter().zip(outcomes) {
                    match (kind, outcome) {
                        (Some(kind), Ok(_)) if *is_replay => {
                            self.metrics.not_issued(kind.map(UploadKind::as_str), "replayed");
                        }
                        (Some(kind), Ok(_)) => count(&self.metrics, kind, None),
                        (Some(kind), Err(ItemError::ByPolicy(error))) => count(&self.metrics, kind, Some(error)),
                        (None, _) | (_, Err(ItemError::Before(_))) => {}
                    }
                }
            }
            Err(BatchError::Whole(error) | BatchError::Item { refusal: ItemError::ByPolicy(error), .. }) => {
                for kind in kinds.into_iter().flatten() {
                    count(&self.metrics, kind, Some(error));
                }
            }
            Err(BatchError::Item { refusal: ItemError::Before(_), .. }) => {}
        }
    }

    async fn issue_all<R: Clone>(
        &self,
        admitted: &Admitted,
        batch: BatchRequest<R>,
        source: RequestSource,
    ) -> Result<BatchOutcome<R>, BatchError<R>> {
        let caller = demand(admitted, Scope::UploadsIssue)?;
        let BatchRequest { items, all_or_nothing, idempotency } = batch;
        let mut attempts = 0;
        loop {
            if let Some(known) = self.known(caller, idempotency.as_ref()).await? {
                let outcomes = self.replay(caller, known, items, all_or_nothing, source).await?;
                return Ok(BatchOutcome { outcomes: whole(outcomes, all_or_nothing)?, is_replay: true });
            }
            if attempts == MAX_ATTEMPTS {
                let cause = "the idempotency key is taken, but repeated lookups do not find it";
                return Err(UploadError::Inconsistent(cause).into());
            }
            attempts += 1;
            let (rows, outcomes) = self.prepare_together(caller, &items, all_or_nothing, source).await?;
            if self.record_batch(caller, &rows, &outcomes, idempotency.as_ref()).await? {
                return Ok(BatchOutcome { outcomes, is_replay: false });
            }
            // Somebody else sent the same at the same time, and was first. Its key can vanish before it is read: it expires.
        }
    }

    /// The rows of the accepted items, and the outcome of each item.
    async fn prepare_together<R: Clone>(
        &self,
        caller: &Caller,
        items: &[Result<UploadRequest, R>],
        all_or_nothing: bool,
        source: RequestSource,
    ) -> Result<(Vec<NewUpload>, Vec<Outcome<R>>), BatchError<R>> {
        let mut rows = Vec::with_capacity(items.len());
        let mut outcomes = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match self.prepare_item(caller, item.clone(), source).await? {
                Ok((row, issued)) => {
                    rows.push(row);
                    outcomes.push(Ok(issued));
                }
                Err(refusal) if all_or_nothing => return Err(BatchError::Item { index, refusal }),
                Err(refusal) => outcomes.push(Err(refusal)),
            }
        }
        Ok((rows, outcomes))
    }

    /// An item's row, or why it is rejected. A failure of the gateway is not a rejection.
    async fn prepare_item<R>(
        &self,
        caller: &Caller,
        item: Result<UploadRequest, R>,
        source: RequestSource,
    ) -> Result<Result<(NewUpload, IssuedUpload), ItemError<R>>, UploadError> {
        let request = match item {
            Ok(request) => request,
            Err(refusal) => return Ok(Err(ItemError::Before(refusal))),
        };
        match self.preparer.prepare(caller, request, source).await {
            Ok(prepared) => Ok(Ok(prepared)),
            Err(error) if error.is_refusal() => Ok(Err(ItemError::ByPolicy(error))),
            Err(error) => Err(error),
        }
    }

    /// Commits; returns `false` if the same request was recorded meanwhile.
    async fn record_batch<R>(
        &self,
        caller: &Caller,
        rows: &[NewUpload],
        outcomes: &[Outcome<R>],
        idempotency: Option<&Idempotency>,
    ) -> Result<bool, UploadError> {
        if rows.is_empty() {
            return Ok(true);
        }
        let upload_ids: Vec<Option<UploadId>> =
            outcomes.iter().map(|outcome| outcome.as_ref().ok().map(|issued| issued.id)).collect();
        let row = idempotency.map(|idempotency| idempotency.row(caller, upload_ids, self.clock.now()));
        let rows: Vec<&NewUpload> = rows.iter().collect();
        let recorded = self.writer.record(&self.store, &rows, row.as_ref());
        Ok(recorded.instrument(tracing::info_span!("record")).await?)
    }

    /// What the same request got earlier, if it was repeated.
    async fn known(
        &self,
        caller: &Caller,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<KnownRequest>, UploadError> {
        let Some(idempotency) = idempotency else { return Ok(None) };
        let id = idempotency.id(caller);
        let known = idempotency_keys::find(&self.store, caller.tenant.id, &id, self.clock.now()).await;
        match known.map_err(|error| RecordError::NotCommitted(error.into()))? {
            Some(known) if !idempotency.is_of(&known.request_sha256) => Err(UploadError::IdempotencyMismatch),
            known => Ok(known),
        }
    }

    /// Repeats the first response: the same uploads, with a new URL if the first one expired.
    async fn replay<R>(
        &self,
        caller: &Caller,
        known: KnownRequest,
        items: Vec<Result<UploadRequest, R>>,
        all_or_nothing: bool,
        source: RequestSource,
    ) -> Result<Vec<Outcome<R>>, UploadError> {
        let is_whole = !all_or_nothing || known.upload_ids.iter().all(Option::is_some);
        if known.upload_ids.len() != items.len() || !is_whole {
            return Err(UploadError::Inconsistent("the idempotency key does not have the uploads of its request"));
        }
        let mut outcomes = Vec::with_capacity(items.len());
        for (item, upload_id) in items.into_iter().zip(known.upload_ids) {
            outcomes.push(match upload_id {
                Some(id) => match self.resigner.reissue(caller, id).await {
                    Ok(issued) => Ok(issued),
                    Err(error) if error.is_refusal() => Err(ItemError::ByPolicy(error)),
                    Err(error) => return Err(error),
                },
                // It was refused, and is judged again; nothing of it was recorded, so nothing of it is now.
                None => match self.prepare_item(caller, item, source).await? {
                    Err(refusal) => Err(refusal),
                    Ok(_) => Err(ItemError::ByPolicy(UploadError::IdempotencyMismatch)),
                },
            });
        }
        Ok(outcomes)
    }
}

/// All items, or the first rejection in all-or-nothing mode.
fn whole<R>(outcomes: Vec<Outcome<R>>, all_or_nothing: bool) -> Result<Vec<Outcome<R>>, BatchError<R>> {
    if !all_or_nothing {
        return Ok(outcomes);
    }
    let issued = outcomes
        .into_iter()
        .enumerate()
        .map(|(index, outcome)| outcome.map(Ok).map_err(|refusal| BatchError::Item { index, refusal }));
    issued.collect()
}

impl UploadError {
    /// Whether it is the caller's to mend.
    const fn is_refusal(&self) -> bool {
        match self {
            Self::ScopeMissing(_)
            | Self::ExtensionNotAllowed { .. }
            | Self::BindingRequired(_)
            | Self::BindingNotEnforced(_)
            | Self::Invalid(_)
            | Self::Credential(CredentialError::NoSuchBucket(_))
            | Self::NotFound
            | Self::AlreadyArrived(_)
            | Self::Deleted
            | Self::BucketArchived
            | Self::IdempotencyMismatch => true,
            Self::Credential(_)
            | Self::Record(_)
            | Self::Inconsistent(_)
            | Self::NoSuchTenant
            | Self::TooManyExports
            | Self::NotArrived
            | Self::BucketRefused(_)
            | Self::BucketUnavailable(_)
            | Self::Bucket(_)
            | Self::Store(_) => false,
        }
    }
}
