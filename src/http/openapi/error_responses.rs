//! Error responses in the OpenAPI documents: every status that an operation can return.
//!
//! Some follow from what the operation accepts, the others are listed here. A missing status is a
//! bug, which `tests/schemathesis/run` finds.

use axum::http::{Method, StatusCode};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::headers;

/// One kind of refusal: its status, its name in the document, what it means.
type Refusal = (StatusCode, &'static str, &'static str);

const REFUSALS: [Refusal; 14] = [
    (StatusCode::BAD_REQUEST, "BadRequest", "The request is invalid; `field` names the wrong field"),
    (StatusCode::UNAUTHORIZED, "Unauthenticated", "No valid credential"),
    (StatusCode::FORBIDDEN, "Forbidden", "The credential does not permit this"),
    (StatusCode::NOT_FOUND, "NotFound", "Not found, or not the caller's"),
    (StatusCode::CONFLICT, "Conflict", "Not possible in the current state"),
    (StatusCode::PRECONDITION_FAILED, "RevisionConflict", "The resource has changed since it was read"),
    (StatusCode::PAYLOAD_TOO_LARGE, "BodyTooLarge", "The body is too large"),
    (StatusCode::URI_TOO_LONG, "QueryTooLong", "The query is too long"),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", "The body is not JSON"),
    (StatusCode::UNPROCESSABLE_ENTITY, "CredentialFailed", "The bucket's credential failed its test"),
    (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "Over a limit"),
    (StatusCode::INTERNAL_SERVER_ERROR, "Internal", "An internal error; the log has its cause"),
    (StatusCode::BAD_GATEWAY, "BucketFailed", "The bucket's store rejected the request, or its response is invalid"),
    (StatusCode::SERVICE_UNAVAILABLE, "Unavailable", "Temporarily unavailable: try again"),
];

/// What ends in 409, though it is a GET; or does not, though it is none.
const READS_THAT_CONFLICT: [&str; 2] = ["renew_upload_url", "download_upload"];
const NEVER_IN_CONFLICT: [&str; 4] = ["examine_bucket", "test_jwt_issuer", "set_bucket_cors", "rotate_sealing_key"];
/// What asks a bucket's store, and hands on that it failed.
const OF_BUCKETS: [&str; 5] =
    ["complete_upload", "delete_upload", "get_bucket_cors", "set_bucket_cors", "rotate_credential"];

/// Each refusal once, for operations to refer to; `limited` where callers have a limit.
pub(super) fn responses(limited: bool) -> impl Iterator<Item = (String, RefOr<Response>)> {
    REFUSALS.into_iter().map(move |(status, name, meaning)| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
        let mut response = ResponseBuilder::new().description(meaning).content("application/json", content).build();
        headers::describe(status.as_str(), limited, &mut response);
        (name.to_owned(), RefOr::T(response))
    })
}

/// Adds to an operation what it may refuse with; `guarded` where it wants a credential.
pub(super) fn describe(method: &Method, guarded: bool, operation: &mut Operation) {
    for (status, name, _) in REFUSALS {
        let responses = &mut operation.responses.responses;
        if !responses.contains_key(status.as_str()) && refuses(status, method, guarded, operation) {
            let refusal = RefOr::Ref(Ref::from_response_name(name));
            operation.responses.responses.insert(status.as_str().to_owned(), refusal);
        }
    }
}

/// The names of the refusals that an operation refers to.
pub(super) fn names(operation: &Operation) -> impl Iterator<Item = String> {
    operation.responses.responses.values().filter_map(|response| match response {
        RefOr::Ref(refusal) => refusal.ref_location.rsplit('/').next().map(str::to_owned),
        RefOr::T(_) => None,
    })
}

fn refuses(status: StatusCode, method: &Method, guarded: bool, operation: &Operation) -> bool {
    let id = operation.operation_id.as_deref().unwrap_or_default();
    let has_body = operation.request_body.is_some();
    let takes = |test: &dyn Fn(&Parameter) -> bool| parameters(operation).any(test);
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => guarded,
        StatusCode::NOT_FOUND => {
            let names_a_row =
                takes(&|parameter| parameter.parameter_in == ParameterIn::Path || parameter.name == "tenant");
            names_a_row || id == "create_api_key"
        }
        StatusCode::CONFLICT => {
            let changes = method != Method::GET && !NEVER_IN_CONFLICT.contains(&id);
            changes || READS_THAT_CONFLICT.contains(&id)
        }
        StatusCode::PRECONDITION_FAILED => takes(&|parameter| parameter.name == "if-match"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => has_body,
        StatusCode::UNPROCESSABLE_ENTITY => id == "rotate_credential",
        StatusCode::BAD_GATEWAY => OF_BUCKETS.contains(&id),
        // The guard's, which is before every route.
        _ => true,
    }
}

fn parameters(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}
