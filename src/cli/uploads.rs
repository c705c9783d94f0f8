//! `uploads`: finds, shows, exports and verifies uploads.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::domain::ids::UploadId;
use crate::domain::page::{Page, PageRequest};
use crate::domain::search::{Order, Search, UploadFilter};
use crate::domain::tenant::Slug;
use crate::domain::upload::Upload;
use crate::uploads::list::UploadReader;
use crate::uploads::view::UploadView;

use super::context::Context;
use super::output;

mod export;
mod filter;
mod verify;

const EXAMPLES: &str = "\
Examples:
  presign-gateway uploads list --tenant my-app --from 2026-11-01 --state expired
  presign-gateway uploads list --key 2026/11/22/01a203fe-9eeb-7344-910f-c05f00b8cddb.jpg
  presign-gateway uploads show 01a203fe-9eeb-7344-910f-c05f00b8cddb --output json
  presign-gateway uploads export --tenant my-app --from 2026-11-01 --to 2026-12-01 --format csv --to-file november.csv";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum UploadsCommand {
    /// Show uploads, newest first.
    #[command(after_help = EXAMPLES)]
    List(Box<List>),
    /// Show one upload.
    Show {
        /// The upload's id: the UUID in its object key.
        #[arg(value_parser = parse_id)]
        id: UploadId,
    },
    /// Export all matching uploads to a file or standard output.
    #[command(after_help = EXAMPLES)]
    Export(Box<export::ExportArguments>),
    /// Check uploads in their bucket, compare, and record the result.
    Verify(verify::Verify),
}

/// Which uploads.
#[derive(Debug, Args)]
pub(super) struct Filters {
    /// Only uploads of this tenant (its short name) [default: all].
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    filter: UploadFilter,
    /// newest first, or oldest first.
    #[arg(long, default_value = "newest")]
    order: String,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    filters: Filters,
    /// Continue after an earlier page: its next_cursor, with the same filters.
    #[arg(long)]
    cursor: Option<String>,
    /// Maximum number of rows, 1 to 500 [default: 100].
    #[arg(long, value_name = "ROWS")]
    limit: Option<u16>,
}

impl UploadsCommand {
    /// Fails when an export is not whole.
    pub async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => list.run(context).await?,
            Self::Show { id } => {
                let upload = context.ledger()?.show_any_tenant(id).await?;
                output::show_fields(context.output, &UploadView::from(&upload))?;
            }
            Self::Export(export) => return export.run(context).await,
            Self::Verify(verify) => return verify.run(context).await,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl List {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let Self { filters, cursor, limit } = self;
        let tenant = filters.tenant()?;
        let search = filters.search(cursor.as_deref(), limit)?;
        let page = fill(&context.ledger()?, tenant.as_ref(), search).await?;
        let header = ["id", "tenant", "state", "type", "ext", "size", "object key", "issued"];
        output::show_page(context.output, header, &page.view(), |upload: &UploadView| {
            let size = upload.seen.as_ref().map(|seen| seen.size).or(upload.size);
            [
                upload.id.to_string(),
                upload.tenant.clone(),
                upload.state.to_owned(),
                upload.kind.unwrap_or("-").to_owned(),
                upload.ext.to_owned(),
                size.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
                upload.object_key.clone(),
                output::minute(Some(upload.issued_at)),
            ]
        })
    }
}

/// Goes on by itself where a page is short, since each looks at so many uploads only.
async fn fill(ledger: &UploadReader, tenant: Option<&Slug>, mut search: Search) -> anyhow::Result<Page<Upload>> {
    let wanted = usize::from(search.page.limit());
    let mut page = ledger.list_any_tenant(tenant, &search).await?;
    while let Some(cursor) = page.next_cursor.as_deref() {
        let missing = wanted.saturating_sub(page.items.len());
        if missing == 0 {
            break;
        }
        search.page = PageRequest::new(Some(cursor), u16::try_from(missing).ok())?;
        let next = ledger.list_any_tenant(tenant, &search).await?;
        page.items.extend(next.items);
        page.next_cursor = next.next_cursor;
    }
    Ok(page)
}

impl Filters {
    fn tenant(&self) -> anyhow::Result<Option<Slug>> {
        Ok(self.tenant.as_deref().map(Slug::parse).transpose()?)
    }

    fn search(self, cursor: Option<&str>, limit: Option<u16>) -> anyhow::Result<Search> {
        Ok(Search::new(self.filter, Order::parse(Some(&self.order))?, cursor, limit)?)
    }
}

fn parse_id(text: &str) -> Result<UploadId, &'static str> {
    text.parse::<uuid::Uuid>().map(UploadId::from).map_err(|_| "it must be an upload's id: the UUID in its object key")
}
