//! What can be asked, from the OpenAPI documents.

use reqwest::Method;
use serde_json::{Value, json};

/// One method of one path.
pub struct Operation {
    /// As in `GET /v1/uploads/{id}`.
    pub name: String,
    pub method: Method,
    pub path: String,
}

/// What an operation's path leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// No upload.
    None,
    /// An upload that was issued.
    Issued,
    /// One that has arrived as well.
    Arrived,
}

pub fn operations(document: &utoipa::openapi::OpenApi) -> Vec<Operation> {
    let document = serde_json::to_value(document).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let operations: Vec<Operation> = paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.clone()))
        })
        .map(|(method, path)| Operation { name: format!("{method} {path}"), method: method.parse().unwrap(), path })
        .collect();
    assert!(operations.len() >= 12);
    operations
}

impl Operation {
    /// What a GET's path answers to HEAD.
    pub fn by_head(&self) -> Option<Self> {
        let by_head = || Self { name: format!("HEAD {}", self.path), method: Method::HEAD, path: self.path.clone() };
        (self.method == Method::GET).then(by_head)
    }

    /// What it needs to succeed: to sign anew, an upload that has not arrived; else one that has.
    pub fn row(&self, needs: &[&str]) -> Row {
        match self.path.strip_prefix("/v1/uploads/{id}") {
            None => Row::None,
            Some("/url") => Row::Issued,
            Some(_) if needs.is_empty() => Row::None,
            Some(_) => Row::Arrived,
        }
    }

    /// Its path, with what it must be asked for.
    pub fn filled(&self, tenant: &str, row: &str) -> String {
        let path = self.path.replace("{tenant}", tenant);
        let path = ["{alias}", "{id}", "{public_id}"].into_iter().fold(path, |path, name| path.replace(name, row));
        match self.path.as_str() {
            "/oss/presign" => path + "?ext=jpg",
            path_of_export if path_of_export.ends_with("/export") => path + "?format=ndjson",
            _ => path,
        }
    }

    /// A body that is right, so that something else decides.
    pub fn body(&self) -> Value {
        match self.path.rsplit('/').next().unwrap() {
            "uploads" => json!({ "ext": "jpg" }),
            "batch" => json!({ "uploads": [{ "ext": "jpg" }] }),
            "cors" => json!({ "origins": ["https://app.example.com"] }),
            "rotate-credential" => json!({ "access_key_id": "ID", "secret_access_key": "secret-of-nobody" }),
            "test" => json!({ "token": "x.y.z" }),
            "tenants" => json!({ "slug": "made-by-the-matrix" }),
            "api-keys" => json!({ "label": "made by the matrix" }),
            _ => json!({}),
        }
    }
}
