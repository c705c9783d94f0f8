//! `audit`: lists changes that operators made.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

use crate::admin::AuditFilter;
use crate::admin::view::AuditEventView;
use crate::domain::tenant::Slug;

use super::context::Context;
use super::output;
use super::paging::Paging;
use super::time::parse_time;

const EXAMPLES: &str = "\
Examples:
  presign-gateway audit list --tenant my-app
  presign-gateway audit list --action bucket.rotate_credential --from 2026-11-01T00:00:00Z
  presign-gateway audit list --actor cli:alice --output json";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum AuditCommand {
    /// Show who changed what, newest first.
    List(List),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Changes of this tenant and everything in it.
    #[arg(long)]
    tenant: Option<String>,
    /// Changes by this actor, such as cli:alice or api_key:4fZ0kPqL9xYa.
    #[arg(long)]
    actor: Option<String>,
    /// Changes with this action, such as tenant.update, or tenant for all actions on tenants.
    #[arg(long)]
    action: Option<String>,
    /// Changes of the object with this name: a slug, an alias, a public id.
    #[arg(long)]
    subject: Option<String>,
    /// Changes at or after this time, such as 2026-11-22 or 2026-11-22T18:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<DateTime<Utc>>,
    /// Changes before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<DateTime<Utc>>,
    #[command(flatten)]
    paging: Paging,
}

impl AuditCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let Self::List(List { tenant, actor, action, subject, from, to, paging }) = self;
        let tenant = tenant.as_deref().map(Slug::parse).transpose()?;
        let filter = AuditFilter { tenant, actor, action, subject, from, to };
        let page = context.tenants()?.list_audit_events(filter, &paging.request()?).await?;
        let header = ["when", "who", "from where", "tenant", "what", "which", "changed fields"];
        output::show_page(context.output, header, &page.view(), |event: &AuditEventView| {
            [
                event.at.format("%Y-%m-%d %H:%M:%SZ").to_string(),
                event.actor.clone(),
                event.origin.clone().unwrap_or_else(|| "-".to_owned()),
                event.tenant.clone().unwrap_or_else(|| "-".to_owned()),
                event.action.clone(),
                event.subject_name.clone().unwrap_or_else(|| event.subject_id.to_string()),
                event.changed_fields.join(" "),
            ]
        })
    }
}
