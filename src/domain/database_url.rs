//! The URL of Postgres: one host, or several of which one accepts writes at a time.
//!
//! Several hosts are written as in libpq: `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE`
//! (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS>).

use super::Invalid;

/// Maximum number of hosts; all of them are asked at once.
const MAX_HOSTS: usize = 8;
const ATTRIBUTE: &str = "target_session_attrs";

/// Splits a URL into one URL for each host. Its content, which includes a password, is never part
/// of an error.
///
/// # Errors
/// It is not a `postgres://` URL, one of several hosts is empty, or there are too many.
pub fn hosts(url: &str) -> Result<Vec<String>, Invalid> {
    let refused = |expected: &str| Invalid::new("database.url", expected);
    let scheme = ["postgres://", "postgresql://"].into_iter().find(|scheme| url.starts_with(scheme));
    let (scheme, rest) = scheme
        .and_then(|scheme| url.split_at_checked(scheme.len()))
        .ok_or_else(|| refused("must begin with postgres://"))?;
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, names) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    let names: Vec<&str> = names.split(',').collect();
    if names.len() == 1 {
        return Ok(vec![url.to_owned()]);
    }
    let rest = without_attribute(rest).ok_or_else(|| refused("must have target_session_attrs=read-write"))?;
    if names.len() > MAX_HOSTS {
        return Err(refused("must name at most 8 hosts"));
    }
    if names.iter().any(|name| name.is_empty() || name.starts_with(':')) {
        return Err(refused("must name a host on each side of a comma: HOST:PORT,HOST:PORT"));
    }
    Ok(names.into_iter().map(|name| format!("{scheme}{user}{name}{rest}")).collect())
}

/// The part after the hosts, without a `target_session_attrs` that requests a writable host,
/// because that is implied. `None` if it requests another kind of host.
fn without_attribute(rest: &str) -> Option<String> {
    let Some((path, query)) = rest.split_once('?') else { return Some(rest.to_owned()) };
    let is_attribute = |pair: &&str| pair.split('=').next() == Some(ATTRIBUTE);
    let (attributes, others): (Vec<&str>, Vec<&str>) = query.split('&').partition(is_attribute);
    let writes = ["target_session_attrs=read-write", "target_session_attrs=primary"];
    if !attributes.iter().all(|attribute| writes.contains(attribute)) {
        return None;
    }
    Some(if others.is_empty() { path.to_owned() } else { format!("{path}?{}", others.join("&")) })
}
