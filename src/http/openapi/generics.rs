//! Gives the data of generic answers a name in the document. utoipa writes the argument of a generic schema inline, so that
//! generated clients would have each type once by its name and once more in every answer.

use std::collections::BTreeMap;
use std::mem;

use utoipa::openapi::schema::ArrayItems;
use utoipa::openapi::{Ref, RefOr, Schema};

/// The generic schemas, by how the names of their instances begin, and the field that holds the argument. An answer may hold
/// a page, but not the other way round.
const GENERICS: [(&str, &str); 2] = [("Answer_", "data"), ("Page_", "items")];

/// Replaces each inlined argument by a reference to the component of its name, which is added if it is missing.
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

/// Whether the schema is that of a struct, and not a text, a number or a reference.
fn has_fields(schema: &RefOr<Schema>) -> bool {
    match schema {
        RefOr::T(Schema::Object(object)) => !object.properties.is_empty(),
        // A struct that has the fields of another one besides its own.
        RefOr::T(Schema::AllOf(_)) => true,
        _ => false,
    }
}

/// What the field holds; of a list, what each of its items is.
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
