//! How rows are shown to operators, the same over HTTP and with `--output json`.
//!
//! Never contains a secret, sealed or not.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::jwt::diagnose::TokenCheck;
use crate::buckets::doctor::{Finding, Health};
use crate::domain::api_key::ApiKey;
use crate::domain::audit_event::AuditEvent;
use crate::domain::binding::Binding;
use crate::domain::bucket::Bucket;
use crate::domain::cors::CorsRule;
use crate::domain::ids::TenantId;
use crate::domain::jwt_issuer::{JwtIssuer, Verification};
use crate::domain::policy::policy_fields;
use crate::domain::tenant::Tenant;

use super::KeyringStatus;

/// Defines the view: the tenant's own fields, and those of its policy.
macro_rules! tenant_view {
    ($($(#[$said:meta])* $field:ident: $Type:ty as $Json:ty = $default:expr;)*) => {
        /// A tenant.
        #[derive(Debug, Clone, Serialize, ToSchema)]
        #[schema(as = Tenant)]
        pub struct TenantView {
            pub id: Uuid,
            #[schema(example = "my-app")]
            pub slug: String,
            pub name: String,
            /// `active`, `suspended` or `archived`.
            #[schema(example = "active")]
            pub status: &'static str,
            /// Presigns per second.
            pub rate_per_second: u32,
            /// Presigns in a burst after a pause.
            pub burst: u32,
            $($(#[$said])* #[schema(value_type = $Json)] pub $field: $Type,)*
            pub created_at: DateTime<Utc>,
            pub updated_at: DateTime<Utc>,
            /// The revision, as in the `ETag`.
            pub revision: i32,
        }

        impl From<&Tenant> for TenantView {
            fn from(tenant: &Tenant) -> Self {
                Self {
                    id: tenant.id.uuid(),
                    slug: tenant.slug.to_string(),
                    name: tenant.name.clone(),
                    status: tenant.status.as_str(),
                    rate_per_second: tenant.rate_limit.per_second.get(),
                    burst: tenant.rate_limit.burst.get(),
                    $($field: tenant.policy.$field.clone(),)*
                    created_at: tenant.created_at,
                    updated_at: tenant.updated_at,
                    revision: tenant.revision,
                }
            }
        }
    };
}

policy_fields!(tenant_view);

/// A bucket of a tenant. Its secret access key can be written, and never read back.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Bucket)]
pub struct BucketView {
    pub id: Uuid,
    /// Its name within the tenant.
    #[schema(example = "default")]
    pub alias: String,
    /// Uploads go here unless the caller names another bucket.
    pub is_default: bool,
    /// `r2`, `aws` or `generic`.
    #[schema(example = "r2")]
    pub provider: &'static str,
    #[schema(example = "https://ACCOUNT.r2.cloudflarestorage.com")]
    pub endpoint: String,
    #[schema(example = "auto")]
    pub region: String,
    /// Its name at the provider.
    #[schema(example = "my-app-uploads")]
    pub bucket: String,
    /// `path` or `virtual-hosted`.
    #[schema(example = "path")]
    pub addressing: &'static str,
    /// What URLs can be bound to, beside size and content type: `sha256`, `write_once`.
    pub enforced_bindings: Vec<&'static str>,
    pub access_key_id: String,
    /// Counts the credentials that the bucket has had, from 1.
    pub credential_version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub archived_at: Option<DateTime<Utc>>,
    /// The revision, as in the `ETag`.
    pub revision: i32,
}

impl From<&Bucket> for BucketView {
    fn from(bucket: &Bucket) -> Self {
        let location = &bucket.location;
        Self {
            id: bucket.id.uuid(),
            alias: bucket.alias.to_string(),
            is_default: bucket.is_default,
            provider: location.provider.as_str(),
            endpoint: location.endpoint.to_string(),
            region: location.region.as_str().to_owned(),
            bucket: location.bucket_name.as_str().to_owned(),
            addressing: location.addressing.as_str(),
            enforced_bindings: Binding::OPTIONAL
                .iter()
                .filter(|binding| bucket.enforces(**binding))
                .map(|binding| binding.as_str())
                .collect(),
            access_key_id: bucket.access_key_id.clone(),
            credential_version: bucket.credential_version,
            created_at: bucket.created_at,
            updated_at: bucket.updated_at,
            archived_at: bucket.archived_at,
            revision: bucket.revision,
        }
    }
}

/// An API key. Its text is shown once, when it is made.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct ApiKeyView {
    /// The part of the API key that names it: between its two underscores.
    #[schema(example = "4fZ0kPqL9xYa")]
    pub public_id: String,
    /// The tenant's id; none for an operator's key.
    pub tenant_id: Option<Uuid>,
    pub label: String,
    /// Its scopes; none for an operator key.
    pub scopes: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    /// The revision, as in the `ETag`.
    pub revision: i32,
}

impl From<&ApiKey> for ApiKeyView {
    fn from(api_key: &ApiKey) -> Self {
        Self {
            public_id: api_key.public_id.clone(),
            tenant_id: api_key.tenant_id.map(TenantId::uuid),
            label: api_key.label.clone(),
            scopes: api_key.scopes.texts(),
            created_at: api_key.created_at,
            expires_at: api_key.expires_at,
            revoked_at: api_key.revoked_at,
            last_used_at: api_key.last_used_at,
            revision: api_key.revision,
        }
    }
}

/// A JWT issuer of a tenant. Its secret, where it has one, can be written, and never read back.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = JwtIssuer)]
pub struct JwtIssuerView {
    pub id: Uuid,
    /// The tokens' `iss`, exactly.
    #[schema(example = "https://auth.example.com")]
    pub issuer: String,
    /// The tokens' `aud`, exactly; the pair names one tenant.
    #[schema(example = "uploads")]
    pub audience: String,
    /// `HS256`, `RS256`, `PS256`, `ES256` or `EdDSA`.
    #[schema(example = "RS256")]
    pub algorithm: &'static str,
    /// `secret`, `jwks`, `jwks_url` or `pem`.
    #[schema(example = "jwks_url")]
    pub verified_with: &'static str,
    pub jwks_url: Option<String>,
    /// Tolerated clock difference.
    pub leeway_seconds: u32,
    /// Scopes of its tokens.
    pub scopes: Vec<String>,
    /// The claim that can narrow the scopes.
    #[schema(example = "scope")]
    pub scopes_claim: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub archived_at: Option<DateTime<Utc>>,
    /// The revision, as in the `ETag`.
    pub revision: i32,
}

impl From<&JwtIssuer> for JwtIssuerView {
    fn from(issuer: &JwtIssuer) -> Self {
        let (verified_with, jwks_url) = match &issuer.verification {
            Verification::SealedHmacSecret { .. } => ("secret", None),
            Verification::Jwks(_) => ("jwks", None),
            Verification::JwksUrl(url) => ("jwks_url", Some(url.as_str().to_owned())),
            Verification::PublicKeyPem(_) => ("pem", None),
        };
        Self {
            id: issuer.id.uuid(),
            issuer: issuer.issuer.clone(),
            audience: issuer.audience.clone(),
            algorithm: issuer.algorithm.as_str(),
            verified_with,
            jwks_url,
            leeway_seconds: issuer.leeway_seconds,
            scopes: issuer.scopes.texts(),
            scopes_claim: issuer.scopes_claim.clone(),
            created_at: issuer.created_at,
            updated_at: issuer.updated_at,
            archived_at: issuer.archived_at,
            revision: issuer.revision,
        }
    }
}

/// One change. It has names only, never values.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub struct AuditEventView {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    /// Who: `cli:` and a user of the machine, or `api_key:` and an operator's key by its public id.
    #[schema(example = "cli:alice")]
    pub actor: String,
    /// From where: a client's address, or the name of the machine that the command ran on.
    pub origin: Option<String>,
    #[schema(example = "tenant.update")]
    pub action: String,
    pub tenant_id: Option<Uuid>,
    /// The tenant's slug.
    #[schema(example = "my-app")]
    pub tenant: Option<String>,
    /// The changed row's id.
    pub subject_id: Uuid,
    /// The changed row's name: a slug, an alias, a public id, an issuer and its audience.
    pub subject_name: Option<String>,
    #[schema(example = json!(["rate_per_second", "burst"]))]
    pub changed_fields: Vec<String>,
}

impl From<&AuditEvent> for AuditEventView {
    fn from(event: &AuditEvent) -> Self {
        Self {
            id: event.id.uuid(),
            at: event.at,
            actor: event.actor.clone(),
            origin: event.origin.clone(),
            action: event.action.clone(),
            tenant_id: event.tenant_id.map(TenantId::uuid),
            tenant: event.tenant.clone(),
            subject_id: event.subject_id,
            subject_name: event.subject_name.clone(),
            changed_fields: event.changed_fields.clone(),
        }
    }
}

/// How many rows one sealing key seals.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SealingKeyStatus)]
pub struct SealingKeyView {
    #[schema(example = "k20261122")]
    pub sealing_key_id: String,
    /// The first key of the keyring seals; the others only open.
    pub seals: bool,
    /// Whether this instance has the key. If no instance has it, its rows are lost.
    pub present: bool,
    /// Rows (of buckets and JWT issuers) whose secrets are sealed under it.
    pub rows: i64,
}

impl From<&KeyringStatus> for SealingKeyView {
    fn from(status: &KeyringStatus) -> Self {
        let KeyringStatus { sealing_key_id, seals, present, rows } = status.clone();
        Self { sealing_key_id, seals, present, rows }
    }
}

/// One check of a bucket and its result.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Finding)]
pub struct FindingView {
    #[schema(example = "PUT a file")]
    pub check: &'static str,
    /// `good`, `fair` (works, with a limit worth knowing) or `bad`.
    #[schema(example = "good")]
    pub health: &'static str,
    pub found: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl From<&Finding> for FindingView {
    fn from(finding: &Finding) -> Self {
        let health = match finding.health {
            Health::Good => "good",
            Health::Fair => "fair",
            Health::Bad => "bad",
        };
        Self { check: finding.check, health, found: finding.found.clone(), remedy: finding.remedy.clone() }
    }
}

/// One CORS rule of a bucket.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = CorsRule)]
pub struct CorsRuleView {
    pub allowed_origins: Vec<String>,
    pub allowed_methods: Vec<String>,
    pub allowed_headers: Vec<String>,
    pub expose_headers: Vec<String>,
    pub max_age_seconds: Option<u32>,
}

impl From<&CorsRule> for CorsRuleView {
    fn from(rule: &CorsRule) -> Self {
        let CorsRule { allowed_origins, allowed_methods, allowed_headers, expose_headers, max_age_seconds } =
            rule.clone();
        Self { allowed_origins, allowed_methods, allowed_headers, expose_headers, max_age_seconds }
    }
}

/// One check of a token and its result.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = TokenCheck)]
pub struct TokenCheckView {
    #[schema(example = "exp")]
    pub check: &'static str,
    pub passed: bool,
    pub found: String,
    pub expected: String,
}

impl From<&TokenCheck> for TokenCheckView {
    fn from(token_check: &TokenCheck) -> Self {
        let TokenCheck { check, passed, found, expected } = token_check;
        Self { check, passed: *passed, found: found.clone(), expected: expected.clone() }
    }
}
