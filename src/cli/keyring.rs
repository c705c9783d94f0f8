//! `keyring`: generates sealing keys and re-seals secrets.

use std::process::ExitCode;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::admin::view::SealingKeyView;
use crate::domain::clock::Clock;
use crate::domain::page::Page;
use crate::domain::randomness::Randomness;
use crate::domain::sealing_key::SealingKey;

use super::context::Context;
use super::output;

const EXAMPLES: &str = "\
Examples:
  presign-gateway keyring generate >> sealing.keys
  presign-gateway keyring status
  presign-gateway keyring rotate

How to rotate, step by step, is in docs/operating.md.";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum KeyringCommand {
    /// Generate a sealing key, for PRESIGN__VAULT__KEYS or a line of vault.keys_file.
    ///
    /// Keep a copy apart from the database's backups: without the key, their sealed secrets are lost.
    Generate {
        /// The key's id [default: the date and six random digits].
        #[arg(long)]
        id: Option<String>,
    },
    /// Show how many rows each key seals.
    Status,
    /// Re-seal every secret under the first key while the gateway runs; can be interrupted and repeated.
    ///
    /// Every running instance needs that key first, or it cannot decrypt the secrets: add it to the keyring of all of
    /// them in second place, where it only decrypts, restart them, and only then make it the first and rotate.
    Rotate,
}

impl KeyringCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Generate { id } => generate(context, id)?,
            Self::Status => status(context).await?,
            Self::Rotate => return rotate(context).await,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn generate(context: &Context, id: Option<String>) -> anyhow::Result<()> {
    let id = id.unwrap_or_else(|| {
        let [a, b, c] = Randomness::System.bytes();
        format!("{}-{a:02x}{b:02x}{c:02x}", Clock::System.now().format("k%Y%m%d"))
    });
    let key = SealingKey::generate(&id, &Randomness::System);
    // Reading it back checks the id.
    SealingKey::parse(key.expose_secret())?;
    output::show_one(context.output, key.expose_secret(), &json!({ "id": id, "key": key.expose_secret() }))
}

async fn status(context: &Context) -> anyhow::Result<()> {
    let (tenants, keyring, _) = context.tenants_and_keyring()?;
    let rows = tenants.keyring_status(&keyring).await?.iter().map(SealingKeyView::from).collect();
    output::show_page(context.output, ["sealing key", "rows", ""], &Page::whole(rows), |row| {
        let role = match (row.seals, row.present, row.rows) {
            (true, ..) => "seals",
            (_, false, _) => "MISSING: these rows cannot be decrypted until it is in vault.keys again",
            (.., 0) => "decrypts only; no rows are sealed under it",
            _ => "decrypts only; `keyring rotate` re-seals these rows under the first key",
        };
        [row.sealing_key_id.clone(), row.rows.to_string(), role.to_owned()]
    })
}

/// Fails when a row did not open.
async fn rotate(context: &Context) -> anyhow::Result<ExitCode> {
    let (tenants, keyring, _) = context.tenants_and_keyring()?;
    let sealed_otherwise =
        tenants.keyring_status(&keyring).await?.iter().filter(|key| !key.seals).map(|key| key.rows).sum::<i64>();
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {eta} left")?;
    // Drawn on a terminal only, and on standard error.
    let bar = ProgressBar::new(sealed_otherwise.try_into()?).with_style(style);
    let done = tenants.rotate_sealing_key(&keyring, |rows| bar.inc(rows)).await;
    bar.finish_and_clear();
    let done = done?;
    let sealed = format!("{} rows re-sealed under {}", done.resealed, keyring.sealing_key_id());
    let left = done.failed.iter().map(|failure| format!("unchanged: {failure}"));
    let sentence = left.chain([sealed]).collect::<Vec<_>>().join("\n");
    let value = json!({ "resealed": done.resealed, "failed": done.failed, "sealing_key_id": keyring.sealing_key_id() });
    output::show_one(context.output, &sentence, &value)?;
    Ok(if done.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
