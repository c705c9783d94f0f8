//! Constraints in the OpenAPI documents: allowed words, patterns and bounds of fields and
//! parameters.
//!
//! A schema cannot express rules between fields; the descriptions do.

use std::collections::BTreeMap;
use std::mem;

use utoipa::Number;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder, ArrayItems, SchemaType, Type};
use utoipa::openapi::{KnownFormat, Object, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, SchemaFormat};

use crate::domain::binding::{Binding, Metadata};
use crate::domain::bucket::{Addressing, Provider};
use crate::domain::caller::Scope;
use crate::domain::cors::CorsRule;
use crate::domain::disposition::DispositionKind;
use crate::domain::extension::Extension;
use crate::domain::jwt_issuer::JwtAlgorithm;
use crate::domain::page::MAX_LIMIT;
use crate::domain::search::Order;
use crate::domain::tenant::{Expiry, MAX_SIZE_BYTES, TenantStatus};
use crate::domain::upload::{UploadKind, UploadState};
use crate::domain::usage::UsageBy;
use crate::uploads::export::ExportFormat;

/// Components that several fields and parameters refer to, such as sets of words.
pub(super) type Shared = BTreeMap<&'static str, Schema>;

/// What a value is.
enum Form {
    /// One word of a set, or a list of some of them.
    Words(WordSet),
    /// Text like this.
    Like(&'static str),
    Whole(u64, u64),
    Seconds,
    /// A time, or a day.
    Moment,
}

/// The words of a set, under the name of its component.
type WordSet = (&'static str, Vec<&'static str>);

const ALIAS: &str = "^[a-z0-9-]{1,63}$";
const SLUG: &str = "^[a-z0-9-]{2,63}$";
/// Text on one line: no control characters, which no query may hold, nor any name.
const LINE: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";
const NAME: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";
/// `x-amz-checksum-sha256`, or what `sha256sum` says.
const SHA256: &str = "^([0-9A-Fa-f]{64}|[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)$";
/// Lists that may be left out, but not be empty.
const NEVER_EMPTY: [&str; 3] = ["scopes", "allowed_extensions", "origins"];
const MAX_PIXELS: u64 = 2_147_483_647;
const MAX_BYTES: u64 = 9_223_372_036_854_775_807;

/// Tells of a parameter of the operation at `path`.
pub(super) fn describe_parameter(path: &str, parameter: &mut Parameter, shared: &mut Shared) {
    let Some(schema) = &mut parameter.schema else { return };
    if let RefOr::T(Schema::Object(object)) = schema {
        // It is there, or it is not.
        if let SchemaType::Array(types) = &object.schema_type
            && let Some(one) = types.iter().find(|one| **one != Type::Null)
        {
            object.schema_type = SchemaType::Type(one.clone());
        }
        let is_text = object.schema_type == SchemaType::Type(Type::String) && object.format.is_none();
        if is_text && parameter.parameter_in == ParameterIn::Query {
            object.pattern = Some(LINE.to_owned());
        }
    }
    if let Some(form) = form(path, &parameter.name) {
        constrain(schema, form, shared);
    }
}

/// Whether nothing at all is as good as nothing in particular.
pub(super) fn may_be_left_out(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(body)) if body.required.is_empty())
}

/// Tells of the fields of a body.
pub(super) fn describe_body(name: &str, schema: &mut RefOr<Schema>, shared: &mut Shared) {
    let RefOr::T(Schema::Object(body)) = schema else { return };
    for (field, schema) in &mut body.properties {
        if let Some(form) = form(name, field) {
            constrain(schema, form, shared);
        }
        if let RefOr::T(Schema::Array(list)) = schema
            && NEVER_EMPTY.contains(&field.as_str())
        {
            list.min_items = Some(1);
            list.max_items = list.max_items.or((field == "origins").then_some(CorsRule::MAX_ORIGINS));
        }
    }
}

/// `place` is the path of an operation, or the name of a body.
fn form(place: &str, name: &str) -> Option<Form> {
    words(place, name).map(Form::Words).or_else(|| text(place, name).map(Form::Like)).or_else(|| number(name))
}

fn words(place: &str, name: &str) -> Option<WordSet> {
    let media_types = || {
        let mut media_types: Vec<_> = Extension::ALL.iter().map(|ext| ext.content_type()).collect();
        media_types.dedup();
        media_types
    };
    Some(match (place, name) {
        (_, "ext" | "allowed_extensions") => ("Extension", Extension::ALL.iter().map(|ext| ext.as_str()).collect()),
        (_, "type") => ("UploadType", UploadKind::ALL.map(UploadKind::as_str).to_vec()),
        (_, "state") => ("UploadState", UploadState::ALL.map(UploadState::as_str).to_vec()),
        (_, "order") => ("Order", [Order::Newest, Order::Oldest].map(Order::as_str).to_vec()),
        (_, "format") => ("ExportFormat", ExportFormat::ALL.map(ExportFormat::as_str).to_vec()),
        ("/v1/usage", "by") => ("UsageBy", UsageBy::OF_TENANT.map(UsageBy::as_str).to_vec()),
        (_, "by") => ("UsageBy", UsageBy::ALL.map(UsageBy::as_str).to_vec()),
        (_, "disposition") => {
            let kinds = [DispositionKind::Inline, DispositionKind::Attachment];
            ("Disposition", kinds.map(DispositionKind::as_str).to_vec())
        }
        ("UploadCreate", "content_type") => ("MediaType", media_types()),
        (_, "content_type") => ("DownloadMediaType", [media_types(), vec!["application/octet-stream"]].concat()),
        (_, "status") => {
            let all = [TenantStatus::Active, TenantStatus::Suspended, TenantStatus::Archived];
            ("TenantStatus", all.map(TenantStatus::as_str).to_vec())
        }
        (_, "algorithm") => ("JwtAlgorithm", JwtAlgorithm::ALL.map(JwtAlgorithm::as_str).to_vec()),
        (_, "addressing") => {
            ("Addressing", [Addressing::Path, Addressing::VirtualHosted].map(Addressing::as_str).to_vec())
        }
        (_, "provider") => {
            ("Provider", [Provider::R2, Provider::Aws, Provider::Generic].map(Provider::as_str).to_vec())
        }
        (_, "scopes") => ("Scope", Scope::ALL.map(Scope::as_str).to_vec()),
        (_, "required_bindings") => ("Binding", Binding::ALL.map(Binding::as_str).to_vec()),
        (_, "enforced_bindings") => ("OptionalBinding", Binding::OPTIONAL.map(Binding::as_str).to_vec()),
        _ => return None,
    })
}

fn text(place: &str, name: &str) -> Option<&'static str> {
    Some(match (place, name) {
        ("BucketAdd" | "BucketPatch", "bucket") => "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        (_, "alias" | "bucket") => ALIAS,
        (_, "tenant") => SLUG,
        (_, "label" | "name") => NAME,
        (_, "region") => "^[a-z0-9-]{1,32}$",
        (_, "access_key_id") => "^[!-.0-~]{1,256}$",
        (_, "secret_access_key") => "^[!-~]{1,256}$",
        (_, "session_token") => "^[!-~]{1,4096}$",
        (_, "issuer" | "audience") => r"^[^\x00-\x1f\x7f-\x9f]{1,500}$",
        (_, "scopes_claim") => r"^[^\x00-\x1f\x7f-\x9f]{1,100}$",
        (_, "object_key_prefix") => "^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$",
        (_, "sha256") => SHA256,
        (_, "public_id" | "api_key") => "^[A-Za-z0-9]{1,64}$",
        (_, "cursor") => "^[A-Za-z0-9_-]+$",
        (_, "key") => r"^[^\x00-\x1f\x7f-\x9f]{1,1024}$",
        (_, "filename") => r"^[^\x00-\x1f\x7f-\x9f]{1,255}$",
        (place, "subject") if place.contains("uploads") => r"^[^\x00-\x1f\x7f-\x9f]{1,255}$",
        (_, "idempotency-key") => "^[!-~]([ -~]{0,253}[!-~])?$",
        (_, "if-match") => r#"^(\*|"[0-9]{1,9}")$"#,
        _ => return None,
    })
}

fn number(name: &str) -> Option<Form> {
    Some(match name {
        "limit" => Form::Whole(1, MAX_LIMIT.into()),
        "min_width" | "max_width" | "min_height" | "max_height" => Form::Whole(1, MAX_PIXELS),
        "min_duration" | "max_duration" => Form::Seconds,
        "min_size" | "max_size" => Form::Whole(0, MAX_BYTES),
        "max_size_bytes" => Form::Whole(1, MAX_SIZE_BYTES),
        "default_expiry_seconds" | "longest_expiry_seconds" | "expires_in" => {
            Form::Whole(1, Expiry::MAX_SECONDS.into())
        }
        "leeway_seconds" => Form::Whole(0, 300),
        "from" | "to" => Form::Moment,
        _ => return None,
    })
}

fn constrain(schema: &mut RefOr<Schema>, form: Form, shared: &mut Shared) {
    match schema {
        RefOr::T(Schema::Object(object)) => {
            if let Some(replacement) = constrain_object(object, form, shared) {
                *schema = replacement;
            }
        }
        RefOr::T(Schema::Array(array)) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                constrain(items, form, shared);
            }
        }
        _ => {}
    }
}

/// Narrows the schema of a value, or returns its replacement.
fn constrain_object(object: &mut Object, form: Form, shared: &mut Shared) -> Option<RefOr<Schema>> {
    match form {
        Form::Words((name, words)) => {
            let set = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
            shared.insert(name, set.into());
            return Some(reference(name, object));
        }
        Form::Like(pattern) => object.pattern = Some(pattern.to_owned()),
        Form::Whole(min, max) => {
            object.minimum = Some(bound(min));
            object.maximum = Some(bound(max));
        }
        Form::Seconds => {
            object.minimum = Some(Number::UInt(0));
            object.maximum = Some(Number::UInt(1_000_000_000));
        }
        // The operators' audit takes whole times only, and says so itself.
        Form::Moment if object.format.is_none() => {
            let one =
                |format| ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format)));
            let both = AnyOfBuilder::new().item(one(KnownFormat::DateTime)).item(one(KnownFormat::Date));
            return Some(RefOr::T(both.description(object.description.take()).into()));
        }
        Form::Moment => {}
    }
    None
}

/// Returns a reference to the component `name`, with the description of the value.
fn reference(name: &str, value: &mut Object) -> RefOr<Schema> {
    let mut reference = Ref::from_schema_name(name);
    let is_nullable = matches!(&value.schema_type, SchemaType::Array(types) if types.contains(&Type::Null));
    if is_nullable {
        let null = ObjectBuilder::new().schema_type(Type::Null);
        let either = OneOfBuilder::new().item(null).item(reference);
        return either.description(value.description.take()).examples(value.example.take()).into();
    }
    reference.description = mem::take(&mut value.description).unwrap_or_default();
    reference.default = value.default.take();
    reference.into()
}

/// Makes `metadata` one component for requests and answers.
pub(super) fn share_metadata(schemas: &mut BTreeMap<String, RefOr<Schema>>, shared: &mut Shared) {
    for name in ["Upload", "UploadCreate"] {
        let Some(RefOr::T(Schema::Object(object))) = schemas.get_mut(name) else { continue };
        if let Some(metadata) = object.properties.get_mut("metadata")
            && let RefOr::T(Schema::Object(map)) = metadata
        {
            *metadata = reference("Metadata", map);
            shared.insert("Metadata", self::metadata());
        }
    }
}

fn metadata() -> Schema {
    let name = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[a-z0-9_-]{1,64}$"));
    let value = ObjectBuilder::new().schema_type(Type::String).pattern(Some(LINE));
    let value = value.max_length(Some(Metadata::MAX_VALUE)).build();
    let mut map = Object::with_type(Type::Object);
    map.max_properties = Some(Metadata::MAX_PAIRS);
    map.property_names = Some(Box::new(name.into()));
    map.additional_properties = Some(Box::new(AdditionalProperties::RefOr(RefOr::T(value.into()))));
    map.example = Some(serde_json::json!({"album": "summer"}));
    map.into()
}

fn bound(value: u64) -> Number {
    Number::UInt(usize::try_from(value).unwrap_or(usize::MAX))
}
