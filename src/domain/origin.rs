//! The origin of a web page, as a browser sends it in `Origin`
//! (<https://www.rfc-editor.org/rfc/rfc6454>).

use url::{Host, Url};

use super::Invalid;

/// The origin of web pages, such as `https://app.example.com`: a scheme, a host, perhaps a port, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrigin(Url);

impl WebOrigin {
    /// Takes exactly the text that a browser sends: whoever compares origins compares this text and nothing else.
    ///
    /// # Errors
    /// No http(s) URL, more than an origin, a `*`, or an origin that browsers write in another way.
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

    /// Whether nobody between the page and its reader can change the page: it comes by https, or from the reader's machine.
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
