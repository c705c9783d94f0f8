//! `/v1/uploads/batch`: issues many uploads in one call and one commit.

use std::num::NonZeroU32;

use axum::Extension as FromExtensions;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::upload::UploadRequest;
use crate::http::context::RequestContext;
use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::error::reason::{Language, Reason};
use crate::http::extract::caller::{Admit, charge};
use crate::http::extract::json::{Body, read_part};
use crate::http::middleware::accept_language;
use crate::http::state::SharedGateway;
use crate::rate_limit::Admitted;
use crate::uploads::{BatchError, BatchRequest, ItemError};

use super::issued::IssuedView;
use super::request::UploadCreate;
use crate::http::extract::idempotency_key::IdempotencyKey;

const MAX_UPLOADS: usize = 100;

/// Presigned URLs for several files.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct BatchCreate {
    /// 1 to 100; each is counted against the app's limit.
    #[schema(value_type = Vec<UploadCreate>, min_items = 1, max_items = 100)]
    uploads: Vec<Box<RawValue>>,
    /// Whether one rejected item rejects the whole batch.
    #[serde(default)]
    all_or_nothing: bool,
}

impl BatchCreate {
    /// Each item, read or refused by itself.
    pub(in crate::http) fn read(&self) -> Vec<Result<UploadRequest, ApiError>> {
        self.parts().into_iter().map(|part| part.and_then(UploadCreate::parse)).collect()
    }

    fn parts(&self) -> Vec<Result<UploadCreate, ApiError>> {
        self.uploads.iter().map(|part| read_part(part)).collect()
    }
}

/// The result of each, in the order of the request.
#[derive(Serialize, ToSchema)]
#[schema(as = Batch)]
pub(super) struct BatchView {
    items: Vec<ItemView>,
}

/// Either an upload or an error.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchItem)]
struct ItemView {
    upload: Option<IssuedView>,
    error: Option<ItemErrorView>,
}

/// Why an item was rejected.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchItemError)]
struct ItemErrorView {
    /// The HTTP status that the item would get alone.
    #[schema(example = 400)]
    code: u16,
    #[schema(example = "invalid_field")]
    reason: &'static str,
    msg: String,
    /// The item's wrong field, if one is.
    field: Option<String>,
}

/// Request presigned URLs for up to 100 files.
///
/// What is not refused is recorded in one commit. Each item is counted against the app's limit, refused or not.
#[utoipa::path(post, path = "/v1/uploads/batch", tag = "uploads", operation_id = "issue_uploads", security(("bearer" = [])),
    params(("idempotency-key" = Option<String>, Header,
        description = "For 24 hours the same request with the same key gets the same uploads, with a new URL if the first has expired and the file has not arrived; a different request with the key gets 409. Rejected requests are not stored")),
    request_body = BatchCreate,
    responses((status = 200, description = "The result of each item", body = SuccessBody<BatchView>)))]
pub(super) async fn issue(
    State(gateway): State<SharedGateway>,
    FromExtensions(context): FromExtensions<RequestContext>,
    Admit(admitted): Admit,
    idempotency_key: IdempotencyKey,
    headers: HeaderMap,
    Body(body): Body<BatchCreate>,
) -> Result<Success<BatchView>, ApiError> {
    check_length(&admitted, body.uploads.len())?;
    let parts = body.parts();
    let BatchCreate { uploads, all_or_nothing } = body;
    let idempotency = idempotency_key.of("issue_uploads", &asked(&uploads, &parts, all_or_nothing))?;
    if let Some(more) = u32::try_from(parts.len() - 1).ok().and_then(NonZeroU32::new) {
        charge(&gateway, &context, &admitted, more)?;
    }
    let items = parts.into_iter().map(|part| part.and_then(UploadCreate::parse)).collect();
    let batch = BatchRequest { items, all_or_nothing, idempotency };
    let outcomes = gateway.uploads.batch_issuer.issue_batch(&admitted, batch, context.source()).await;
    let language = accept_language::of("/v1", &headers, gateway.edge.default_language);
    match outcomes {
        Ok(outcomes) => {
            let item = |outcome| match outcome {
                Ok(issued) => ItemView { upload: Some(IssuedView::from(issued)), error: None },
                Err(refusal) => ItemView { upload: None, error: Some(item_error(refusal).view(language)) },
            };
            Ok(Success(BatchView { items: outcomes.into_iter().map(item).collect() }))
        }
        Err(BatchError::Item { index, refusal }) => Err(item_error(refusal).within(&format!("uploads[{index}]"))),
        Err(BatchError::Whole(error)) => Err(error.into()),
    }
}

/// More than the app's burst would never be let through.
fn check_length(admitted: &Admitted, length: usize) -> Result<(), ApiError> {
    let burst = admitted.caller().tenant.rate_limit.burst.get();
    let max = MAX_UPLOADS.min(usize::try_from(burst).unwrap_or(usize::MAX));
    if (1..=max).contains(&length) {
        return Ok(());
    }
    Err(ApiError::with_detail(Reason::InvalidField, format!("uploads must be a list of 1 to {max}")).about("uploads"))
}

/// An item as it is told from others: as it was read or, where it could not be, as it was written.
#[derive(Serialize)]
#[serde(untagged)]
enum AskedItem<'a> {
    Read(&'a UploadCreate),
    Written(&'a str),
}

/// All that is asked for, in one certain form.
fn asked<'a>(
    uploads: &'a [Box<RawValue>],
    parts: &'a [Result<UploadCreate, ApiError>],
    all_or_nothing: bool,
) -> (Vec<AskedItem<'a>>, bool) {
    let items = parts.iter().zip(uploads).map(|(part, written)| match part {
        Ok(read) => AskedItem::Read(read),
        Err(_) => AskedItem::Written(written.get()),
    });
    (items.collect(), all_or_nothing)
}

fn item_error(refusal: ItemError<ApiError>) -> ApiError {
    match refusal {
        ItemError::ByPolicy(error) => error.into(),
        ItemError::Before(error) => error,
    }
}

impl ApiError {
    fn view(self, language: Language) -> ItemErrorView {
        let msg = self.message(language);
        ItemErrorView { code: self.reason.status().as_u16(), reason: self.reason.as_str(), msg, field: self.field }
    }
}
