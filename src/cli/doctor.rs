//! `doctor`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::bucket::doctor::{self, Health};
use crate::domain::tenant::Slug;
use crate::vault::Vault;

use super::context::Context;
use super::output;

/// Try a tenant's bucket the way a client would: sign, PUT, HEAD, read metadata, DELETE, and ask as a browser.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    tenant: String,
    /// The origin of the web pages that upload, for the CORS check.
    #[arg(long, default_value = "https://app.example.com", value_name = "ORIGIN")]
    origin: String,
}

impl Doctor {
    /// Fails when a check does.
    pub async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let (tenants, keyring, _) = context.tenants_and_keyring()?;
        let tenant = tenants.get_tenant(&Slug::parse(&self.tenant)?).await?;
        let vault = Vault::new(tenants.store.clone(), Arc::new(keyring), 1, Duration::ZERO);
        let open = vault.default_bucket(tenant.id).await?;
        let findings = doctor::examine(&open, &self.origin, &tenants.clock, &tenants.randomness).await;
        output::show_all(context.output, ["check", "", "found", "what to do"], &findings, |finding| {
            let mark = match finding.health {
                Health::Good => "✓",
                Health::Fair => "!",
                Health::Bad => "✗",
            };
            [
                finding.check.to_owned(),
                mark.to_owned(),
                finding.found.clone(),
                finding.remedy.clone().unwrap_or_default(),
            ]
        })?;
        let failed = findings.iter().any(|finding| finding.health == Health::Bad);
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
