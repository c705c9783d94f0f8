//! Secrets come from standard input, a file, or a prompt; never from the command line, where every user of the machine sees them.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use anyhow::{Context, bail};
use secrecy::SecretString;

/// The longest secret that is read, in bytes.
const LONGEST_SECRET_BYTES: u64 = 64 * 1024;

/// Where a secret comes from.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(super) struct SecretSource {
    /// Read the secret from standard input.
    #[arg(long)]
    secret_stdin: bool,
    /// Read the secret from a file.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl SecretSource {
    /// Reads the secret; asks for it where no source was named and there is somebody to ask.
    pub fn read(&self, prompt: &str) -> anyhow::Result<SecretString> {
        let text = match &self.secret_file {
            Some(file) => {
                std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?
            }
            None if self.secret_stdin => {
                let mut text = String::new();
                std::io::stdin()
                    .take(LONGEST_SECRET_BYTES)
                    .read_to_string(&mut text)
                    .context("standard input cannot be read")?;
                text
            }
            None if std::io::stdin().is_terminal() => rpassword::prompt_password(format!("{prompt}: "))?,
            None => bail!("no secret: give --secret-stdin or --secret-file FILE"),
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            bail!("the secret is empty");
        }
        Ok(text.into())
    }

    /// Whether a source was named.
    pub const fn is_named(&self) -> bool {
        self.secret_stdin || self.secret_file.is_some()
    }
}
