//! What queries and bodies are read with, without a connection, a caller or a database: what handlers call, for whoever feeds them
//! nonsense (`tests/fuzz`).

use crate::domain::search::Search;
use crate::domain::upload::UploadRequest;
use crate::http::error::ApiError;

use crate::http::extract::json::read_body;
use crate::http::search::SearchQuery;
use crate::http::{oss, v1};

/// The query of `GET /oss/presign`.
///
/// # Errors
/// As the route answers.
pub fn presign(query: &str) -> Result<UploadRequest, ApiError> {
    oss::parse(query).map(UploadRequest::bare)
}

/// The query of `GET /v1/uploads`.
///
/// # Errors
/// As the route answers.
pub fn list(query: &str) -> Result<Search, ApiError> {
    SearchQuery::<v1::UploadQuery>::read(query)?.search()
}

/// The body of `POST /v1/uploads`.
///
/// # Errors
/// As the route answers.
pub fn upload(body: &[u8]) -> Result<UploadRequest, ApiError> {
    read_body::<v1::UploadCreate>(body)?.parse()
}

/// The body of `POST /v1/uploads/batch`: how each item is read.
///
/// # Errors
/// As the route answers, where it refuses the whole.
pub fn batch(body: &[u8]) -> Result<Vec<Result<UploadRequest, ApiError>>, ApiError> {
    read_body::<v1::BatchCreate>(body).map(|batch| batch.read())
}
