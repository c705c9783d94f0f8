//! Documents in `docs/` that are generated from the code. `PRESIGN_UPDATE_DOCS=1 cargo test docs`
//! writes them.

use std::fmt::Write;
use std::path::Path;

use presign_gateway::http::error::reason::{Language, Reason};
use presign_gateway::http::openapi;
use serde_json::Value;

use crate::support::stack::TestStack;

/// The document in `docs/` must be this text, or becomes it when that is asked for.
pub fn assert_fresh(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("PRESIGN_UPDATE_DOCS").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == text, "docs/{name} is old: run PRESIGN_UPDATE_DOCS=1 cargo test docs");
}

fn json(document: &utoipa::openapi::OpenApi) -> String {
    document.to_pretty_json().unwrap() + "\n"
}

#[test]
fn the_openapi_documents_are_fresh() {
    assert_fresh("openapi.json", &json(&openapi::public_document()));
    assert_fresh("admin-openapi.json", &json(&openapi::admin_document()));
}

#[test]
fn the_table_of_errors_is_fresh() {
    let mut text = "# Errors\n\nEvery `reason` that an answer can have. Made from `src/http/error/reason.rs`; `{}` stands for what was wrong in particular.\n\n\
        | status | reason | English | 中文 |\n|---|---|---|---|\n"
        .to_owned();
    let mut reasons = Reason::ALL.to_vec();
    reasons.sort_by_key(|reason| (reason.status().as_u16(), reason.as_str()));
    for reason in reasons {
        let (english, chinese) = (reason.text(Language::English), reason.text(Language::Chinese));
        let (status, word) = (reason.status().as_u16(), reason.as_str());
        writeln!(text, "| {status} | `{word}` | {english} | {chinese} |").unwrap();
    }
    assert_fresh("errors.md", &text);
}

#[tokio::test]
async fn each_listener_serves_its_document_and_the_page_that_shows_it() {
    let stack = TestStack::start().await;
    let get = async |url: String| {
        let answer = stack.client.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for (base, path, document) in [
        (&stack.url, "/openapi.json", openapi::public_document()),
        (&stack.ops_url, "/admin/openapi.json", openapi::admin_document()),
    ] {
        let (status, served) = get(format!("{base}{path}")).await;
        assert_eq!(status, 200);
        let served: Value = serde_json::from_str(&served).unwrap();
        assert_eq!(served, serde_json::to_value(&document).unwrap());
        assert!(served["openapi"].as_str().unwrap().starts_with("3.1"));
        let (status, page) = get(format!("{base}/docs/")).await;
        assert_eq!(status, 200);
        assert!(page.contains("swagger"), "{page}");
        assert!(!page.contains("//cdn") && !page.contains("//unpkg"), "the page brings all that it needs");
        let (status, initializer) = get(format!("{base}/docs/swagger-initializer.js")).await;
        assert!(status == 200 && initializer.contains(path), "{initializer}");
    }
    assert_eq!(
        get(format!("{}/admin/openapi.json", stack.url)).await.0,
        404,
        "operators' routes are not told in public"
    );
}

#[test]
fn every_operation_is_described_whole() {
    for document in [openapi::public_document(), openapi::admin_document()] {
        let document = serde_json::to_value(&document).unwrap();
        let items = document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
        });
        let mut seen = std::collections::HashSet::new();
        for (name, operation) in items {
            assert!(seen.insert(operation["operationId"].to_string()), "{name}: its id is there twice");
            for text in ["summary", "description"] {
                assert!(operation[text].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {text}");
            }
            assert!(operation["responses"]["500"].is_object(), "{name} does not say what errors look like");
            assert!(operation["responses"]["default"].is_null(), "{name} allows itself any status");
            if name.starts_with("patch") || name.starts_with("put") {
                assert!(operation["requestBody"].is_object(), "{name} does not say what it takes");
                assert!(
                    operation["responses"]["200"]["headers"]["etag"].is_object() || name.contains("cors"),
                    "{name} has no ETag"
                );
            }
            if operation["responses"]["201"].is_object() {
                assert!(operation["requestBody"].is_object(), "{name} does not say what it takes");
                assert!(operation["responses"]["201"]["headers"]["location"].is_object(), "{name}");
            }
            let guarded = !document["security"].is_null() || operation["security"].is_array();
            assert!(guarded, "{name} does not say who may");
        }
        for reference in references(&document) {
            let place = reference.trim_start_matches('#');
            assert!(document.pointer(place).is_some_and(Value::is_object), "{reference} leads nowhere");
        }
    }
}

#[test]
fn no_object_or_enum_is_inline() {
    for document in [openapi::public_document(), openapi::admin_document()] {
        let document = serde_json::to_value(&document).unwrap();
        let components = document["components"]["schemas"].as_object().unwrap();
        let fields = components
            .iter()
            .flat_map(|(name, component)| parts(component).into_iter().map(move |part| (name.as_str(), part)));
        let used = schemas(&document["paths"]).into_iter().chain(schemas(&document["components"]["responses"]));
        for (place, schema) in fields.chain(used.map(|schema| ("an operation", schema))) {
            let mut below = vec![schema];
            while let Some(schema) = below.pop() {
                let has_name = schema["properties"].is_null() && schema["enum"].is_null();
                assert!(has_name, "generated clients have this twice, or under a made-up name: {place} has {schema}");
                below.extend(parts(schema));
            }
        }
    }
}

#[test]
fn every_component_is_referred_to() {
    for document in [openapi::public_document(), openapi::admin_document()] {
        let document = serde_json::to_value(&document).unwrap();
        let references = references(&document);
        for kind in ["schemas", "responses"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                assert!(references.contains(&format!("#/components/{kind}/{name}")), "nothing refers to {name}");
            }
        }
    }
}

/// The schemas of a schema's fields, items and alternatives; an `allOf` has the fields of its parts.
fn parts(schema: &Value) -> Vec<&Value> {
    let fields = schema["properties"].as_object().into_iter().flat_map(|fields| fields.values());
    let alternatives = ["oneOf", "anyOf"].into_iter().filter_map(|name| schema[name].as_array()).flatten();
    let others = ["items", "additionalProperties"].into_iter().map(|name| &schema[name]);
    let of_all = schema["allOf"].as_array().into_iter().flatten().flat_map(parts);
    fields.chain(alternatives).chain(others.filter(|schema| schema.is_object())).chain(of_all).collect()
}

/// The schemas of parameters, bodies and headers.
fn schemas(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(fields) => fields.get("schema").into_iter().chain(fields.values().flat_map(schemas)).collect(),
        Value::Array(items) => items.iter().flat_map(schemas).collect(),
        _ => Vec::new(),
    }
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
