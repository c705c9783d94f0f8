//! `tenant`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::domain::extension::ExtensionSet;
use crate::domain::object_key::Template;
use crate::domain::tenant::{Expiry, Policy, RateLimit, Slug, Tenant, TenantStatus, parse_time_zone};
use crate::tenants::{ManageError, NewTenant, PolicyChanges, TenantChanges, Tenants};

use super::context::Context;
use super::output;

const EXAMPLES: &str = "\
Examples:
  presign-gateway tenant create my-app --rate 100 --burst 500 --time-zone Asia/Shanghai
  presign-gateway tenant update my-app --rate 200
  presign-gateway tenant list --output json";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum TenantCommand {
    /// Add a tenant.
    Create(Create),
    /// Show every tenant.
    List,
    /// Change a tenant; what is not named stays.
    Update(Update),
    /// Serve a tenant's callers no more (403).
    Suspend { tenant: String },
    /// Serve a suspended tenant's callers again.
    Resume { tenant: String },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Its short name: 2 to 63 of a-z, 0-9 and -.
    tenant: String,
    /// Its name for people; by default the short name.
    #[arg(long)]
    name: Option<String>,
    /// Leave a tenant of that name as it is, and call it a success.
    #[arg(long)]
    if_missing: bool,
    /// Presigns a second.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Presigns at once after a pause.
    #[arg(long, default_value_t = 200)]
    burst: u32,
    #[command(flatten)]
    policy: PolicyArguments,
}

#[derive(Debug, Args)]
pub(super) struct Update {
    tenant: String,
    /// Its name for people.
    #[arg(long)]
    name: Option<String>,
    /// Presigns a second.
    #[arg(long)]
    rate: Option<u32>,
    /// Presigns at once after a pause.
    #[arg(long)]
    burst: Option<u32>,
    #[command(flatten)]
    policy: PolicyArguments,
}

#[derive(Debug, Args)]
struct PolicyArguments {
    /// Extensions that may be uploaded, with commas [default for a new tenant: all].
    #[arg(long, value_name = "LIST")]
    extensions: Option<String>,
    /// How long a URL lives [default for a new tenant: 300].
    #[arg(long, value_name = "SECONDS")]
    default_expiry: Option<u32>,
    /// How long a URL may live at most [default for a new tenant: 3600].
    #[arg(long, value_name = "SECONDS")]
    longest_expiry: Option<u32>,
    /// Pattern of object keys, of {yyyy} {mm} {dd} {uuid} {ext} and text [default for a new tenant: {yyyy}/{mm}/{dd}/{uuid}.{ext}].
    #[arg(long, value_name = "TEMPLATE")]
    template: Option<String>,
    /// Time zone of the date in object keys [default for a new tenant: UTC].
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
}

impl PolicyArguments {
    fn changes(self) -> anyhow::Result<PolicyChanges> {
        Ok(PolicyChanges {
            allowed_extensions: self
                .extensions
                .map(|list| ExtensionSet::parse(list.split(',').map(str::trim)))
                .transpose()?,
            default_expiry_seconds: self.default_expiry,
            longest_expiry_seconds: self.longest_expiry,
            object_key_template: self.template.map(|text| Template::parse(&text)).transpose()?,
            time_zone: self.time_zone.map(|text| parse_time_zone(&text)).transpose()?,
        })
    }

    fn policy(self) -> anyhow::Result<Policy> {
        let changes = self.changes()?;
        let longest = changes.longest_expiry_seconds.unwrap_or(3600);
        Ok(Policy {
            allowed_extensions: changes.allowed_extensions.unwrap_or_else(ExtensionSet::all),
            max_size_bytes: None,
            expiry: Expiry::new(changes.default_expiry_seconds.unwrap_or(300.min(longest)), longest)?,
            object_key_template: changes.object_key_template.map_or_else(|| Template::parse(Template::CONTRACT), Ok)?,
            time_zone: changes.time_zone.unwrap_or(chrono_tz::UTC),
        })
    }
}

impl TenantCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let tenants = context.tenants()?;
        let changed = match self {
            Self::List => return show(context, &tenants.list_tenants().await?),
            Self::Create(create) => create.run(&tenants).await?,
            Self::Update(Update { tenant, name, rate, burst, policy }) => {
                let changes = TenantChanges { name, status: None, rate, burst, policy: policy.changes()? };
                tenants.update_tenant(&Slug::parse(&tenant)?, changes).await?
            }
            Self::Suspend { tenant } => set_status(&tenants, &tenant, TenantStatus::Suspended).await?,
            Self::Resume { tenant } => set_status(&tenants, &tenant, TenantStatus::Active).await?,
        };
        show(context, &[changed])
    }
}

impl Create {
    async fn run(self, tenants: &Tenants) -> anyhow::Result<Tenant> {
        let slug = Slug::parse(&self.tenant)?;
        let new = NewTenant {
            slug: slug.clone(),
            name: self.name.unwrap_or(self.tenant),
            rate_limit: RateLimit::new(self.rate, self.burst)?,
            policy: self.policy.policy()?,
        };
        match tenants.create_tenant(new).await {
            Err(ManageError::Taken { .. }) if self.if_missing => Ok(tenants.get_tenant(&slug).await?),
            created => Ok(created?),
        }
    }
}

async fn set_status(tenants: &Tenants, tenant: &str, status: TenantStatus) -> anyhow::Result<Tenant> {
    let changes = TenantChanges { status: Some(status), ..TenantChanges::default() };
    Ok(tenants.update_tenant(&Slug::parse(tenant)?, changes).await?)
}

fn show(context: &Context, tenants: &[Tenant]) -> anyhow::Result<()> {
    let values: Vec<Value> = tenants.iter().map(value).collect();
    let header = ["tenant", "name", "status", "rate/s", "burst", "expiry", "extensions", "object keys", "time zone"];
    output::show_all(context.output, header, &values, |tenant| {
        [
            "slug",
            "name",
            "status",
            "rate_per_second",
            "burst",
            "default_expiry_seconds",
            "allowed_extensions",
            "object_key_template",
            "time_zone",
        ]
        .map(|field| tenant.get(field).map(plain).unwrap_or_default())
    })
}

fn value(tenant: &Tenant) -> Value {
    let policy = &tenant.policy;
    json!({
        "id": tenant.id,
        "slug": tenant.slug.as_str(),
        "name": tenant.name,
        "status": tenant.status.as_str(),
        "rate_per_second": tenant.rate_limit.per_second,
        "burst": tenant.rate_limit.burst,
        "allowed_extensions": policy.allowed_extensions.texts().collect::<Vec<_>>(),
        "default_expiry_seconds": policy.expiry.default_seconds,
        "longest_expiry_seconds": policy.expiry.longest_seconds,
        "object_key_template": policy.object_key_template.as_str(),
        "time_zone": policy.time_zone.name(),
    })
}

/// A JSON value as a table's cell has it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
