//! Extracts the admitted caller: authenticates, then checks the rate limit. A handler has no other
//! way to get one.

use std::num::NonZeroU32;
use std::pin::{Pin, pin};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use tracing::field::Empty;

use crate::auth::{AuthError, Presented};
use crate::domain::caller::Caller;
use crate::domain::tenant::Slug;
use crate::http::error::ApiError;
use crate::http::error::reason::Reason;
use crate::rate_limit::{Admitted, Limited};
use crate::telemetry::trace;

use crate::http::context::RequestContext;
use crate::http::state::Gateway;

pub(in crate::http) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// An admitted caller. If `oss.anonymous_tenant` is set, the caller may have no credential.
pub(in crate::http) struct AdmittedOrAnonymous(pub Admitted);

impl FromRequestParts<Arc<Gateway>> for AdmittedOrAnonymous {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, ApiError> {
        admit(parts, gateway, gateway.edge.anonymous_tenant.as_ref()).await.map(Self)
    }
}

/// An admitted caller that authenticated.
pub(in crate::http) struct Admit(pub Admitted);

impl FromRequestParts<Arc<Gateway>> for Admit {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, ApiError> {
        admit(parts, gateway, None).await.map(Self)
    }
}

/// `anonymous_tenant` is the tenant of callers without a credential.
async fn admit(parts: &Parts, gateway: &Gateway, anonymous_tenant: Option<&Slug>) -> Result<Admitted, ApiError> {
    let context = RequestContext::of(&parts.extensions).ok_or(Reason::Internal)?;
    let presented = presented(&parts.headers);
    let attempt = pin!(authenticate(gateway, presented.as_ref(), context, anonymous_tenant));
    let caller = authenticated(gateway, context, presented.as_ref(), attempt).await?;
    context.note_tenant(&caller.tenant);
    let span = tracing::info_span!("limit", presign_gateway.limit.decision = Empty);
    let admitted = span.in_scope(|| gateway.limits.admit(caller, context.client_address()));
    span.record("presign_gateway.limit.decision", if admitted.is_ok() { "admitted" } else { "refused" });
    let (admitted, quota) = admitted.inspect_err(|limited| note(context, limited))?;
    context.note_quota(quota);
    Ok(admitted)
}

/// Waits for authentication; counts and logs a failure.
pub(in crate::http) async fn authenticated<T>(
    gateway: &Gateway,
    context: &RequestContext,
    presented: Option<&Presented>,
    attempt: Pin<&mut impl Future<Output = Result<T, AuthError>>>,
) -> Result<T, ApiError> {
    let method = presented.map_or("none", Presented::method);
    let span =
        tracing::info_span!("authenticate", presign_gateway.auth.method = method, presign_gateway.auth.refusal = Empty);
    trace::within(&span, attempt).await.map_err(|error| {
        span.record("presign_gateway.auth.refusal", error.as_str());
        gateway.telemetry.auth.failed(method, error.as_str());
        context.note_refusal(error.as_str());
        refuse(gateway, context, error)
    })
}

fn note(context: &RequestContext, limited: &Limited) {
    if let Some(quota) = limited.quota {
        context.note_quota(quota);
    }
}

/// Charges the limit for a request's further items.
pub(in crate::http) fn charge(
    gateway: &Gateway,
    context: &RequestContext,
    admitted: &Admitted,
    more: NonZeroU32,
) -> Result<(), ApiError> {
    let quota = gateway.limits.charge(admitted, more).inspect_err(|limited| note(context, limited))?;
    context.note_quota(quota);
    Ok(())
}

async fn authenticate(
    gateway: &Gateway,
    presented: Option<&Presented>,
    context: &RequestContext,
    anonymous_tenant: Option<&Slug>,
) -> Result<Caller, AuthError> {
    let may_look_up = || !gateway.limits.has_failed_too_often(context.client_address());
    match (presented, anonymous_tenant) {
        (Some(presented), _) => gateway.auth.authenticate(presented, may_look_up).await,
        (None, Some(slug)) => gateway.auth.anonymous(slug).await,
        (None, None) => Err(AuthError::Missing),
    }
}

/// The credential in the headers; `None` if there is none, which is not the same as a wrong one.
pub(in crate::http) fn presented(headers: &HeaderMap) -> Option<Presented> {
    let mut values = headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .map(|value| (true, value))
        .chain(headers.get_all(X_API_KEY).iter().map(|value| (false, value)));
    let (is_authorization, value) = values.next()?;
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    let presented = text.and_then(|text| {
        if is_authorization {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| Presented::bearer(token.trim()))
        } else {
            Some(Presented::ApiKey(text.trim().into()))
        }
    });
    Some(presented.unwrap_or(Presented::Malformed))
}

/// Counts a failure against the address, and against nothing else.
fn refuse(gateway: &Gateway, context: &RequestContext, error: AuthError) -> ApiError {
    if matches!(error, AuthError::LookupDenied) {
        gateway.limits.note_denied();
    }
    if matches!(error, AuthError::Refused(_))
        && let Err(Limited { retry_after_seconds, .. }) = gateway.limits.count_failure(context.client_address())
    {
        return ApiError::later(Reason::TooManyFailures, retry_after_seconds);
    }
    error.into()
}
