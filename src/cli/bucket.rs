//! `bucket`: manages a tenant's buckets.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::admin::view::BucketView;
use crate::admin::{AdminError, BucketChanges, CredentialCheck, NewBucket, Rotation};
use crate::config::Config;
use crate::domain::Invalid;
use crate::domain::binding::{Binding, BindingSet};
use crate::domain::bucket::{Addressing, Alias, Bucket, BucketName, Endpoint, Location, Provider, Region};
use crate::domain::credential::Credential;
use crate::domain::page::Page;
use crate::domain::tenant::Slug;

use super::context::Context;
use super::doctor;
use super::output::{self, OutputFormat};
use super::secret::SecretSource;

mod cors;

const EXAMPLES: &str = "\
Examples:
  presign-gateway bucket add my-app --endpoint https://ACCOUNT.r2.cloudflarestorage.com --region auto \\
      --bucket my-app-uploads --access-key-id ID --secret-file secret.txt
  pass show r2 | presign-gateway bucket rotate-credential my-app default --access-key-id ID --secret-stdin
  presign-gateway bucket cors set my-app --origin https://app.example.com
  presign-gateway doctor my-app";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum BucketCommand {
    /// Add a bucket to a tenant; then test it with `doctor`.
    #[command(after_help = EXAMPLES)]
    Add(Box<Add>),
    /// Show a tenant's buckets.
    List {
        /// The tenant's short name.
        tenant: String,
    },
    /// Show one bucket, without its secret.
    Show {
        /// The tenant's short name.
        tenant: String,
        /// The bucket's name within the tenant [default: the default one].
        alias: Option<String>,
    },
    /// Change a bucket's location; other fields stay.
    Update(Box<Update>),
    /// Send the tenant's uploads to this bucket from now on.
    SetDefault {
        /// The tenant's short name.
        tenant: String,
        /// The bucket's name within the tenant.
        alias: String,
    },
    /// Archive a bucket: it takes no new uploads.
    Archive {
        /// The tenant's short name.
        tenant: String,
        /// The bucket's name within the tenant.
        alias: String,
    },
    /// Replace a bucket's credential, after testing the new one.
    RotateCredential(Box<RotateCredential>),
    /// Show or set the CORS rules that let web pages upload.
    #[command(subcommand)]
    Cors(cors::CorsCommand),
}

#[derive(Debug, Args)]
struct CredentialArguments {
    /// The public half of the credential.
    #[arg(long, value_name = "ID")]
    access_key_id: String,
    #[command(flatten)]
    secret: SecretSource,
    /// A file with the session token of temporary credentials.
    #[arg(long, value_name = "FILE")]
    session_token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The tenant's short name.
    tenant: String,
    /// Its name within the tenant: 1 to 63 of a-z, 0-9 and -.
    #[arg(long, default_value = "default")]
    alias: String,
    /// Make it the default bucket even if the tenant already has one.
    #[arg(long)]
    default: bool,
    /// Succeed without a change if a bucket with this alias exists.
    #[arg(long)]
    if_missing: bool,
    #[arg(
        long,
        value_name = "URL",
        help = "The store's address, without the bucket: https://ACCOUNT.r2.cloudflarestorage.com"
    )]
    endpoint: String,
    /// `auto` for R2, the bucket's own for AWS.
    #[arg(long)]
    region: String,
    /// The bucket's name.
    #[arg(long, value_name = "NAME")]
    bucket: String,
    /// Addressing style of the bucket's URLs: path or virtual-hosted.
    #[arg(long, default_value = "path")]
    addressing: String,
    /// r2, aws or generic [default: from the endpoint].
    #[arg(long)]
    provider: Option<String>,
    /// What a generic store enforces beside size and content type, separated by commas: sha256, write_once.
    #[arg(long, value_name = "LIST", default_value = "")]
    enforced_bindings: String,
    #[command(flatten)]
    credential: CredentialArguments,
}

#[derive(Debug, Args)]
pub(super) struct Update {
    /// The tenant's short name.
    tenant: String,
    /// The bucket's name within the tenant.
    alias: String,
    /// Another name within the tenant.
    #[arg(long, value_name = "ALIAS")]
    new_alias: Option<String>,
    /// The store's address, without the bucket.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// `auto` for R2, the bucket's own for AWS.
    #[arg(long)]
    region: Option<String>,
    /// The bucket's name.
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
    /// Addressing style of the bucket's URLs: path or virtual-hosted.
    #[arg(long)]
    addressing: Option<String>,
    /// r2, aws or generic.
    #[arg(long)]
    provider: Option<String>,
    /// What a generic store enforces beside size and content type, separated by commas: sha256, write_once; an empty text means neither.
    #[arg(long, value_name = "LIST")]
    enforced_bindings: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct RotateCredential {
    /// The tenant's short name.
    tenant: String,
    /// The bucket's name within the tenant.
    alias: String,
    #[command(flatten)]
    credential: CredentialArguments,
    /// Do not test it first, for example because the bucket cannot be reached from here.
    #[arg(long)]
    skip_check: bool,
}

impl BucketCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let bucket = match self {
            Self::Cors(command) => return command.run(context).await,
            Self::List { tenant } => {
                let buckets = context.tenants()?.list_buckets(&Slug::parse(&tenant)?).await?;
                return show_all(context, &buckets);
            }
            Self::Add(add) => add.run(context).await?,
            Self::Show { tenant, alias } => {
                let alias = alias.as_deref().map(Alias::parse).transpose()?;
                context.tenants()?.get_bucket(&Slug::parse(&tenant)?, alias.as_ref()).await?
            }
            Self::Update(update) => update.run(context).await?,
            Self::SetDefault { tenant, alias } => {
                context.tenants()?.set_default_bucket(&Slug::parse(&tenant)?, &Alias::parse(&alias)?).await?
            }
            Self::Archive { tenant, alias } => {
                context.tenants()?.archive_bucket(&Slug::parse(&tenant)?, &Alias::parse(&alias)?).await?
            }
            Self::RotateCredential(rotate) => return rotate.run(context).await,
        };
        output::show_fields(context.output, &BucketView::from(&bucket))
    }
}

impl Add {
    async fn run(self, context: &Context) -> anyhow::Result<Bucket> {
        let (tenants, keyring, config) = context.tenants_and_keyring()?;
        let slug = Slug::parse(&self.tenant)?;
        let alias = Alias::parse(&self.alias)?;
        let location = self.location(&config)?;
        let enforced_bindings = bindings(&self.enforced_bindings)?;
        let credential = self.credential.read()?;
        let new = NewBucket { alias: alias.clone(), is_default: self.default, location, enforced_bindings, credential };
        match tenants.add_bucket(&slug, new, &keyring).await {
            Err(AdminError::Taken { .. }) if self.if_missing => Ok(tenants.get_bucket(&slug, Some(&alias)).await?),
            added => Ok(added?),
        }
    }

    fn location(&self, config: &Config) -> anyhow::Result<Location> {
        let endpoint = Endpoint::parse(&self.endpoint, &config.outbound.allowed_hosts)?;
        Ok(Location {
            region: Region::parse(&self.region)?,
            bucket_name: BucketName::parse(&self.bucket)?,
            addressing: self.addressing.parse::<Addressing>()?,
            provider: self.provider.as_deref().map_or_else(|| Ok(Provider::of(&endpoint)), str::parse)?,
            endpoint,
        }
        .check()?)
    }
}

impl Update {
    async fn run(self, context: &Context) -> anyhow::Result<Bucket> {
        let (tenants, config) = (context.tenants()?, context.config()?);
        let endpoint = self.endpoint.map(|text| Endpoint::parse(&text, &config.outbound.allowed_hosts));
        let changes = BucketChanges {
            alias: self.new_alias.as_deref().map(Alias::parse).transpose()?,
            endpoint: endpoint.transpose()?,
            region: self.region.as_deref().map(Region::parse).transpose()?,
            bucket_name: self.bucket.as_deref().map(BucketName::parse).transpose()?,
            addressing: self.addressing.as_deref().map(str::parse).transpose()?,
            provider: self.provider.as_deref().map(str::parse).transpose()?,
            enforced_bindings: self.enforced_bindings.as_deref().map(bindings).transpose()?,
        };
        Ok(tenants.update_bucket(&Slug::parse(&self.tenant)?, &Alias::parse(&self.alias)?, changes, None).await?)
    }
}

impl RotateCredential {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let (tenants, keyring, _) = context.tenants_and_keyring()?;
        let (slug, alias) = (Slug::parse(&self.tenant)?, Alias::parse(&self.alias)?);
        let check = if self.skip_check { CredentialCheck::Skip } else { CredentialCheck::Try };
        let credential = self.credential.read()?;
        let Rotation { bucket, findings } =
            tenants.rotate_credential(&slug, &alias, credential, check, None, &keyring).await?;
        if context.output == OutputFormat::Table && !findings.is_empty() {
            doctor::show(context, &findings)?;
        }
        output::show_fields(context.output, &BucketView::from(&bucket))
    }
}

fn bindings(list: &str) -> Result<BindingSet, Invalid> {
    let texts = list.split(',').map(str::trim).filter(|text| !text.is_empty());
    BindingSet::parse("enforced_bindings", &Binding::OPTIONAL, texts)
}

impl CredentialArguments {
    fn read(self) -> anyhow::Result<Credential> {
        let read = |file: PathBuf| {
            let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()));
            text.map(|text| text.trim().into())
        };
        Ok(Credential {
            secret_access_key: self.secret.read("secret access key")?,
            session_token: self.session_token_file.map(read).transpose()?,
            access_key_id: self.access_key_id,
        })
    }
}

fn show_all(context: &Context, buckets: &[Bucket]) -> anyhow::Result<()> {
    let rows = Page::whole(buckets.iter().map(BucketView::from).collect());
    let header = ["alias", "default", "provider", "endpoint", "region", "bucket", "access key id", "credential"];
    output::show_page(context.output, header, &rows, |row| {
        [
            row.alias.clone(),
            if row.is_default { "✓".to_owned() } else { String::new() },
            row.provider.to_owned(),
            row.endpoint.clone(),
            row.region.clone(),
            row.bucket.clone(),
            row.access_key_id.clone(),
            format!("no. {}", row.credential_version),
        ]
    })
}
