//! The data directory of a cluster: its location, its owner, and what is recorded about it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::unistd::User;

use super::{PostgresError, file_error, wait_for_old_server, write_private};

/// Unprivileged users that the server may run as, the best first.
pub(super) const USERS: [&str; 2] = ["postgres", "nobody"];
/// Where root keeps what the unprivileged user must reach when the data folder is out of its reach.
pub(super) const ROOTS_FOLDER: &str = "/var/lib/presign-gateway-dev";
const ROOTS_CACHE: &str = "/var/cache/presign-gateway-dev";

/// What is known of a data folder's cluster; lives in the data folder, readable by its owner only.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Record {
    /// Where the cluster is, if not in the data folder; which may be renamed, and the cluster with it.
    pub(super) moved_to: Option<PathBuf>,
    pub(super) password: String,
    /// Not before the cluster is whole: one whose making was interrupted is made anew.
    pub(super) initialized: bool,
}

impl Record {
    pub(super) fn folder(&self, data_dir: &Path) -> PathBuf {
        self.moved_to.clone().unwrap_or_else(|| folder_within(data_dir))
    }

    fn file(data_dir: &Path) -> PathBuf {
        data_dir.join("postgres.json")
    }

    pub(super) fn read(data_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(Self::file(data_dir)).ok()?).ok()
    }

    pub(super) fn write(&self, data_dir: &Path) -> Result<(), PostgresError> {
        let file = Self::file(data_dir);
        let text = serde_json::to_string(self).map_err(io::Error::from);
        text.and_then(|text| write_private(&file, &text)).map_err(file_error("writing", &file))
    }
}

/// The major version of a cluster, such as `17`.
pub(super) fn read_major(folder: &Path) -> Result<String, PostgresError> {
    let file = folder.join("PG_VERSION");
    let version =
        std::fs::read_to_string(&file).map_err(file_error("reading the cluster (--reset begins afresh)", &file))?;
    Ok(version.trim().to_owned())
}

/// Whom to run the server as; `None` means as ourselves.
pub(super) fn unprivileged_user() -> Result<Option<User>, PostgresError> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    USERS.iter().find_map(|name| User::from_name(name).ok().flatten()).map(Some).ok_or(PostgresError::NoUser)
}

/// Where fetched binaries are kept; the unprivileged user must reach them.
pub(super) fn cache(user: Option<&User>) -> Result<PathBuf, PostgresError> {
    if user.is_some() {
        make_open_folder(Path::new(ROOTS_CACHE))?;
        return Ok(ROOTS_CACHE.into());
    }
    let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
    Ok(cache.join("presign-gateway-dev"))
}

/// The cluster's folder: in the data folder, or where the unprivileged user can reach it.
pub(super) fn reachable_folder(data_dir: &Path, user: Option<&User>) -> Result<PathBuf, PostgresError> {
    let folder = folder_within(data_dir);
    if user.is_none_or(|user| can_enter(data_dir, user)) {
        return Ok(folder);
    }
    make_open_folder(Path::new(ROOTS_FOLDER))?;
    Ok(moved_folder(data_dir))
}

fn folder_within(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres")
}

/// Where a cluster is kept that the unprivileged user could not reach in `data_dir`.
fn moved_folder(data_dir: &Path) -> PathBuf {
    let name = data_dir.to_string_lossy();
    Path::new(ROOTS_FOLDER).join(format!("{:08x}{}", crc32fast::hash(name.as_bytes()), name.replace('/', "-")))
}

/// Removes the cluster that was made for the data folder, wherever it is kept.
///
/// # Errors
/// A folder cannot be removed.
pub async fn remove(data_dir: &Path) -> io::Result<()> {
    let folder = Record::read(data_dir).map_or_else(|| folder_within(data_dir), |record| record.folder(data_dir));
    wait_for_old_server(&folder).await;
    for path in [folder, Record::file(data_dir)] {
        let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
    }
    Ok(())
}

/// Whether the user can get into a folder; asked by trying, since nothing else knows all the rules.
fn can_enter(folder: &Path, user: &User) -> bool {
    let status = std::process::Command::new("/bin/sh")
        .args(["-c", "cd \"$1\"", "sh"])
        .arg(folder)
        .current_dir("/")
        .uid(user.uid.as_raw())
        .gid(user.gid.as_raw())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn make_folder(folder: &Path) -> Result<(), PostgresError> {
    std::fs::create_dir_all(folder).map_err(file_error("creating the folder", folder))
}

/// A folder that everybody may enter, whatever the umask.
fn make_open_folder(folder: &Path) -> Result<(), PostgresError> {
    make_folder(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).map_err(file_error("opening", folder))
}
