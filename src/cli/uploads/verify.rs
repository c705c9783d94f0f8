//! `uploads verify`: checks that uploads arrived in their buckets.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::{ArgGroup, Args};
use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::app::Services;
use crate::cli::context::Context;
use crate::cli::output::{self, OutputFormat};
use crate::cli::time::parse_time;
use crate::domain::clock::Clock;
use crate::domain::ids::{TenantId, UploadId};
use crate::domain::tenant::Slug;
use crate::domain::upload::{Upload, UploadState};
use crate::uploads::UploadError;
use crate::uploads::verify::{Verified, Verifier};
use crate::uploads::view::MismatchView;

const EXAMPLES: &str = "\
Examples:
  presign-gateway uploads verify 01a203fe-9eeb-7344-910f-c05f00b8cddb
  presign-gateway uploads verify --tenant my-app --from 2026-11-01
  presign-gateway uploads verify --tenant my-app --state uploaded --output json";

/// Uploads that are read at a time.
const STEP: i64 = 500;
/// Of uploads that are at fault, so many are shown.
const MAX_SHOWN: usize = 1000;

/// Check uploads in their bucket, compare, and record the result.
///
/// Exits with 1 if an object is not as declared, is gone from the bucket, or could not be checked.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("which").required(true).args(["id", "tenant"]))]
pub(in crate::cli) struct Verify {
    /// The upload's id [default: all that match].
    #[arg(conflicts_with_all = ["from", "to"])]
    id: Option<uuid::Uuid>,
    /// All uploads of this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Only uploads in this state: issued, expired, mismatched or uploaded.
    #[arg(long, default_value = "issued", value_parser = parse_state)]
    state: UploadState,
    /// Only uploads issued at or after this time, such as 2026-11-22 or 2026-11-22T18:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<DateTime<Utc>>,
    /// Only uploads issued before this time [default: now].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<DateTime<Utc>>,
    /// Number of concurrent requests to the bucket.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    concurrency: u8,
}

/// What was found, in all.
#[derive(Debug, Default, Serialize)]
struct Report {
    verified: u64,
    uploaded: u64,
    mismatched: u64,
    /// Nothing is there, and nothing was known to have been.
    not_arrived: u64,
    /// What had been there is not there any more.
    gone: u64,
    deleted: u64,
    failed: u64,
    /// The first of those that are at fault.
    faults: Vec<Fault>,
}

/// An upload that is not as it should be.
#[derive(Debug, Serialize)]
struct Fault {
    id: UploadId,
    #[serde(rename = "key")]
    object_key: String,
    /// `mismatched`, `gone` or `failed`.
    outcome: &'static str,
    mismatches: Vec<MismatchView>,
    /// Why it could not be checked.
    error: Option<String>,
}

impl Verify {
    pub async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let verifier = Services::for_command(&context.config()?)?.verifier()?;
        let mut report = Report::default();
        match (self.id, &self.tenant) {
            (Some(id), _) => {
                let upload = verifier.find_any_tenant(id.into()).await?;
                let was = upload.clone();
                report.add(was, verifier.verify(upload).await);
            }
            (None, tenant) => {
                let slug = Slug::parse(tenant.as_deref().unwrap_or_default())?;
                let tenant = context.tenants()?.get_tenant(&slug).await?;
                self.walk(&verifier, tenant.id, &mut report).await?;
            }
        }
        show(context, &report)?;
        let is_good = report.mismatched + report.gone + report.failed == 0;
        Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Looks for one after the other, several at a time; how far that is shows in the time at which they were issued.
    async fn walk(&self, verifier: &Verifier, tenant_id: TenantId, report: &mut Report) -> anyhow::Result<()> {
        let until = self.to.unwrap_or_else(|| Clock::System.now());
        let to = UploadId::first_at(until);
        let mut from = self.from.map_or(UploadId::from(uuid::Uuid::nil()), UploadId::first_at);
        let mut bar = None;
        loop {
            let uploads = verifier.list(tenant_id, self.state, (from, to), STEP).await?;
            let Some(last) = uploads.last() else { break };
            from = UploadId::from(uuid::Uuid::from_u128(last.issued.id.uuid().as_u128() + 1));
            let begin = uploads.first().map_or(until, |first| first.issued.issued_at);
            let (start, bar) = bar.get_or_insert_with(|| (begin, progress(begin, until)));
            let look = |upload: Upload| async move { (upload.clone(), verifier.verify(upload).await) };
            let mut looking = stream::iter(uploads).map(look).buffer_unordered(self.concurrency.into());
            while let Some((was, outcome)) = looking.next().await {
                bar.set_position((was.issued.issued_at - *start).num_milliseconds().unsigned_abs());
                report.add(was, outcome);
                bar.set_message(format!("{} checked", report.verified));
            }
        }
        if let Some((_, bar)) = bar {
            bar.finish_and_clear();
        }
        Ok(())
    }
}

impl Report {
    fn add(&mut self, was: Upload, outcome: Result<Verified, UploadError>) {
        self.verified += 1;
        let fault = match outcome {
            Ok(Verified::Seen(upload)) if upload.state == UploadState::Mismatched => {
                self.mismatched += 1;
                let mismatches = upload.mismatches().into_iter().map(MismatchView::from).collect();
                Some(("mismatched", mismatches, None))
            }
            Ok(Verified::Seen(_)) => {
                self.uploaded += 1;
                None
            }
            Ok(Verified::Missing) if matches!(was.state, UploadState::Uploaded | UploadState::Mismatched) => {
                self.gone += 1;
                Some(("gone", Vec::new(), None))
            }
            Ok(Verified::Missing) => {
                self.not_arrived += 1;
                None
            }
            Ok(Verified::Deleted) => {
                self.deleted += 1;
                None
            }
            Err(error) => {
                self.failed += 1;
                Some(("failed", Vec::new(), Some(error.to_string())))
            }
        };
        if let Some((outcome, mismatches, error)) = fault.filter(|_| self.faults.len() < MAX_SHOWN) {
            self.faults.push(Fault {
                id: was.issued.id,
                object_key: was.issued.object_key,
                outcome,
                mismatches,
                error,
            });
        }
    }
}

/// Drawn on a terminal only, and on standard error.
fn progress(begin: DateTime<Utc>, until: DateTime<Utc>) -> ProgressBar {
    let bar = ProgressBar::new((until - begin).num_milliseconds().unsigned_abs());
    match ProgressStyle::with_template("{bar:40} {percent}%, {msg}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn show(context: &Context, report: &Report) -> anyhow::Result<()> {
    if context.output == OutputFormat::Table && !report.faults.is_empty() {
        output::show_all(context.output, ["id", "", "what", "key"], &report.faults, |fault| {
            let one = |mismatch: &MismatchView| {
                format!("{}: promised {}, found {}", mismatch.field, mismatch.promised, mismatch.found)
            };
            let what = fault.mismatches.iter().map(one).chain(fault.error.clone()).collect::<Vec<_>>().join("; ");
            [fault.id.to_string(), fault.outcome.to_owned(), what, fault.object_key.clone()]
        })?;
    }
    let Report { verified, uploaded, mismatched, not_arrived, gone, deleted, failed, .. } = report;
    let sentence = format!(
        "{verified} checked: {uploaded} uploaded, {mismatched} mismatched, {not_arrived} not arrived, {gone} gone, {deleted} deleted, \
         {failed} could not be checked"
    );
    output::show_one(context.output, &sentence, report)
}

fn parse_state(text: &str) -> Result<UploadState, &'static str> {
    let found = text.parse().ok().filter(|state| *state != UploadState::Deleted);
    found.ok_or("must be issued, expired, mismatched or uploaded")
}
