//! Entry points for fuzzers (`tests/fuzz`): the readers of queries and bodies, without a
//! connection, caller or database.

use crate::domain::search::Search;
use crate::domain::upload::UploadRequest;
use crate::http::error::ApiError;

use crate::http::extract::json::read_body;
use crate::http::search::SearchQuery;
use crate::http::{oss, v1};

/// The query of `GET /oss/presign`.
///
/// # Errors
/// The errors of the route.
pub fn presign(query: &str) -> Result<UploadRequest, ApiError> {
    oss::parse(query).map(UploadRequest::bare)
}

/// The query of `GET /v1/uploads`.
///
/// # Errors
/// The errors of the route.
pub fn list(query: &str) -> Result<Search, ApiError> {
    SearchQuery::<v1::UploadQuery>::read(query)?.search()
}

/// The body of `POST /v1/uploads`.
///
/// # Errors
/// The errors of the route.
pub fn upload(body: &[u8]) -> Result<UploadRequest, ApiError> {
    read_body::<v1::UploadCreate>(body)?.parse()
}

/// The body of `POST /v1/uploads/batch`, as each item is read.
///
/// # Errors
/// The errors of the route that reject the whole batch.
pub fn batch(body: &[u8]) -> Result<Vec<Result<UploadRequest, ApiError>>, ApiError> {
    read_body::<v1::BatchCreate>(body).map(|batch| batch.read())
}
