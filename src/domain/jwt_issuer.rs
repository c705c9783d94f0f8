//! A JWT issuer: signs the tokens of a tenant's users.

use chrono::{DateTime, Utc};
use strum::{EnumString, IntoStaticStr};
use url::Url;

use super::Invalid;
use super::caller::Scopes;
use super::egress::AllowedHosts;
use super::ids::{JwtIssuerId, TenantId};

/// A JWT issuer with its sealed secret.
#[derive(Debug, Clone, Hash)]
pub struct JwtIssuer {
    pub id: JwtIssuerId,
    pub tenant_id: TenantId,
    /// The tokens' `iss`. With the audience it identifies one tenant; neither ever changes.
    pub issuer: String,
    /// The tokens' `aud`.
    pub audience: String,
    pub algorithm: JwtAlgorithm,
    pub verification: Verification,
    pub leeway_seconds: u32,
    /// The scopes of a token without a scopes claim, and the maximum of a token with one.
    pub scopes: Scopes,
    /// The name of the scopes claim.
    pub scopes_claim: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub archived_at: Option<DateTime<Utc>>,
    /// Revision of the row, from 1.
    pub revision: i32,
}

/// The keys that verify an issuer's signatures.
#[derive(Debug, Clone, Hash)]
pub enum Verification {
    SealedHmacSecret {
        sealing_key_id: String,
        sealed: Vec<u8>,
        /// Number of secrets that the issuer has had. Sealed secrets are bound to it.
        version: i32,
    },
    /// A JSON Web Key Set (RFC 7517).
    Jwks(String),
    /// The URL of the issuer's JSON Web Key Set.
    JwksUrl(JwksUrl),
    PublicKeyPem(String),
}

/// Maximum length of the URL of a JWKS in bytes.
const MAX_JWKS_URL_BYTES: usize = 2000;

/// The URL of an issuer's JSON Web Key Set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JwksUrl(Url);

impl JwksUrl {
    /// Parses a URL such as `https://auth.example.com/.well-known/jwks.json`.
    ///
    /// # Errors
    /// Too long; not https or not a public host, unless allowed; user info or a fragment.
    pub fn parse(text: &str, allowed: &AllowedHosts) -> Result<Self, Invalid> {
        let invalid = |expected: String| Invalid::new("jwks_url", expected);
        let url = Url::parse(text)
            .map_err(|_| invalid("must be a URL such as https://auth.example.com/.well-known/jwks.json".to_owned()))?;
        if url.as_str().len() > MAX_JWKS_URL_BYTES {
            return Err(invalid(format!("must be at most {MAX_JWKS_URL_BYTES} bytes long")));
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(invalid("must have no user name, password or fragment".to_owned()));
        }
        allowed.check("jwks_url", &url)?;
        Ok(Self(url))
    }

    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Its host, which may be logged. The query may contain a secret.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

/// The only signature algorithm of an issuer. The token's own claim about it is never trusted (RFC
/// 8725, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE", const_into_str, parse_err_ty = Invalid, parse_err_fn = not_algorithm)]
pub enum JwtAlgorithm {
    Hs256,
    Rs256,
    Ps256,
    Es256,
    #[strum(serialize = "EdDSA")]
    EdDsa,
}

impl JwtAlgorithm {
    pub const ALL: [Self; 5] = [Self::Hs256, Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// Its name in RFC 7518, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

fn not_algorithm(_: &str) -> Invalid {
    Invalid::new("algorithm", "must be one of: HS256, RS256, PS256, ES256, EdDSA")
}
