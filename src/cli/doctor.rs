//! `doctor`: checks a tenant's bucket.

use std::process::ExitCode;

use clap::Args;

use crate::admin::DEFAULT_ORIGIN;
use crate::buckets::doctor::{Finding, Health};
use crate::domain::bucket::Alias;
use crate::domain::tenant::Slug;

use super::context::Context;
use super::output;

const EXAMPLES: &str = "\
Examples:
  presign-gateway doctor my-app
  presign-gateway doctor my-app --bucket archive --origin https://app.example.com";

/// Test a tenant's bucket like a client: sign, PUT, HEAD, read metadata, DELETE, and send a CORS preflight.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Doctor {
    /// The tenant's short name.
    tenant: String,
    /// The bucket's name within the tenant [default: the default one].
    #[arg(long)]
    bucket: Option<String>,
    /// The origin of the web pages that upload, for the CORS check.
    #[arg(long, default_value = DEFAULT_ORIGIN, value_name = "ORIGIN")]
    origin: String,
}

impl Doctor {
    /// Fails when a check does.
    pub async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let (tenants, keyring, _) = context.tenants_and_keyring()?;
        let (slug, alias) = (Slug::parse(&self.tenant)?, self.bucket.as_deref().map(Alias::parse).transpose()?);
        let findings = tenants.examine_bucket(&slug, alias.as_ref(), &self.origin, &keyring).await?;
        show(context, &findings)?;
        let failed = findings.iter().any(|finding| finding.health == Health::Bad);
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// Shows what was found.
pub(super) fn show(context: &Context, findings: &[Finding]) -> anyhow::Result<()> {
    output::show_all(context.output, ["check", "", "found", "what to do"], findings, |finding| {
        let mark = match finding.health {
            Health::Good => "✓",
            Health::Fair => "!",
            Health::Bad => "✗",
        };
        [finding.check.to_owned(), mark.to_owned(), finding.found.clone(), finding.remedy.clone().unwrap_or_default()]
    })
}
