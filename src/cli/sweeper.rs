//! `sweeper`: shows which uploads are due and how late the sweeper is.

use chrono::{DateTime, Utc};
use clap::Subcommand;

use crate::app;
use crate::domain::clock::Clock;
use crate::jobs::sweeper::view::{DueBucketView, backlog};

use super::context::Context;
use super::output::{self, OutputFormat};

#[derive(Debug, Subcommand)]
pub(super) enum SweeperCommand {
    /// Show which uploads are due for a check, and how late the sweeper is.
    ///
    /// Each instance shows its own work, and which buckets it skips, at GET /admin/v1/sweeper.
    Status,
}

impl SweeperCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let Self::Status = self;
        let store = app::open_store(&context.config()?)?;
        let backlog = backlog(&store, Clock::System.now()).await?;
        if context.output == OutputFormat::Json {
            return output::show_one(context.output, "", &backlog);
        }
        if !backlog.buckets.is_empty() {
            let moment = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%SZ").to_string();
            let header = ["tenant", "bucket", "due (counted to 1000)", "oldest due since"];
            output::show_all(context.output, header, &backlog.buckets, |bucket: &DueBucketView| {
                [bucket.tenant.clone(), bucket.bucket.clone(), bucket.due.to_string(), moment(bucket.oldest_due_at)]
            })?;
        }
        output::say(&format!("{} due, {} s late", backlog.due, backlog.lag_seconds));
        Ok(())
    }
}
