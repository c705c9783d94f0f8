//! `api-key`.

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::json;

use crate::auth::api_key::PresentedApiKey;
use crate::domain::api_key::ApiKey;
use crate::domain::caller::Scopes;
use crate::domain::clock::Clock;
use crate::domain::tenant::Slug;
use crate::tenants::NewApiKey;

use super::context::Context;
use super::output;

const EXAMPLES: &str = "\
Examples:
  presign-gateway api-key create my-app --label 'iOS app'
  presign-gateway api-key create my-app --label contractor --expires-in-days 30
  presign-gateway api-key list my-app
  presign-gateway api-key revoke 4fZ0kPqL9xYa";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum ApiKeyCommand {
    /// Make an API key; it is shown this once.
    Create(Create),
    /// Show a tenant's API keys.
    List {
        #[arg(required_unless_present = "operator")]
        tenant: Option<String>,
        /// The operators' keys.
        #[arg(long, conflicts_with = "tenant")]
        operator: bool,
    },
    /// Refuse an API key from now on.
    Revoke {
        /// Its public id: the part between its two underscores.
        #[arg(value_name = "PUBLIC_ID")]
        api_key: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    #[arg(required_unless_present = "operator")]
    tenant: Option<String>,
    /// An operator's key, which belongs to no tenant.
    #[arg(long, conflicts_with_all = ["tenant", "scopes"])]
    operator: bool,
    /// Who has it, to know it again.
    #[arg(long)]
    label: String,
    /// What it may do, with commas: uploads:issue, uploads:read.
    #[arg(long, default_value = "uploads:issue,uploads:read", value_name = "LIST")]
    scopes: String,
    /// Refuse it after this many days [default: never].
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
    expires_in_days: Option<u16>,
}

impl ApiKeyCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let tenants = context.tenants()?;
        match self {
            Self::Create(create) => {
                let generated = tenants.create_api_key(create.parse()?).await?;
                let text = generated.text.expose_secret();
                output::show_one(context.output, text, &json!({ "api_key": text, "public_id": generated.public_id }))
            }
            Self::List { tenant, .. } => {
                let slug = tenant.as_deref().map(Slug::parse).transpose()?;
                show(context, &tenants.list_api_keys(slug.as_ref()).await?)
            }
            Self::Revoke { api_key } => {
                // Of a whole key only the public part is taken, and shown.
                let public_id = PresentedApiKey::parse(&api_key).map_or(api_key.as_str(), |key| key.public_id);
                tenants.revoke_api_key(public_id).await?;
                output::show_one(
                    context.output,
                    &format!("API key {public_id} is revoked"),
                    &json!({ "public_id": public_id, "revoked": true }),
                )
            }
        }
    }
}

impl Create {
    fn parse(self) -> anyhow::Result<NewApiKey> {
        Ok(NewApiKey {
            tenant: self.tenant.as_deref().map(Slug::parse).transpose()?,
            label: self.label,
            scopes: if self.operator {
                Scopes::default()
            } else {
                Scopes::parse(self.scopes.split(',').map(str::trim))?
            },
            expires_at: self.expires_in_days.map(|days| Clock::System.now() + TimeDelta::days(days.into())),
        })
    }
}

/// An API key as it is shown.
#[derive(Serialize)]
struct Row<'a> {
    public_id: &'a str,
    label: &'a str,
    scopes: Vec<String>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

fn show(context: &Context, api_keys: &[ApiKey]) -> anyhow::Result<()> {
    fn row(key: &ApiKey) -> Row<'_> {
        let ApiKey { public_id, label, scopes, created_at, expires_at, revoked_at, last_used_at, .. } = key;
        Row {
            public_id,
            label,
            scopes: scopes.texts(),
            created_at: *created_at,
            expires_at: *expires_at,
            revoked_at: *revoked_at,
            last_used_at: *last_used_at,
        }
    }
    let rows: Vec<_> = api_keys.iter().map(row).collect();
    let header = ["public id", "label", "scopes", "created", "expires", "revoked", "last used"];
    output::show_all(context.output, header, &rows, |row| {
        let [created, expires, revoked, used] =
            [Some(row.created_at), row.expires_at, row.revoked_at, row.last_used_at].map(minute);
        [row.public_id.to_owned(), row.label.to_owned(), row.scopes.join(" "), created, expires, revoked, used]
    })
}

fn minute(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| time.format("%Y-%m-%d %H:%MZ").to_string())
}
