//! Header fields of responses in the OpenAPI documents, except those of every HTTP message.

use utoipa::openapi::schema::Type;
use utoipa::openapi::{Content, Header, HeaderBuilder, Object, RefOr, Response};

/// The schemas that hold one row with a revision.
const ROWS: [&str; 6] = [
    "/Answer_Tenant",
    "/Answer_Bucket",
    "/Answer_CredentialRotation",
    "/Answer_ApiKey",
    "/Answer_NewApiKey",
    "/Answer_JwtIssuer",
];

/// Tells of an answer; `limited` where callers have a limit.
pub(super) fn describe(status: &str, limited: bool, response: &mut Response) {
    add(response, "x-request-id", "As in the log; the client's own if it sent one");
    // Before a caller is known, there is none to tell of.
    if limited && !["401", "500"].contains(&status) {
        add(response, "ratelimit-policy", "The app's limit: `q` requests in `w` seconds");
        add(response, "ratelimit", "The remaining quota: `r` requests, full again in `t` seconds");
    }
    match status {
        "201" => add(response, "location", "The URL of the new resource"),
        "401" => add(response, "www-authenticate", "`Bearer`"),
        "429" | "503" => add(response, "retry-after", "How many seconds to wait"),
        _ => {}
    }
    let is_row = response.content.values().any(|content| match content {
        RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. }) => {
            ROWS.iter().any(|row| schema.ref_location.ends_with(row))
        }
        _ => false,
    });
    if is_row {
        add(response, "etag", "For If-Match");
    }
    if response.content.contains_key("text/csv") {
        add(response, "content-disposition", "The file's name");
        add(response, "x-accel-buffering", "`no`: a proxy must not buffer the response");
    }
}

fn add(response: &mut Response, name: &str, description: &str) {
    let text = Object::with_type(Type::String);
    let header: Header = HeaderBuilder::new().schema(Some(text)).description(Some(description)).build();
    response.headers.insert(name.to_owned(), RefOr::T(header));
}
