//! Extracts the operators' use cases on behalf of the authenticated operator.

use std::pin::pin;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::admin::{Actor, Admin};
use crate::auth::AuthError;
use crate::http::context::RequestContext;
use crate::http::error::ApiError;
use crate::http::error::reason::Reason;
use crate::http::extract::caller::{authenticated, presented};
use crate::http::state::SharedGateway;

/// The operators' use cases. The audit names the operator's key.
pub(in crate::http) struct Operator(pub Admin);

impl FromRequestParts<SharedGateway> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, gateway: &SharedGateway) -> Result<Self, ApiError> {
        let context = RequestContext::of(&parts.extensions).ok_or(Reason::Internal)?;
        let may_look_up = || !gateway.limits.has_failed_too_often(context.client_address());
        let presented = presented(&parts.headers);
        let attempt = pin!(async {
            let presented = presented.as_ref().ok_or(AuthError::Missing)?;
            gateway.auth.authenticate_operator(presented, may_look_up).await
        });
        let public_id = authenticated(gateway, context, presented.as_ref(), attempt).await?;
        let actor = Actor { name: format!("api_key:{public_id}"), origin: Some(context.client_address().to_string()) };
        Ok(Self(gateway.tenants.acting_as(actor)))
    }
}
