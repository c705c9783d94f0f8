//! The OpenAPI 3.1 documents of both listeners, generated from the routes.

use std::collections::BTreeSet;

use axum::http::Method;
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{PathItem, RefOr, Required, Schema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use super::envelope::ErrorBody;
use super::state::SharedGateway;
use super::{ops_routes, public_routes};

mod constraints;
mod error_responses;
mod generics;
mod headers;

/// The path of the public document.
pub(super) const PUBLIC_PATH: &str = "/openapi.json";
/// The path of the operators' document, on their listener.
pub(super) const ADMIN_PATH: &str = "/admin/openapi.json";
/// The page that shows a listener's document.
const PAGE: &str = "/docs";
const BEARER: &str = "bearer";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "presign-gateway",
        description = "Issues presigned URLs for uploads to an app's own bucket, and records each one.\n\n\
            Every response has the same envelope; docs/errors.md lists every `reason` of an error.",
    ),
    servers((url = "/", description = "The listener that serves this document")),
    components(schemas(ErrorBody)),
    tags((name = "uploads", description = "For apps"), (name = "health", description = "For monitoring"))
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
    servers((url = "/", description = "The listener that serves this document")),
    components(schemas(ErrorBody)),
    security(("bearer" = [])),
    tags(
        (name = "tenants", description = "Apps that share the gateway"),
        (name = "buckets", description = "Where a tenant's objects live"),
        (name = "API keys", description = "Of tenants and of operators"),
        (name = "JWT issuers", description = "Whose tokens authenticate a tenant's callers"),
        (name = "keyring", description = "The keys that seal stored secrets"),
        (name = "audit", description = "Who changed what"),
        (name = "uploads", description = "Of all tenants"),
        (name = "sweeper", description = "Checks uploads whose URL has expired"),
        (name = "health", description = "For monitoring")
    )
)]
struct AdminApi;

/// The document of the public listener.
#[must_use]
pub fn public_document() -> utoipa::openapi::OpenApi {
    document(PublicApi::openapi(), public_routes(), true)
}

/// The document of the operators' listener.
#[must_use]
pub fn admin_document() -> utoipa::openapi::OpenApi {
    document(AdminApi::openapi(), ops_routes(), false)
}

/// A document and the page that shows it.
pub(super) fn page(path: &'static str, document: utoipa::openapi::OpenApi) -> SwaggerUi {
    SwaggerUi::new(PAGE).url(path, document)
}

fn document(
    info: utoipa::openapi::OpenApi,
    routes: OpenApiRouter<SharedGateway>,
    limited: bool,
) -> utoipa::openapi::OpenApi {
    let mut document = OpenApiRouter::with_openapi(info).merge(routes).into_openapi();
    let always_guarded = document.security.is_some();
    let optional: BTreeSet<String> = document
        .components
        .iter()
        .flat_map(|components| &components.schemas)
        .filter(|(_, schema)| constraints::may_be_left_out(schema))
        .map(|(name, _)| name.clone())
        .collect();
    let (mut bodies, mut shared) = (BTreeSet::new(), constraints::Shared::new());
    let mut refused = BTreeSet::new();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            let guarded = match &operation.security {
                Some(schemes) => schemes.iter().any(|scheme| *scheme != SecurityRequirement::default()),
                None => always_guarded,
            };
            describe(path, &method, guarded, limited && guarded, operation, &mut shared);
            refused.extend(error_responses::names(operation));
            bodies.extend(operation.request_body.iter_mut().filter_map(|content| body(content, &optional)));
        }
    }
    let scheme =
        HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key; for apps also a JWT")).build();
    if let Some(components) = document.components.as_mut() {
        components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
        components.responses.extend(error_responses::responses(limited).filter(|(name, _)| refused.contains(name)));
        // A batch's items are told of by themselves.
        bodies.insert("UploadCreate".to_owned());
        for (name, schema) in components.schemas.iter_mut().filter(|(name, _)| bodies.contains(*name)) {
            constraints::describe_body(name, schema, &mut shared);
        }
        generics::name_arguments(&mut components.schemas);
        constraints::share_metadata(&mut components.schemas, &mut shared);
        components.schemas.extend(shared.into_iter().map(|(name, schema)| (name.to_owned(), RefOr::T(schema))));
    }
    document
}

fn describe(
    path: &str,
    method: &Method,
    guarded: bool,
    limited: bool,
    operation: &mut Operation,
    shared: &mut constraints::Shared,
) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            constraints::describe_parameter(path, parameter, shared);
        }
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            headers::describe(status, limited, response);
        }
    }
    error_responses::describe(method, guarded, operation);
}

/// The schema's name of a body's data. An optional body is not `null`.
fn body(body: &mut RefOr<RequestBody>, optional: &BTreeSet<String>) -> Option<String> {
    let RefOr::T(body) = body else { return None };
    let RefOr::T(content) = body.content.get_mut("application/json")? else { return None };
    let schema = content.schema.as_mut()?;
    if let RefOr::T(Schema::OneOf(alternatives)) = schema {
        let only = alternatives.items.iter().find(|alternative| matches!(alternative, RefOr::Ref(_)));
        *schema = only?.clone();
    }
    let RefOr::Ref(schema) = schema else { return None };
    let name = schema.ref_location.rsplit('/').next()?.to_owned();
    body.required = (!optional.contains(&name)).then_some(Required::True);
    Some(name)
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let named = [
        (Method::GET, get),
        (Method::PUT, put),
        (Method::POST, post),
        (Method::DELETE, delete),
        (Method::PATCH, patch),
    ];
    named.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}
