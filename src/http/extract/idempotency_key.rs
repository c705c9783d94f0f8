//! The header field `Idempotency-Key`.

use axum::extract::FromRequestParts;
use axum::http::HeaderName;
use axum::http::request::Parts;
use serde::Serialize;
use serde_json::Value;

use crate::domain::Invalid;
use crate::http::error::ApiError;
use crate::http::error::reason::Reason;
use crate::http::state::SharedGateway;
use crate::uploads::idempotency::Idempotency;

/// A repeated request with the same key gets the first response
/// (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>).
pub(in crate::http) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The client's key, if it sent one.
pub(in crate::http) struct IdempotencyKey(Option<String>);

impl FromRequestParts<SharedGateway> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &SharedGateway) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all(&IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        if values.next().is_some() {
            return Err(ApiError::with_detail(Reason::RepeatedParameter, "Idempotency-Key").about("Idempotency-Key"));
        }
        // What is no ASCII is refused with what is too long, in the same words.
        Ok(Self(Some(value.to_str().unwrap_or_default().to_owned())))
    }
}

impl IdempotencyKey {
    /// `asked` is the parsed request, so its notation does not matter.
    pub fn of(self, route: &'static str, asked: &impl Serialize) -> Result<Option<Idempotency>, ApiError> {
        let Some(key) = self.0 else { return Ok(None) };
        let asked = serde_json::to_value(asked).map(without_defaults);
        let asked = asked.and_then(|asked| serde_json::to_vec(&asked)).map_err(|_| Reason::Internal)?;
        let idempotency: Result<_, Invalid> = Idempotency::new(route, &key, &asked);
        Ok(Some(idempotency?))
    }
}

/// Serializes without absent fields, so that a version with one more field computes the same
/// digest.
fn without_defaults(asked: Value) -> Value {
    let is_default = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    match asked {
        Value::Object(fields) => {
            let said = fields.into_iter().map(|(name, value)| (name, without_defaults(value)));
            Value::Object(said.filter(|(_, value)| !is_default(value)).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_defaults).collect()),
        other => other,
    }
}
