//! `jwt-issuer`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use crate::domain::caller::Scopes;
use crate::domain::jwt_issuer::JwtAlgorithm;
use crate::domain::jwt_issuer::{JwtIssuer, Verification};
use crate::domain::tenant::Slug;
use crate::tenants::{NewJwtIssuer, NewVerification};

use super::context::Context;
use super::output;
use super::secret::SecretSource;

const EXAMPLES: &str = "\
Examples:
  presign-gateway jwt-issuer add my-app --issuer https://auth.example.com --audience uploads --algorithm HS256 --secret-stdin
  presign-gateway jwt-issuer add my-app --issuer https://auth.example.com --audience uploads --algorithm ES256 --jwks-file jwks.json
  presign-gateway jwt-issuer list my-app";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum JwtIssuerCommand {
    /// Let an issuer's tokens speak for a tenant.
    Add(Box<Add>),
    /// Show a tenant's issuers.
    List { tenant: String },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    tenant: String,
    /// The tokens' `iss`, exactly.
    #[arg(long)]
    issuer: String,
    /// The tokens' `aud`, exactly; the pair of both names one tenant.
    #[arg(long)]
    audience: String,
    /// HS256, RS256, ES256 or EdDSA.
    #[arg(long)]
    algorithm: String,
    #[command(flatten)]
    secret: SecretSource,
    /// A file with the issuer's JSON Web Key Set.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pem_file", "secret_stdin", "secret_file"])]
    jwks_file: Option<PathBuf>,
    /// A file with the issuer's public key in PEM.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["secret_stdin", "secret_file"])]
    pem_file: Option<PathBuf>,
    /// How far clocks may differ, in seconds.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    leeway: u32,
    /// What tokens may do, with commas; a token's own `scope` claim can only narrow it.
    #[arg(long, default_value = "uploads:issue", value_name = "LIST")]
    scopes: String,
}

impl JwtIssuerCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::Add(add) => add.run(context).await,
            Self::List { tenant } => {
                let issuers = context.tenants()?.list_jwt_issuers(&Slug::parse(&tenant)?).await?;
                show(context, &issuers)
            }
        }
    }
}

impl Add {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let (tenants, keyring, _) = context.tenants_and_keyring()?;
        let slug = Slug::parse(&self.tenant)?;
        let verification = self.verification()?;
        let new = NewJwtIssuer {
            issuer: self.issuer,
            audience: self.audience,
            algorithm: self.algorithm.parse()?,
            verification,
            leeway_seconds: self.leeway,
            scopes: Scopes::parse(self.scopes.split(',').map(str::trim))?,
            scopes_claim: "scope".to_owned(),
        };
        let id = tenants.add_jwt_issuer(&slug, new, &keyring).await?.id;
        output::show_one(
            context.output,
            &format!("tokens of this issuer now speak for {slug}"),
            &json!({ "id": id, "tenant": slug.as_str() }),
        )
    }

    fn verification(&self) -> anyhow::Result<NewVerification> {
        let read =
            |file: &Path| std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()));
        Ok(match (&self.jwks_file, &self.pem_file) {
            (Some(file), _) => NewVerification::Jwks(read(file)?),
            (None, Some(file)) => NewVerification::PublicKeyPem(read(file)?),
            (None, None) if self.algorithm == JwtAlgorithm::Hs256.as_str() || self.secret.is_named() => {
                NewVerification::HmacSecret(self.secret.read("HMAC secret")?)
            }
            (None, None) => anyhow::bail!("no public key: give --jwks-file FILE or --pem-file FILE"),
        })
    }
}

/// An issuer as it is shown.
#[derive(Serialize)]
struct Row<'a> {
    id: String,
    issuer: &'a str,
    audience: &'a str,
    algorithm: &'static str,
    verified_with: &'static str,
    leeway_seconds: u32,
    scopes: Vec<String>,
}

fn show(context: &Context, issuers: &[JwtIssuer]) -> anyhow::Result<()> {
    fn row(issuer: &JwtIssuer) -> Row<'_> {
        let JwtIssuer { id, issuer, audience, algorithm, verification, leeway_seconds, scopes, .. } = issuer;
        let verified_with = match verification {
            Verification::SealedHmacSecret { .. } => "secret",
            Verification::Jwks(_) => "JWKS",
            Verification::JwksUrl(_) => "JWKS URL",
            Verification::PublicKeyPem(_) => "PEM",
        };
        Row {
            id: id.to_string(),
            issuer,
            audience,
            algorithm: algorithm.as_str(),
            verified_with,
            leeway_seconds: *leeway_seconds,
            scopes: scopes.texts(),
        }
    }
    let rows: Vec<_> = issuers.iter().map(row).collect();
    let header = ["issuer", "audience", "algorithm", "verified with", "leeway", "scopes"];
    output::show_all(context.output, header, &rows, |row| {
        [
            row.issuer.to_owned(),
            row.audience.to_owned(),
            row.algorithm.to_owned(),
            row.verified_with.to_owned(),
            format!("{} s", row.leeway_seconds),
            row.scopes.join(" "),
        ]
    })
}
