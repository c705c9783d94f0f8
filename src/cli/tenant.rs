//! `tenant`: manages tenants.

use clap::{Args, Subcommand};

use crate::admin::view::TenantView;
use crate::admin::{Admin, AdminError, NewTenant, PolicyChanges, TenantChanges, TenantFilter};
use crate::domain::Invalid;
use crate::domain::binding::{Binding, BindingSet};
use crate::domain::extension::ExtensionSet;
use crate::domain::object_key::Prefix;
use crate::domain::page::Page;
use crate::domain::tenant::{RateLimit, Slug, Tenant, TenantStatus, parse_time_zone};

use super::context::Context;
use super::output;
use super::paging::Paging;

const EXAMPLES: &str = "\
Examples:
  presign-gateway tenant create my-app --rate 100 --burst 500 --time-zone Asia/Shanghai
  presign-gateway tenant update my-app --rate 200
  presign-gateway tenant update my-app --prefix apps/my-app --template '{prefix}/{kind}/{yyyy}/{mm}/{uuid}.{ext}'
  presign-gateway tenant suspend my-app
  presign-gateway tenant list --output json";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum TenantCommand {
    /// Add a tenant.
    Create(Box<Create>),
    /// Show tenants; archived ones only with --status.
    List {
        /// Only tenants with this status: active, suspended or archived.
        #[arg(long)]
        status: Option<String>,
        /// Only tenants whose short names start with this prefix.
        #[arg(long, value_name = "TEXT")]
        begins: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one tenant.
    Show {
        /// The tenant's short name.
        tenant: String,
    },
    /// Change a tenant; other fields stay.
    Update(Box<Update>),
    /// Suspend a tenant: reject its callers with 403.
    Suspend {
        /// The tenant's short name.
        tenant: String,
    },
    /// Resume a suspended or archived tenant.
    Resume {
        /// The tenant's short name.
        tenant: String,
    },
    /// Archive a tenant: reject its callers and hide it from lists.
    Archive {
        /// The tenant's short name.
        tenant: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Its short name: 2 to 63 of a-z, 0-9 and -.
    tenant: String,
    /// Its display name [default: the short name].
    #[arg(long)]
    name: Option<String>,
    /// Succeed without a change if a tenant with this name exists.
    #[arg(long)]
    if_missing: bool,
    /// Presigns per second.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Presigns in a burst after a pause.
    #[arg(long, default_value_t = 200)]
    burst: u32,
    #[command(flatten)]
    policy: PolicyArguments,
}

#[derive(Debug, Args)]
pub(super) struct Update {
    /// The tenant's short name.
    tenant: String,
    /// Its display name.
    #[arg(long)]
    name: Option<String>,
    /// Presigns per second.
    #[arg(long)]
    rate: Option<u32>,
    /// Presigns in a burst after a pause.
    #[arg(long)]
    burst: Option<u32>,
    #[command(flatten)]
    policy: PolicyArguments,
}

#[derive(Debug, Args)]
struct PolicyArguments {
    /// Allowed extensions, separated by commas [default for a new tenant: all].
    #[arg(long, value_name = "LIST")]
    extensions: Option<String>,
    /// Maximum declared size of an object; 0 leaves it to the bucket.
    #[arg(long, value_name = "BYTES")]
    max_size: Option<u64>,
    /// Bindings that every URL must have, separated by commas: size, content_type, sha256, write_once; an empty text requires none.
    /// With any of them /oss/presign is rejected, because its URLs have no bindings.
    #[arg(long, value_name = "LIST")]
    require: Option<String>,
    /// Check uploads in the bucket when their URL has expired: true or false [default for a new tenant: false].
    #[arg(long, value_name = "BOOL")]
    verify_arrival: Option<bool>,
    /// Default lifetime of a URL, in seconds [default for a new tenant: 300].
    #[arg(long, value_name = "SECONDS")]
    default_expiry: Option<u32>,
    /// Maximum lifetime of a URL, in seconds [default for a new tenant: 3600].
    #[arg(long, value_name = "SECONDS")]
    longest_expiry: Option<u32>,
    /// Template of object keys, from {prefix} {yyyy} {mm} {dd} {uuid} {ext} {kind} and text [default for a new tenant: {yyyy}/{mm}/{dd}/{uuid}.{ext}].
    #[arg(long, value_name = "TEMPLATE")]
    template: Option<String>,
    /// The value of {prefix}, such as apps/my-app; an empty text removes it.
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Time zone of the date in object keys [default for a new tenant: UTC].
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
}

impl PolicyArguments {
    fn changes(self) -> anyhow::Result<PolicyChanges> {
        Ok(PolicyChanges {
            allowed_extensions: self.extensions.as_deref().map(extensions).transpose()?,
            max_size_bytes: self.max_size.map(|bytes| (bytes > 0).then_some(bytes)),
            required_bindings: self.require.as_deref().map(bindings).transpose()?,
            verify_arrival: self.verify_arrival,
            default_expiry_seconds: self.default_expiry,
            longest_expiry_seconds: self.longest_expiry,
            object_key_template: self.template,
            object_key_prefix: self.prefix.as_deref().map(prefix).transpose()?,
            time_zone: self.time_zone.as_deref().map(parse_time_zone).transpose()?,
        })
    }
}

fn extensions(list: &str) -> Result<ExtensionSet, Invalid> {
    ExtensionSet::parse(list.split(',').map(str::trim))
}

fn prefix(text: &str) -> Result<Option<Prefix>, Invalid> {
    if text.is_empty() { Ok(None) } else { Prefix::parse(text).map(Some) }
}

fn bindings(list: &str) -> Result<BindingSet, Invalid> {
    let texts = list.split(',').map(str::trim).filter(|text| !text.is_empty());
    BindingSet::parse("required_bindings", &Binding::ALL, texts)
}

impl TenantCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let tenants = context.tenants()?;
        let tenant = match self {
            Self::List { status, begins, paging } => {
                let status = status.map(|text| text.parse()).transpose()?;
                let filter = TenantFilter { status, slug_prefix: begins };
                return show_all(context, &tenants.list_tenants(&filter, &paging.request()?).await?.view());
            }
            Self::Create(create) => create.run(&tenants).await?,
            Self::Show { tenant } => tenants.get_tenant(&Slug::parse(&tenant)?).await?,
            Self::Update(update) => update.run(&tenants).await?,
            Self::Suspend { tenant } => set_status(&tenants, &tenant, TenantStatus::Suspended).await?,
            Self::Resume { tenant } => set_status(&tenants, &tenant, TenantStatus::Active).await?,
            Self::Archive { tenant } => set_status(&tenants, &tenant, TenantStatus::Archived).await?,
        };
        output::show_fields(context.output, &TenantView::from(&tenant))
    }
}

impl Create {
    async fn run(self, tenants: &Admin) -> anyhow::Result<Tenant> {
        let slug = Slug::parse(&self.tenant)?;
        let new = NewTenant {
            slug: slug.clone(),
            name: self.name.unwrap_or(self.tenant),
            rate_limit: RateLimit::new(self.rate, self.burst)?,
            policy: self.policy.changes()?,
        };
        match tenants.create_tenant(new).await {
            Err(AdminError::Taken { .. }) if self.if_missing => Ok(tenants.get_tenant(&slug).await?),
            created => Ok(created?),
        }
    }
}

impl Update {
    async fn run(self, tenants: &Admin) -> anyhow::Result<Tenant> {
        let Self { tenant, name, rate, burst, policy } = self;
        let changes = TenantChanges { name, rate_per_second: rate, burst, policy: policy.changes()? };
        Ok(tenants.update_tenant(&Slug::parse(&tenant)?, changes, None).await?)
    }
}

async fn set_status(tenants: &Admin, tenant: &str, status: TenantStatus) -> anyhow::Result<Tenant> {
    Ok(tenants.set_tenant_status(&Slug::parse(tenant)?, status).await?)
}

fn show_all(context: &Context, page: &Page<TenantView>) -> anyhow::Result<()> {
    let header = ["tenant", "name", "status", "rate/s", "burst", "expiry", "extensions", "object keys", "time zone"];
    output::show_page(context.output, header, page, |tenant| {
        [
            tenant.slug.clone(),
            tenant.name.clone(),
            tenant.status.to_owned(),
            tenant.rate_per_second.to_string(),
            tenant.burst.to_string(),
            format!("{} s", tenant.default_expiry_seconds),
            tenant.allowed_extensions.texts().collect::<Vec<_>>().join(" "),
            tenant.object_key_template.clone(),
            tenant.time_zone.to_string(),
        ]
    })
}
