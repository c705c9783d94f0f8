//! Queries that search uploads: one set of filters for every route that has them, next to the
//! route's own fields.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{KnownFormat, ObjectBuilder, Required, SchemaFormat};

use crate::domain::search::{Order, UploadFilter};
use crate::http::error::ApiError;
use crate::http::error::reason::Reason;

use super::state::SharedGateway;
use crate::http::extract::json::{pairs, read_query, unknown_field};

/// A query of the filters, the order, and the route's own fields `T`, which rejects all other fields.
pub(super) struct SearchQuery<T> {
    pub own: T,
    pub filter: UploadFilter,
    pub order: Order,
}

impl<T: DeserializeOwned + IntoParams> SearchQuery<T> {
    /// Reads a query.
    ///
    /// # Errors
    /// Names a field that is unknown, repeated or invalid.
    pub fn read(text: &str) -> Result<Self, ApiError> {
        let pairs = pairs(text)?;
        let mut own = form_urlencoded::Serializer::new(String::new());
        own.extend_pairs(pairs.iter().filter(|(name, _)| !UploadFilter::NAMES.contains(&&**name) && name != ORDER));
        let own = read_query(&own.finish()).map_err(|error| with_all_known::<T>(error))?;
        let text_of = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, text)| &**text);
        Ok(Self { own, filter: UploadFilter::parse(text_of)?, order: Order::parse(text_of(ORDER))? })
    }
}

/// Adds the filters to the known fields of an error that lists only the route's own.
fn with_all_known<T: IntoParams>(error: ApiError) -> ApiError {
    match &error.field {
        Some(name) if error.reason == Reason::UnknownField => {
            let known: Vec<_> = SearchQuery::<T>::into_params(|| None).into_iter().map(|known| known.name).collect();
            unknown_field(name, &known.join(", "))
        }
        _ => error,
    }
}

impl<T: DeserializeOwned + IntoParams> FromRequestParts<SharedGateway> for SearchQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &SharedGateway) -> Result<Self, ApiError> {
        Self::read(parts.uri.query().unwrap_or_default())
    }
}

const ORDER: &str = "order";

/// A JSON type, and its format.
type Form = (Type, Option<KnownFormat>);

const TEXT: Form = (Type::String, None);
const PIXELS: Form = (Type::Integer, Some(KnownFormat::Int32));
const SECONDS: Form = (Type::Number, Some(KnownFormat::Double));
const BYTES: Form = (Type::Integer, Some(KnownFormat::Int64));

/// How the OpenAPI documents describe the filters and the order; `openapi::values` adds which values are valid.
const PARAMETERS: [(&str, Form, &str); 18] = [
    (
        "from",
        TEXT,
        "Issued at or after this time: `2026-11-22T18:00:00Z`, or a day; to the millisecond. Set it if you can: months\n\
         before it are not read.",
    ),
    ("to", TEXT, "Issued before this time."),
    ("type", TEXT, "`thumb`, `origin` or `video`."),
    ("ext", TEXT, "An extension, such as `jpg`."),
    ("state", TEXT, "`issued`, `uploaded`, `mismatched`, `expired` or `deleted`."),
    ("key", TEXT, "A whole object key or a prefix. A folder that ends with a UUID needs its slash."),
    ("subject", TEXT, "The `sub` of the JWT that requested it."),
    ("api_key", TEXT, "The public id of the API key that requested it."),
    ("bucket", TEXT, "The alias of its bucket."),
    ("min_width", PIXELS, "Pixels, 1 to 2147483647."),
    ("max_width", PIXELS, "Pixels, 1 to 2147483647."),
    ("min_height", PIXELS, "Pixels, 1 to 2147483647."),
    ("max_height", PIXELS, "Pixels, 1 to 2147483647."),
    ("min_duration", SECONDS, "Seconds, 0 to 1000000000."),
    ("max_duration", SECONDS, "Seconds, 0 to 1000000000."),
    ("min_size", BYTES, "Bytes: the size found in the bucket, or else the declared size."),
    ("max_size", BYTES, "Bytes: the size found in the bucket, or else the declared size."),
    (ORDER, TEXT, "`newest` first (default), or `oldest` first."),
];

impl<T: IntoParams> IntoParams for SearchQuery<T> {
    /// The route's own parameters, then the filters and the order.
    fn into_params(parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        T::into_params(parameter_in).into_iter().chain(PARAMETERS.into_iter().map(parameter)).collect()
    }
}

fn parameter((name, (kind, format), description): (&str, Form, &str)) -> Parameter {
    let schema = ObjectBuilder::new().schema_type(kind).format(format.map(SchemaFormat::KnownFormat));
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .example((name == "from").then(|| "2026-11-01".into()))
        .build()
}
