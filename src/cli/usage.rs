//! `usage`: reports usage.

use chrono::{DateTime, Utc};
use clap::Args;

use crate::domain::tenant::Slug;
use crate::domain::usage::{UsageBy, UsageRange};
use crate::uploads::usage::UsageView;

use super::context::Context;
use super::output::{self, OutputFormat};
use super::time::parse_time;

const EXAMPLES: &str = "\
Examples:
  presign-gateway usage --by tenant
  presign-gateway usage --tenant my-app --by day --from 2026-11-01 --to 2026-12-01
  presign-gateway usage --tenant my-app --by type --output json";

/// Count uploads and their bytes, of one tenant or of all, by default for the last 30 days.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct UsageCommand {
    /// Only uploads of this tenant [default: all].
    #[arg(long)]
    tenant: Option<String>,
    /// Uploads issued at or after this whole hour, such as 2026-11-22 or 2026-11-22T18:00:00Z [default: 30 days before --to].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<DateTime<Utc>>,
    /// Uploads issued before this whole hour [default: the end of the current hour].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<DateTime<Utc>>,
    /// Group by day, type, state, ext, api_key or tenant [default: nothing].
    #[arg(long, value_name = "WHAT", value_parser = |text: &str| UsageBy::parse(text, &UsageBy::ALL))]
    by: Option<UsageBy>,
}

impl UsageCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let Self { tenant, from, to, by } = self;
        let tenant = tenant.as_deref().map(Slug::parse).transpose()?;
        let tenants = context.tenants()?;
        let range = UsageRange::new(from, to, tenants.now())?;
        let usage = UsageView::from(&tenants.usage(tenant.as_ref(), range, by).await?);
        if context.output == OutputFormat::Json {
            return output::show_one(context.output, "", &usage);
        }
        let sum = &usage.total;
        let total = [("all".to_owned(), sum)];
        let items = usage.items.iter().map(|item| {
            let day = item.start.map(|start| start.format("%Y-%m-%d").to_string());
            (item.value.clone().or(day).unwrap_or_default(), &item.sum)
        });
        let rows: Vec<_> = items.chain(total).collect();
        let header = [by.map_or("", UsageBy::as_str), "uploads", "promised bytes", "stored bytes"];
        output::show_all(context.output, header, &rows, |(value, sum)| {
            [value.clone(), sum.uploads.to_string(), sum.promised_bytes.to_string(), sum.stored_bytes.to_string()]
        })
    }
}
