//! Outbound HTTPS requests for published data, such as key sets of JWT issuers.
//!
//! Connects to the address that was checked, follows no redirect, and bounds time, body and error
//! text. URLs come from operators; nothing a stranger sends chooses the target.

use std::collections::HashMap;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, StatusCode, header, redirect};
use url::Url;

use crate::domain::bucket::Endpoint;
use crate::domain::egress::{AllowedHosts, is_public};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a fetch failed: the kind only, never a text of the foreign server, and never the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("the URL is not https, or its host is not public: outbound.allowed_hosts can allow it")]
    NotAllowed,
    #[error("the host name does not resolve")]
    NoAddress,
    #[error("the host name resolves to no public address: outbound.allowed_hosts can allow it")]
    NotPublic,
    #[error("cannot connect, or its certificate is not valid")]
    CannotConnect,
    #[error("no response in time")]
    TimedOut,
    #[error("the response is a redirect, which is not followed")]
    Redirected,
    #[error("the response has HTTP status {0}")]
    Status(u16),
    #[error("the response is longer than {0} bytes")]
    TooLong(usize),
    #[error("the response is truncated or not HTTP")]
    Broken,
    #[error("creating the HTTP client failed: this machine may have no CA certificates")]
    NoClient,
}

/// The resolver of names, so that tests can replace it.
#[derive(Debug, Clone)]
pub enum Resolution {
    /// As the machine resolves them.
    System,
    /// Only these addresses; for tests.
    Fixed(HashMap<String, Vec<IpAddr>>),
}

/// Fetches published data.
#[derive(Debug, Clone)]
pub struct Egress(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    allowed: AllowedHosts,
    names: Resolution,
    // Made when first used: reading the machine's certificates takes a while, and few gateways reach out.
    to_public: OnceLock<Option<Client>>,
    to_allowed: OnceLock<Option<Client>>,
}

impl Egress {
    #[must_use]
    pub fn new(allowed: AllowedHosts) -> Self {
        Self::with_names(allowed, Resolution::System)
    }

    /// Uses another resolver.
    #[must_use]
    pub fn with_names(allowed: AllowedHosts, names: Resolution) -> Self {
        Self(Arc::new(Inner { allowed, names, to_public: OnceLock::new(), to_allowed: OnceLock::new() }))
    }

    /// GETs a body of at most `max_bytes`.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch(&self, url: &Url, max_bytes: usize) -> Result<Vec<u8>, FetchError> {
        let client = self.client_for(url)?;
        let request = client.get(url.clone()).header(header::ACCEPT, "application/json");
        let response = request.send().await.map_err(|error| kind(&error))?;
        match response.status() {
            StatusCode::OK => read(response, max_bytes).await,
            status if status.is_redirection() => Err(FetchError::Redirected),
            status => Err(FetchError::Status(status.as_u16())),
        }
    }

    /// Creates the client for a bucket's endpoint, whether the bucket is in the path or in the
    /// host.
    ///
    /// # Errors
    /// The host is not allowed, or no client can be created.
    pub fn client_for_endpoint(&self, endpoint: &Endpoint) -> Result<&Client, FetchError> {
        let url = Url::parse(&endpoint.to_string()).map_err(|_| FetchError::NotAllowed)?;
        self.client_for(&url)
    }

    /// Resolves names for a foreign client, by the rules for this endpoint.
    ///
    /// # Errors
    /// The host is not allowed.
    pub fn resolver_for_endpoint(&self, endpoint: &Endpoint) -> Result<CheckedNames, FetchError> {
        let url = Url::parse(&endpoint.to_string()).map_err(|_| FetchError::NotAllowed)?;
        let public_only = !self.may_be_private(&url)?;
        Ok(CheckedNames { names: self.0.names.clone(), public_only })
    }

    /// Whether the host may have any address because it is allowed by name.
    fn may_be_private(&self, url: &Url) -> Result<bool, FetchError> {
        let Inner { allowed, .. } = &*self.0;
        allowed.check("url", url).map_err(|_| FetchError::NotAllowed)?;
        Ok(allowed.allows(url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0)))
    }

    /// Allowed hosts may have any address, all others only public ones. An address in the URL
    /// itself is checked here, because nobody resolves it.
    fn client_for(&self, url: &Url) -> Result<&Client, FetchError> {
        let is_allowed = self.may_be_private(url)?;
        let Inner { names, to_public, to_allowed, .. } = &*self.0;
        let client = if is_allowed { to_allowed } else { to_public };
        let made = client.get_or_init(|| {
            let resolver = CheckedNames { names: names.clone(), public_only: !is_allowed };
            builder().https_only(!is_allowed).dns_resolver(resolver).build().ok()
        });
        made.as_ref().ok_or(FetchError::NoClient)
    }
}

fn builder() -> reqwest::ClientBuilder {
    Client::builder()
        .user_agent(concat!("presign-gateway/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        // A proxy would resolve names by itself.
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        // A connection that was kept would outlive the check of its address.
        .pool_max_idle_per_host(0)
}

/// Reads the body and stops if it is too long, whatever length the server declared.
async fn read(mut response: Response, max_bytes: usize) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| kind(&error))? {
        if body.len() + chunk.len() > max_bytes {
            return Err(FetchError::TooLong(max_bytes));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

impl Resolution {
    async fn addresses(&self, name: &str) -> std::io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((name, 0)).await?.collect()),
            Self::Fixed(names) => names
                .get(name)
                .map(|addresses| addresses.iter().map(|address| SocketAddr::new(*address, 0)).collect())
                .ok_or_else(|| std::io::ErrorKind::NotFound.into()),
        }
    }
}

/// Resolves names, only to public addresses unless others are allowed. The connection uses one of
/// these addresses, so a name that changes between check and connection gains nothing.
#[derive(Debug, Clone)]
pub struct CheckedNames {
    names: Resolution,
    public_only: bool,
}

impl CheckedNames {
    /// Whether only public addresses are allowed.
    #[must_use]
    pub const fn is_public_only(&self) -> bool {
        self.public_only
    }

    /// Returns the addresses of a name that are allowed; their ports are meaningless.
    ///
    /// # Errors
    /// There is none.
    pub async fn addresses(&self, name: &str) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
        let mut addresses = self.names.addresses(name).await?;
        addresses.retain(|address| !self.public_only || is_public(address.ip()));
        if addresses.is_empty() {
            return Err(NoPublicAddress.into());
        }
        Ok(addresses)
    }
}

impl Resolve for CheckedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move { Ok(Box::new(names.addresses(name.as_str()).await?.into_iter()) as Addrs) })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no public address")]
struct NoPublicAddress;

/// The kind of a failure. The text of reqwest contains the URL.
#[must_use]
pub fn kind(error: &reqwest::Error) -> FetchError {
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(cause) = source {
        if cause.is::<NoPublicAddress>() {
            return FetchError::NotPublic;
        }
        source = cause.source();
    }
    if error.is_timeout() {
        FetchError::TimedOut
    } else if error.is_dns() {
        FetchError::NoAddress
    } else if error.is_connect() {
        FetchError::CannotConnect
    } else {
        FetchError::Broken
    }
}
