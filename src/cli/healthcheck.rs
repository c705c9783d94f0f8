//! `healthcheck`: asks the gateway on this machine whether it is alive.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::context::Context;

/// Less than a container's health check is usually given.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Fails unless the gateway with the same settings on this machine answers. For images without curl.
pub(super) async fn run(context: &Context) -> anyhow::Result<()> {
    let mut address = context.config()?.server.ops_listen;
    // A listener on every address is reached on this machine's own.
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    client.get(format!("http://{address}/livez")).send().await?.error_for_status()?;
    Ok(())
}
