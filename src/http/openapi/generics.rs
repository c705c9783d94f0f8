//! Names the data of generic responses in the OpenAPI documents.
//!
//! utoipa inlines the argument of a generic schema. Generated clients would have each type once by
//! its name, and once more in every response.

use std::collections::BTreeMap;
use std::mem;

use utoipa::openapi::schema::ArrayItems;
use utoipa::openapi::{Ref, RefOr, Schema};

/// The prefix of each generic schema's names, and the field that holds the argument. An answer may
/// hold a page, so it comes first.
const GENERICS: [(&str, &str); 2] = [("Answer_", "data"), ("Page_", "items")];

/// Replaces each inlined argument by a reference to its component, and adds the component if it is
/// missing.
pub(super) fn name_arguments(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    for (prefix, field) in GENERICS {
        let mut named = BTreeMap::new();
        for (name, schema) in schemas.iter_mut() {
            if let Some(argument) = name.strip_prefix(prefix)
                && let Some(value) = argument_of(schema, field)
                && has_fields(value)
            {
                let inlined = mem::replace(value, Ref::from_schema_name(argument).into());
                named.insert(argument.to_owned(), inlined);
            }
        }
        for (name, schema) in named {
            schemas.entry(name).or_insert(schema);
        }
    }
}

/// Whether the schema describes a struct, not a text, a number or a reference.
fn has_fields(schema: &RefOr<Schema>) -> bool {
    match schema {
        RefOr::T(Schema::Object(object)) => !object.properties.is_empty(),
        // A struct that also has the fields of another struct.
        RefOr::T(Schema::AllOf(_)) => true,
        _ => false,
    }
}

/// Returns the schema of the field; for a list, the schema of its items.
fn argument_of<'a>(schema: &'a mut RefOr<Schema>, field: &str) -> Option<&'a mut RefOr<Schema>> {
    let RefOr::T(Schema::Object(object)) = schema else { return None };
    match object.properties.get_mut(field)? {
        RefOr::T(Schema::Array(list)) => match &mut list.items {
            ArrayItems::RefOrSchema(items) => Some(items),
            ArrayItems::False => None,
        },
        value => Some(value),
    }
}
