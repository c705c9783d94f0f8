//! `migrate`: applies the migrations.

use crate::app;
use crate::domain::clock::Clock;

use super::context::Context;
use super::output;

pub(super) async fn run(context: &Context) -> anyhow::Result<()> {
    let store = app::open_store(&context.config()?)?;
    app::migrate(&store, &Clock::System).await?;
    output::show_one(context.output, "the tables are up to date", &serde_json::json!({ "migrated": true }))
}
