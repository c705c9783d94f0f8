//! `bucket cors`: reads and sets CORS rules.

use clap::{Args, Subcommand};

use crate::cli::context::Context;
use crate::cli::output;
use crate::domain::bucket::Alias;
use crate::domain::cors::CorsRule;
use crate::domain::page::Page;
use crate::domain::tenant::Slug;

const EXAMPLES: &str = "\
Examples:
  presign-gateway bucket cors show my-app
  presign-gateway bucket cors set my-app --origin https://app.example.com --origin https://staging.example.com
  presign-gateway doctor my-app --origin https://app.example.com";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) enum CorsCommand {
    /// Show the CORS rules that the bucket has at its provider.
    Show(Which),
    /// Let web pages of these origins upload; replaces all rules of the bucket.
    #[command(after_help = EXAMPLES)]
    Set {
        #[command(flatten)]
        which: Which,
        #[arg(
            long = "origin",
            value_name = "ORIGIN",
            required = true,
            help = "Such as https://app.example.com; may be given several times"
        )]
        origins: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Which {
    /// The tenant's short name.
    tenant: String,
    /// The bucket's name within the tenant [default: the default one].
    #[arg(long)]
    bucket: Option<String>,
}

impl CorsCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let (tenants, keyring, _) = context.tenants_and_keyring()?;
        let rules = match self {
            Self::Show(which) => {
                let (slug, alias) = which.parse()?;
                tenants.bucket_cors(&slug, alias.as_ref(), &keyring).await?
            }
            Self::Set { which, origins } => {
                let (slug, alias) = which.parse()?;
                tenants.set_bucket_cors(&slug, alias.as_ref(), &origins, &keyring).await?
            }
        };
        let header = ["origins", "methods", "headers", "exposed headers", "max age"];
        output::show_page(context.output, header, &Page::whole(rules), |rule: &CorsRule| {
            [
                rule.allowed_origins.join(" "),
                rule.allowed_methods.join(" "),
                rule.allowed_headers.join(" "),
                rule.expose_headers.join(" "),
                rule.max_age_seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds} s")),
            ]
        })
    }
}

impl Which {
    fn parse(&self) -> anyhow::Result<(Slug, Option<Alias>)> {
        Ok((Slug::parse(&self.tenant)?, self.bucket.as_deref().map(Alias::parse).transpose()?))
    }
}
