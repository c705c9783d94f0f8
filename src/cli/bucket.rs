//! `bucket`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::domain::bucket::{Addressing, BucketName, Endpoint, Location, Provider, Region};
use crate::domain::credential::Credential;
use crate::domain::tenant::Slug;
use crate::tenants::NewBucket;

use super::context::Context;
use super::output;
use super::secret::SecretSource;

const EXAMPLES: &str = "\
Examples:
  presign-gateway bucket set my-app --endpoint https://ACCOUNT.r2.cloudflarestorage.com --region auto \\
      --bucket my-app-uploads --access-key-id ID --secret-file secret.txt
  pass show r2 | presign-gateway bucket set my-app … --secret-stdin";

#[derive(Debug, Subcommand)]
pub(super) enum BucketCommand {
    /// Set a tenant's bucket, or change it; then try it with `doctor`.
    #[command(after_help = EXAMPLES)]
    Set(Set),
}

#[derive(Debug, Args)]
pub(super) struct Set {
    tenant: String,
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
    #[arg(long, value_name = "ID")]
    access_key_id: String,
    #[command(flatten)]
    secret: SecretSource,
    /// A file with the session token of temporary credentials.
    #[arg(long, value_name = "FILE")]
    session_token_file: Option<PathBuf>,
    /// How the bucket's name is put into URLs: path or virtual-hosted.
    #[arg(long, default_value = "path")]
    addressing: String,
    /// r2, aws or generic; by default told from the endpoint.
    #[arg(long)]
    provider: Option<String>,
}

impl BucketCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let Self::Set(set) = self;
        let (tenants, keyring, config) = context.tenants_and_keyring()?;
        let slug = Slug::parse(&set.tenant)?;
        let location = Location {
            endpoint: Endpoint::parse(&set.endpoint, &config.outbound.allowed_hosts)?,
            region: Region::parse(&set.region)?,
            bucket_name: BucketName::parse(&set.bucket)?,
            addressing: set.addressing.parse::<Addressing>()?,
            provider: set.provider.as_deref().map_or_else(|| Ok(guess_provider(&set.endpoint)), str::parse)?,
        }
        .check()?;
        let session_token = set.session_token_file.map(|file| {
            std::fs::read_to_string(&file)
                .with_context(|| format!("{} cannot be read", file.display()))
                .map(|text| text.trim().into())
        });
        let secret_access_key = set.secret.read("secret access key")?;
        let credential = Credential {
            access_key_id: set.access_key_id,
            secret_access_key,
            session_token: session_token.transpose()?,
        };
        let bucket = tenants.set_bucket(&slug, NewBucket { location, credential }, &keyring).await?;
        let sentence = format!(
            "bucket {} at {} is set; try it with: presign-gateway doctor {slug}",
            bucket.location.bucket_name.as_str(),
            bucket.location.endpoint
        );
        let value = json!({
            "id": bucket.id,
            "tenant": slug.as_str(),
            "alias": bucket.alias,
            "endpoint": bucket.location.endpoint.to_string(),
            "region": bucket.location.region.as_str(),
            "bucket": bucket.location.bucket_name.as_str(),
            "addressing": bucket.location.addressing.as_str(),
            "provider": bucket.location.provider.as_str(),
        });
        output::show_one(context.output, &sentence, &value)
    }
}

fn guess_provider(endpoint: &str) -> Provider {
    let endpoint = endpoint.trim_end_matches('/');
    if endpoint.ends_with(".r2.cloudflarestorage.com") {
        Provider::R2
    } else if endpoint.ends_with(".amazonaws.com") {
        Provider::Aws
    } else {
        Provider::Generic
    }
}
