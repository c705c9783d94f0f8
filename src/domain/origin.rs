//! The origin of a web page, as a browser sends it in `Origin`
//! (<https://www.rfc-editor.org/rfc/rfc6454>).

use url::{Host, Url};

use super::Invalid;

/// The origin of web pages, such as `https://app.example.com`: a scheme, a host, an optional port,
/// and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrigin(Url);

impl WebOrigin {
    /// Accepts exactly the text that a browser sends, because origins are compared as text.
    ///
    /// # Errors
    /// Not an http(s) URL, more than an origin, a `*`, or an origin that browsers write
    /// differently.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = |expected: &str| Invalid::new("origin", format!("{text:?} must be {expected}"));
        if text.contains('*') {
            return Err(invalid("either * alone, for any origin, or full origins without *"));
        }
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| invalid("a scheme and a host, perhaps a port, such as https://app.example.com"))?;
        let written = url.origin().ascii_serialization();
        if written == text { Ok(Self(url)) } else { Err(invalid(&format!("written as browsers write it: {written}"))) }
    }

    /// Whether the page cannot be modified in transit: it uses https, or comes from the reader's
    /// machine.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.0.scheme() == "https" || self.0.host().is_some_and(|host| is_loopback(&host))
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}
