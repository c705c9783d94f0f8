//! `api-key`: manages API keys.

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::admin::view::ApiKeyView;
use crate::admin::{ApiKeyChanges, NewApiKey};
use crate::auth::api_key::PresentedApiKey;
use crate::domain::api_key::ApiKey;
use crate::domain::caller::Scopes;
use crate::domain::clock::Clock;
use crate::domain::page::Page;
use crate::domain::tenant::Slug;

use super::context::Context;
use super::output::{self, minute};
use super::paging::Paging;

const EXAMPLES: &str = "\
Examples:
  presign-gateway api-key create my-app --label 'iOS app'
  presign-gateway api-key create my-app --label contractor --expires-in-days 30
  presign-gateway api-key create --operator --label alice
  presign-gateway api-key list my-app
  presign-gateway api-key rotate 4fZ0kPqL9xYa --overlap-hours 24
  presign-gateway api-key revoke 4fZ0kPqL9xYa";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum ApiKeyCommand {
    /// Create an API key; its text is shown only once.
    Create(Create),
    /// Show a tenant's API keys.
    List {
        #[arg(required_unless_present = "operator")]
        tenant: Option<String>,
        /// The operators' keys.
        #[arg(long, conflicts_with = "tenant")]
        operator: bool,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one API key.
    Show(PublicId),
    /// Change an API key's label, scopes or expiry; other fields stay.
    Update(Update),
    /// Replace an API key; the old one works until the overlap ends.
    Rotate {
        #[command(flatten)]
        api_key: PublicId,
        /// How long the old key still works, in hours.
        #[arg(long, default_value_t = 24, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(..=2160))]
        overlap_hours: u32,
        /// Days until the new key expires [default: the old key's lifetime].
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
        expires_in_days: Option<u16>,
    },
    /// Revoke an API key.
    Revoke(PublicId),
}

#[derive(Debug, Args)]
pub(super) struct PublicId {
    /// The public id: the part of the key between its two underscores.
    #[arg(value_name = "PUBLIC_ID")]
    api_key: String,
}

impl PublicId {
    /// Of a whole key only the public part is taken, and shown. What is neither is not repeated: it may be a secret.
    fn text(&self) -> anyhow::Result<&str> {
        let text = self.api_key.as_str();
        let is_public_id = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let whole = PresentedApiKey::parse(text).map(|api_key| api_key.public_id);
        whole.or(is_public_id.then_some(text)).ok_or_else(|| {
            anyhow::anyhow!(
                "neither a public id nor a whole API key: the public id is the part between the two underscores"
            )
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct Create {
    #[arg(required_unless_present = "operator")]
    tenant: Option<String>,
    /// Create an operator key, which belongs to no tenant.
    #[arg(long, conflicts_with_all = ["tenant", "scopes"])]
    operator: bool,
    /// A label, such as who has the key.
    #[arg(long)]
    label: String,
    /// Its scopes, separated by commas: uploads:issue, uploads:read, uploads:delete.
    #[arg(long, default_value = "uploads:issue,uploads:read", value_name = "LIST")]
    scopes: String,
    /// Days until it expires [default: never].
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
    expires_in_days: Option<u16>,
}

#[derive(Debug, Args)]
pub(super) struct Update {
    #[command(flatten)]
    api_key: PublicId,
    /// A label, such as who has the key.
    #[arg(long)]
    label: Option<String>,
    /// Its scopes, separated by commas: uploads:issue, uploads:read, uploads:delete.
    #[arg(long, value_name = "LIST")]
    scopes: Option<String>,
    /// Days from now until it expires.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
    expires_in_days: Option<u16>,
    /// Remove its expiry.
    #[arg(long, conflicts_with = "expires_in_days")]
    never_expires: bool,
}

impl ApiKeyCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let tenants = context.tenants()?;
        match self {
            Self::Create(create) => show_new(context, &tenants.create_api_key(create.parse()?).await?),
            Self::List { tenant, paging, .. } => {
                let slug = tenant.as_deref().map(Slug::parse).transpose()?;
                let page = tenants.list_api_keys(slug.as_ref(), &paging.request()?).await?;
                show_all(context, &page.view())
            }
            Self::Show(api_key) => show(context, &tenants.get_api_key(api_key.text()?).await?),
            Self::Update(update) => {
                let changes = update.changes()?;
                show(context, &tenants.update_api_key(update.api_key.text()?, changes, None).await?)
            }
            Self::Rotate { api_key, overlap_hours, expires_in_days } => {
                let expires_at = expires_in_days.map(in_days);
                let new = tenants.rotate_api_key(api_key.text()?, overlap_hours * 3600, expires_at).await?;
                show_new(context, &new)
            }
            Self::Revoke(api_key) => {
                let revoked = tenants.revoke_api_key(api_key.text()?).await?;
                let sentence = format!("API key {} is revoked", revoked.public_id);
                output::show_one(context.output, &sentence, &ApiKeyView::from(&revoked))
            }
        }
    }
}

impl Create {
    fn parse(self) -> anyhow::Result<NewApiKey> {
        Ok(NewApiKey {
            tenant: self.tenant.as_deref().map(Slug::parse).transpose()?,
            label: self.label,
            scopes: if self.operator { Scopes::default() } else { parse_scopes(&self.scopes)? },
            expires_at: self.expires_in_days.map(in_days),
        })
    }
}

impl Update {
    fn changes(&self) -> anyhow::Result<ApiKeyChanges> {
        let expires_at = self.expires_in_days.map(|days| Some(in_days(days)));
        Ok(ApiKeyChanges {
            label: self.label.clone(),
            scopes: self.scopes.as_deref().map(parse_scopes).transpose()?,
            expires_at: expires_at.or(self.never_expires.then_some(None)),
        })
    }
}

fn parse_scopes(list: &str) -> anyhow::Result<Scopes> {
    Ok(Scopes::parse(list.split(',').map(str::trim))?)
}

fn in_days(days: u16) -> DateTime<Utc> {
    Clock::System.now() + TimeDelta::days(days.into())
}

/// Shows a new key's text: the only time that anybody sees it.
fn show_new(context: &Context, (api_key, text): &(ApiKey, SecretString)) -> anyhow::Result<()> {
    let text = text.expose_secret();
    let mut value = serde_json::to_value(ApiKeyView::from(api_key))?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("api_key".to_owned(), json!(text));
    }
    output::show_one(context.output, text, &value)
}

fn show(context: &Context, api_key: &ApiKey) -> anyhow::Result<()> {
    output::show_fields(context.output, &ApiKeyView::from(api_key))
}

fn show_all(context: &Context, page: &Page<ApiKeyView>) -> anyhow::Result<()> {
    let header = ["public id", "label", "scopes", "created", "expires", "revoked", "last used"];
    output::show_page(context.output, header, page, |row| {
        let [created, expires, revoked, used] =
            [Some(row.created_at), row.expires_at, row.revoked_at, row.last_used_at].map(minute);
        [row.public_id.clone(), row.label.clone(), row.scopes.join(" "), created, expires, revoked, used]
    })
}
