//! `database`: prints and applies roles and grants.

use clap::Subcommand;
use serde_json::json;

use crate::app;
use crate::store::grants;

use super::context::Context;
use super::output;

const EXAMPLES: &str = "\
Examples:
  presign-gateway database roles | psql postgres://postgres@db.internal/postgres
  DATABASE_URL=postgres://presign_owner:…@db.internal/presign presign-gateway migrate
  DATABASE_URL=postgres://presign_owner:…@db.internal/presign presign-gateway database grant

docs/operating.md, section 1, explains each step.";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum DatabaseCommand {
    /// Print the SQL that creates the roles and the database; an administrator runs it once.
    Roles,
    /// Print the SQL that `database grant` executes.
    Grants(Drops),
    /// Grant rights to the gateway's role and the reader; run it as the tables' owner after every `migrate`.
    ///
    /// It can be repeated, also while the gateway runs. It revokes rights on tables that it does not name.
    Grant(Drops),
}

#[derive(Debug, clap::Args)]
pub(super) struct Drops {
    /// Also let the gateway drop old months of the ledger; `uploads.retention_months` needs this.
    #[arg(long)]
    allow_drops: bool,
}

impl DatabaseCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let sql = match self {
            Self::Roles => grants::ROLES.to_owned(),
            Self::Grants(Drops { allow_drops: false }) => grants::GRANTS.to_owned(),
            Self::Grants(Drops { allow_drops: true }) => [grants::GRANTS, grants::ALLOW_DROPS].join("\n"),
            Self::Grant(Drops { allow_drops }) => {
                app::open_store(&context.config()?)?.grant(allow_drops).await?;
                return output::show_one(context.output, "the rights are granted", &json!({ "granted": true }));
            }
        };
        output::show_one(context.output, sql.trim_end(), &json!({ "sql": sql }))
    }
}
