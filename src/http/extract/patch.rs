//! Fields of a `PATCH` (RFC 7396): absent, a value, or `null`, which removes an optional value.

use serde::{Deserialize, Deserializer};

/// Declares the body of a `PATCH` whose fields are optional but never `null`.
macro_rules! patch {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(serde::Deserialize, utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(in crate::http) struct $name {$(
            $(#[$field_meta])*
            #[schema(nullable = false)]
            #[serde(default, deserialize_with = "crate::http::extract::patch::not_null")]
            $field: Option<$type>,
        )*}
    };
}
pub(in crate::http) use patch;

/// For `#[serde(default, deserialize_with = "not_null")]`: a field that is optional but never
/// `null`.
pub(in crate::http) fn not_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
