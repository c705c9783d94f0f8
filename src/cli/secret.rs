//! Reads secrets from standard input, a file or a prompt. Never from an argument, because every
//! user of the machine can see those.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use secrecy::SecretString;

/// The longest secret that is read, in bytes.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

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
        let flags = "--secret-stdin or --secret-file FILE";
        read_secret("secret", prompt, flags, self.secret_stdin, self.secret_file.as_deref())
    }

    /// Whether a source was named.
    pub const fn is_named(&self) -> bool {
        self.secret_stdin || self.secret_file.is_some()
    }
}

/// Reads what must not be seen, from standard input or a file; asks for it where neither was named and there is somebody to
/// ask. `flags` are the ones that would name a source.
pub(super) fn read_secret(
    what: &str,
    prompt: &str,
    flags: &str,
    stdin: bool,
    file: Option<&Path>,
) -> anyhow::Result<SecretString> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?,
        None if stdin => {
            let mut text = String::new();
            std::io::stdin()
                .take(MAX_SECRET_BYTES)
                .read_to_string(&mut text)
                .context("standard input cannot be read")?;
            text
        }
        None if std::io::stdin().is_terminal() => rpassword::prompt_password(format!("{prompt}: "))?,
        None => bail!("no {what}: give {flags}"),
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        bail!("the {what} is empty");
    }
    Ok(text.into())
}
