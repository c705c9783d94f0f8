//! Who asks.

use presign_gateway::auth::api_key;
use presign_gateway::dev::demo;
use presign_gateway::domain::randomness::Randomness;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::support::stack::{Call, TestStack};
use crate::support::{canary, tokens};

/// What kind of caller it is, for the public listener.
pub enum Kind {
    /// Nobody, or somebody who proves nothing.
    Stranger,
    /// Nobody, where `oss.anonymous_tenant` is set.
    Anonymous,
    /// Of a tenant that is suspended, or archived.
    Suspended,
    Operator,
    /// Of another tenant, with all scopes.
    OtherTenant,
    /// Of the tenant, with these scopes.
    Scopes(&'static [&'static str]),
}

pub struct Caller {
    pub name: &'static str,
    pub kind: Kind,
    /// What an operation of the operators' listener should answer.
    pub expects: &'static str,
    /// Where it asks; at the listener, where none is named.
    pub base: Option<String>,
    /// Its `Authorization`.
    authorization: Option<String>,
}

const ALL: &[&str] = &["uploads:issue", "uploads:read", "uploads:delete"];

impl Caller {
    pub fn bearing(name: &'static str, kind: Kind, credential: &str) -> Self {
        canary::watch(credential);
        Self { authorization: Some(format!("Bearer {credential}")), ..Self::nobody(name, kind) }
    }

    fn nobody(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, expects: "401 unauthenticated", base: None, authorization: None }
    }

    fn at(self, base: &str) -> Self {
        Self { base: Some(base.to_owned()), ..self }
    }

    fn expecting(self, expects: &'static str) -> Self {
        Self { expects, ..self }
    }

    pub fn presents<'a>(&self, call: Call<'a>) -> Call<'a> {
        match &self.authorization {
            Some(authorization) => call.header("authorization", authorization),
            None => call,
        }
    }
}

/// A new API key; of an operator, where no tenant is named.
async fn new_key(stack: &TestStack, tenant: Option<&str>, scopes: &[&str]) -> (String, String) {
    let mut body = json!({ "tenant": tenant, "label": "of the matrix" });
    if tenant.is_some() {
        body["scopes"] = json!(scopes);
    }
    let made = stack.admin(Method::POST, "/api-keys").json(&body).send().await;
    let made = made.data(201);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("api_key"), text("public_id"))
}

async fn expired(stack: &TestStack, tenant: Option<&str>) -> String {
    let (expired, public_id) = new_key(stack, tenant, ALL).await;
    let statement = "UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE public_id = $1";
    sqlx::query(statement).bind(public_id).execute(&mut stack.connect().await).await.unwrap();
    expired
}

async fn revoked(stack: &TestStack, tenant: Option<&str>) -> String {
    let (revoked, public_id) = new_key(stack, tenant, ALL).await;
    stack.admin(Method::POST, &format!("/api-keys/{public_id}/revoke")).send().await.data(200);
    revoked
}

/// A tenant that was suspended or archived, with a key and a token of its own.
async fn retired(stack: &TestStack, slug: &str, how: &str) -> (String, String) {
    stack.admin(Method::POST, "/tenants").json(&json!({ "slug": slug })).send().await.data(201);
    let (key, _) = new_key(stack, Some(slug), ALL).await;
    let secret = format!("{slug}-of-the-matrix-32-bytes-at-least");
    let issuer = json!({ "issuer": tokens::ISSUER, "audience": slug, "algorithm": "HS256", "hmac_secret": secret });
    stack.admin(Method::POST, &format!("/tenants/{slug}/jwt-issuers")).json(&issuer).send().await.data(201);
    stack.admin(Method::POST, &format!("/tenants/{slug}/{how}")).send().await.data(200);
    (key, tokens::hs256(&secret, &tokens::claims_with("aud", slug.into())))
}

/// A token of alpha's issuer, right but for one claim.
fn token_with(stack: &TestStack, name: &str, value: Value) -> String {
    let mut claims = tokens::claims_with("iss", demo::ISSUER.into());
    claims["aud"] = demo::AUDIENCE.into();
    claims[name] = value;
    tokens::hs256(&stack.demo.jwt_secret, &claims)
}

fn unknown_key() -> String {
    api_key::generate(&Randomness::System).text.expose_secret().to_owned()
}

pub async fn of_public(stack: &TestStack, anonymous_url: &str) -> Vec<Caller> {
    let demo = &stack.demo;
    let (suspended, suspended_token) = retired(stack, "suspended", "suspend").await;
    let (archived, _) = retired(stack, "archived", "archive").await;
    let mut callers = vec![
        Caller::nobody("nothing", Kind::Stranger),
        Caller::nobody("nothing, anonymous tenant set", Kind::Anonymous).at(anonymous_url),
        Caller { authorization: Some("Basic bm9ib2R5".to_owned()), ..Caller::nobody("malformed", Kind::Stranger) },
        Caller::bearing("unknown key", Kind::Stranger, &unknown_key()),
        Caller::bearing("expired key", Kind::Stranger, &expired(stack, Some("alpha")).await),
        Caller::bearing("revoked key", Kind::Stranger, &revoked(stack, Some("alpha")).await),
        Caller::bearing("expired JWT", Kind::Stranger, &token_with(stack, "exp", (tokens::now() - 3600).into())),
        Caller::bearing("JWT for others", Kind::Stranger, &token_with(stack, "aud", "others".into())),
        Caller::bearing("suspended tenant's key", Kind::Suspended, &suspended),
        Caller::bearing("suspended tenant's JWT", Kind::Suspended, &suspended_token),
        Caller::bearing("archived tenant's key", Kind::Suspended, &archived),
        Caller::bearing("operator's key", Kind::Operator, &demo.operator_key),
        Caller::bearing("another tenant's key", Kind::OtherTenant, &demo.beta.api_key),
    ];
    for (name, scopes) in [
        ("key: issue", &ALL[..1]),
        ("key: read", &ALL[1..2]),
        ("key: delete", &ALL[2..]),
        ("key: issue, read", &ALL[..2]),
        ("key: read, delete", &ALL[1..]),
    ] {
        callers.push(Caller::bearing(name, Kind::Scopes(scopes), &new_key(stack, Some("alpha"), scopes).await.0));
    }
    callers.extend([
        Caller::bearing("key: all", Kind::Scopes(ALL), &demo.alpha.api_key),
        Caller::bearing("JWT: issue, read", Kind::Scopes(&ALL[..2]), &stack.token),
        Caller::bearing("JWT: read", Kind::Scopes(&ALL[1..2]), &token_with(stack, "scope", "uploads:read".into())),
        // What its issuer does not grant, a token cannot claim.
        Caller::bearing("JWT: claims delete", Kind::Scopes(&[]), &token_with(stack, "scope", "uploads:delete".into())),
    ]);
    callers
}

pub async fn of_operators(stack: &TestStack) -> Vec<Caller> {
    let (demo, kind) = (&stack.demo, || Kind::Stranger);
    let suspended = new_key(stack, Some("suspended"), ALL).await.0;
    vec![
        Caller::nobody("nothing", kind()),
        Caller { authorization: Some("Basic bm9ib2R5".to_owned()), ..Caller::nobody("malformed", kind()) },
        Caller::bearing("unknown key", kind(), &unknown_key()),
        Caller::bearing("expired operator's key", kind(), &expired(stack, None).await),
        Caller::bearing("revoked operator's key", kind(), &revoked(stack, None).await),
        Caller::bearing("app's key, all scopes", kind(), &demo.alpha.api_key).expecting("403 operator_required"),
        Caller::bearing("suspended tenant's key", kind(), &suspended).expecting("403 operator_required"),
        Caller::bearing("app's JWT", kind(), &stack.token).expecting("403 operator_required"),
        Caller::bearing("expired JWT", kind(), &token_with(stack, "exp", (tokens::now() - 3600).into())),
        Caller::bearing("operator's key, public listener", kind(), &demo.operator_key)
            .at(&stack.url)
            .expecting("404 not_found"),
        Caller::bearing("operator's key", kind(), &demo.operator_key).expecting("✓"),
    ]
}
