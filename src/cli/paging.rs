//! Options of the commands that list.

use clap::Args;

use crate::domain::Invalid;
use crate::domain::page::PageRequest;

#[derive(Debug, Args)]
pub(super) struct Paging {
    /// Continue after an earlier page: its next_cursor.
    #[arg(long)]
    cursor: Option<String>,
    /// Maximum number of rows, 1 to 500 [default: 100].
    #[arg(long, value_name = "ROWS")]
    limit: Option<u16>,
}

impl Paging {
    pub fn request(&self) -> Result<PageRequest, Invalid> {
        PageRequest::new(self.cursor.as_deref(), self.limit)
    }
}
