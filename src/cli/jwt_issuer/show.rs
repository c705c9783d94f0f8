//! Issuers as they are shown: never a secret.

use serde_json::{Value, json};

use crate::domain::jwt_issuer::{JwtIssuer, Verification};

use crate::cli::context::Context;
use crate::cli::output::{self, OutputFormat};

/// An issuer as programs see it.
pub(super) fn value(issuer: &JwtIssuer) -> Value {
    let jwks_url = match &issuer.verification {
        Verification::JwksUrl(url) => Some(url.as_str()),
        _ => None,
    };
    json!({
        "id": issuer.id,
        "issuer": issuer.issuer,
        "audience": issuer.audience,
        "algorithm": issuer.algorithm.as_str(),
        "verified_with": verified_with(&issuer.verification),
        "jwks_url": jwks_url,
        "leeway_seconds": issuer.leeway_seconds,
        "scopes": issuer.scopes.texts(),
        "scopes_claim": issuer.scopes_claim,
        "created_at": issuer.created_at,
        "updated_at": issuer.updated_at,
        "revision": issuer.revision,
    })
}

const fn verified_with(verification: &Verification) -> &'static str {
    match verification {
        Verification::SealedHmacSecret { .. } => "secret",
        Verification::Jwks(_) => "JWKS",
        Verification::JwksUrl(_) => "JWKS URL",
        Verification::PublicKeyPem(_) => "PEM",
    }
}

/// A tenant's issuers, one a row.
pub(super) fn list(context: &Context, issuers: &[JwtIssuer]) -> anyhow::Result<()> {
    let values: Vec<Value> = issuers.iter().map(value).collect();
    let header = ["id", "issuer", "audience", "algorithm", "verified with", "leeway", "scopes"];
    output::show_all(context.output, header, &values, |issuer| {
        ["id", "issuer", "audience", "algorithm", "verified_with", "leeway_seconds", "scopes"]
            .map(|field| issuer.get(field).map(plain).unwrap_or_default())
    })
}

/// All of one issuer, a field a row.
pub(super) fn one(context: &Context, issuer: &JwtIssuer) -> anyhow::Result<()> {
    let value = value(issuer);
    if context.output == OutputFormat::Json {
        return output::show_one(context.output, "", &value);
    }
    let fields: Vec<(&String, &Value)> = value.as_object().into_iter().flatten().collect();
    output::show_all(context.output, ["field", "value"], &fields, |(field, value)| [(*field).clone(), plain(value)])
}

/// A JSON value as a table's cell has it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
