//! The OpenAPI 3.1 documents of both listeners, made from the routes themselves.

use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Content, ContentBuilder, Header, HeaderBuilder, Object, PathItem, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use super::envelope::ErrorBody;
use super::{SharedGateway, ops_routes, public_routes};

/// Where the public document is.
pub(super) const PUBLIC_PATH: &str = "/openapi.json";
/// Where the operators' document is, on their listener.
pub(super) const ADMIN_PATH: &str = "/admin/openapi.json";
/// The page that shows a listener's document.
const PAGE: &str = "/docs";
const BEARER: &str = "bearer";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "presign-gateway",
        description = "Hands out presigned URLs for uploads into an app's own bucket, and keeps a record of every one.\n\n\
            Answers come in one envelope; every `reason` of an error is in docs/errors.md.",
    ),
    components(schemas(ErrorBody)),
    tags((name = "uploads", description = "For apps"), (name = "health", description = "For supervisors"))
)]
struct PublicApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "presign-gateway: operators",
        description = "What operators do while the gateway runs: tenants, buckets, API keys, JWT issuers, sealing keys, audit, \
            every tenant's uploads. \
            With an operator's key only, on a listener that is never exposed.\n\n\
            A change takes effect on every instance within a second. Every reason for an error is in docs/errors.md.",
    ),
    components(schemas(ErrorBody)),
    security(("bearer" = [])),
    tags(
        (name = "tenants", description = "Apps that share the gateway"),
        (name = "buckets", description = "Where a tenant's objects live"),
        (name = "API keys", description = "Of tenants and of operators"),
        (name = "JWT issuers", description = "Whose tokens speak for a tenant"),
        (name = "keyring", description = "What secrets are sealed under"),
        (name = "audit", description = "Who changed what"),
        (name = "uploads", description = "Of all tenants"),
        (name = "sweeper", description = "What looks for uploads whose URL has run out"),
        (name = "health", description = "For supervisors")
    )
)]
struct AdminApi;

/// The document of the public listener.
#[must_use]
pub fn public_document() -> utoipa::openapi::OpenApi {
    document(PublicApi::openapi(), public_routes())
}

/// The document of the operators' listener.
#[must_use]
pub fn admin_document() -> utoipa::openapi::OpenApi {
    document(AdminApi::openapi(), ops_routes())
}

/// A document, and the page that shows it.
pub(super) fn page(path: &'static str, document: utoipa::openapi::OpenApi) -> SwaggerUi {
    SwaggerUi::new(PAGE).url(path, document)
}

fn document(info: utoipa::openapi::OpenApi, routes: OpenApiRouter<SharedGateway>) -> utoipa::openapi::OpenApi {
    let mut document = OpenApiRouter::with_openapi(info).merge(routes).into_openapi();
    let scheme =
        HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key; for apps also a JWT")).build();
    if let Some(components) = document.components.as_mut() {
        components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    }
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let responses = &mut operation.responses.responses;
        for (status, response) in responses.iter_mut() {
            if let RefOr::T(response) = response {
                describe_headers(status, response);
            }
        }
        responses.insert("default".to_owned(), RefOr::T(error_response()));
    }
    document
}

/// A new row has its `Location`, and each row by itself its `ETag`.
fn describe_headers(status: &str, response: &mut Response) {
    let is_row = response.content.values().any(|content| match content {
        RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. }) => {
            ROWS.iter().any(|row| schema.ref_location.ends_with(row))
        }
        _ => false,
    });
    if is_row {
        response.headers.insert("etag".to_owned(), header("For If-Match"));
    }
    if status == "201" {
        response.headers.insert("location".to_owned(), header("Where the new row can be read"));
    }
}

fn header(description: &str) -> RefOr<Header> {
    let text = Object::with_type(Type::String);
    RefOr::T(HeaderBuilder::new().schema(Some(text)).description(Some(description)).build())
}

/// The schemas that hold one row with a revision.
const ROWS: [&str; 6] = [
    "/Answer_Tenant",
    "/Answer_Bucket",
    "/Answer_CredentialRotation",
    "/Answer_ApiKey",
    "/Answer_NewApiKey",
    "/Answer_JwtIssuer",
];

/// Every error has one form: each operation says so.
fn error_response() -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
    ResponseBuilder::new().description("An error").content("application/json", content).build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}
