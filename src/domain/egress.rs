//! The egress policy: public hosts over HTTPS, and other hosts that the operator allows by name.
//!
//! Checks names and addresses but resolves nothing: the room `egress` checks addresses when it
//! connects.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::Invalid;

/// Hosts that may be reached over plain http and at private addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowedHosts {
    any: bool,
    hosts: Vec<AllowedHost>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct AllowedHost {
    /// As written by [`normal`].
    host: String,
    /// `None` for every port.
    port: Option<u16>,
}

impl AllowedHosts {
    /// Every host, for URLs that were checked before they were stored.
    #[must_use]
    pub const fn any() -> Self {
        Self { any: true, hosts: Vec::new() }
    }

    /// Parses a list of `host`, `host:port`, addresses, or `*` for every host.
    ///
    /// # Errors
    /// An entry that is none of these.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Invalid> {
        let mut allowed = Self::default();
        for text in texts {
            if text == "*" {
                allowed.any = true;
                continue;
            }
            allowed.hosts.push(AllowedHost::parse(text).ok_or_else(|| {
                Invalid::new(
                    "allowed_hosts",
                    format!("must be hosts such as idp.internal, 10.0.0.5 or store:9000, or *; not {text:?}"),
                )
            })?);
        }
        Ok(allowed)
    }

    /// Whether this host and port may be reached at any address and over plain http.
    #[must_use]
    pub fn allows(&self, host: &str, port: u16) -> bool {
        let host = normal(host);
        let matches =
            |allowed: &AllowedHost| allowed.host == host && allowed.port.is_none_or(|allowed| allowed == port);
        self.any || self.hosts.iter().any(matches)
    }

    /// Checks a URL: https and a host that can be public, unless the host is allowed.
    ///
    /// # Errors
    /// The URL is not allowed. The error names `field`, and the setting that would allow it.
    pub fn check(&self, field: &'static str, url: &Url) -> Result<(), Invalid> {
        let host = url.host().ok_or_else(|| Invalid::new(field, "must name a host"))?;
        let port = url.port_or_known_default().unwrap_or(0);
        match url.scheme() {
            "http" | "https" if self.allows(&host.to_string(), port) => Ok(()),
            "https" if may_be_public(&host) => Ok(()),
            "https" => Err(Invalid::new(
                field,
                "must name a public host; one in a private network needs the setting outbound.allowed_hosts",
            )),
            "http" => Err(Invalid::new(
                field,
                "must be https; plain http needs the host in the setting outbound.allowed_hosts",
            )),
            _ => Err(Invalid::new(field, "must begin with https://")),
        }
    }
}

impl AllowedHost {
    fn parse(text: &str) -> Option<Self> {
        // An address first: the colons of IPv6 are none before a port.
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self { host: normal(&address.to_string()), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !text.ends_with(']') => {
                (host, Some(port.parse::<u16>().ok().filter(|port| *port > 0)?))
            }
            _ => (text, None),
        };
        // A pattern such as *.internal would match nothing.
        let host = Host::parse(host).ok().filter(|_| !host.contains('*'))?;
        Some(Self { host: normal(&host.to_string()), port })
    }
}

/// Normalizes a host: lower case, no brackets, no trailing dot.
fn normal(host: &str) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    bare.parse::<IpAddr>().map_or_else(|_| bare.to_ascii_lowercase(), |address| address.to_string())
}

/// Whether a host can be on the public internet, judged by its name or address.
fn may_be_public(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => is_public((*address).into()),
        Host::Ipv6(address) => is_public((*address).into()),
        Host::Domain(name) => {
            let name = normal(name);
            !["localhost", "internal", "local"]
                .iter()
                .any(|private| name.strip_suffix(private).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
        }
    }
}

/// Whether an address is on the public internet, by the registries of IANA for special purposes
/// (<https://www.iana.org/assignments/iana-ipv4-special-registry>, <https://www.iana.org/assignments/iana-ipv6-special-registry>).
#[must_use]
pub const fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        // This network, private networks, loopback; multicast, reserved, broadcast.
        [0 | 10 | 127 | 224..=255, ..] | [172, 16..=31, ..] | [192, 168, ..]
        // Networks of carriers (CGNAT), link-local: there clouds answer with a machine's credentials.
        | [100, 64..=127, ..] | [169, 254, ..]
        // Protocol assignments and documentation.
        | [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _]
        // The relays of 6to4, benchmarking.
        | [192, 88, 99, _] | [198, 18..=19, ..]
    )
}

const fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // NAT64, 6to4 and Teredo lead to the IPv4 address inside.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => is_public_v4(v4(high, low)),
        // Teredo's server, and its client, whose bits are turned.
        [0x2001, 0, server_high, server_low, _, _, high, low] => {
            is_public_v4(v4(server_high, server_low)) && is_public_v4(v4(!high, !low))
        }
        // Protocol assignments and benchmarking, documentation.
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // All that is given out is in 2000::/3. Outside are loopback, unspecified, unique local, link-local, site-local,
        // multicast, and IPv4 in disguise (v4-mapped, v4-compatible), which nobody has a reason to write.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

const fn v4(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}
