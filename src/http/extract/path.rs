//! Path parameters. A parameter that is not UTF-8 matches no row, so the response is 404.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::http::error::ApiError;
use crate::http::error::reason::Reason;

use crate::http::SharedGateway;

pub(in crate::http) struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<SharedGateway> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, gateway: &SharedGateway) -> Result<Self, ApiError> {
        let path = axum::extract::Path::from_request_parts(parts, gateway).await;
        path.map(|axum::extract::Path(parts)| Self(parts)).map_err(|_| Reason::NotFound.into())
    }
}
