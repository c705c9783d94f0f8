//! `jwt-issuer`: manages JWT issuers.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::admin::view::JwtIssuerView;
use crate::admin::{JwtIssuerChanges, NewJwtIssuer, NewVerification};
use crate::auth::jwt::diagnose::TokenCheck;
use crate::domain::caller::Scopes;
use crate::domain::egress::AllowedHosts;
use crate::domain::ids::JwtIssuerId;
use crate::domain::jwt_issuer::{JwksUrl, JwtAlgorithm, JwtIssuer};
use crate::domain::page::Page;
use crate::domain::tenant::Slug;

use super::context::Context;
use super::output;
use super::secret::{SecretSource, read_secret};

const EXAMPLES: &str = "\
Examples:
  presign-gateway jwt-issuer add my-app --issuer https://auth.example.com --audience uploads --algorithm ES256 \\
      --jwks-url https://auth.example.com/.well-known/jwks.json
  presign-gateway jwt-issuer add my-app --issuer https://auth.example.com --audience uploads --algorithm ES256 --pem-file issuer.pem
  presign-gateway jwt-issuer add my-app --issuer my-backend --audience uploads --algorithm HS256 --secret-stdin
  presign-gateway jwt-issuer list my-app
  presign-gateway jwt-issuer test my-app ID --token-stdin < token.txt";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum JwtIssuerCommand {
    /// Accept an issuer's tokens for a tenant's callers.
    Add(Box<Add>),
    /// Show a tenant's issuers.
    List {
        /// The tenant's short name.
        tenant: String,
    },
    /// Show one issuer.
    Show(Named),
    /// Change an issuer; other fields stay. Its issuer and audience cannot change: add another instead.
    Update(Box<Update>),
    /// Archive an issuer: reject its tokens permanently.
    #[command(visible_alias = "remove")]
    Archive(Named),
    /// Show which checks a token passes; fails unless it passes all.
    Test(Test),
}

/// One issuer of one tenant.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// The tenant's short name.
    tenant: String,
    /// The issuer's id, as `list` shows it.
    #[arg(value_parser = parse_id)]
    id: JwtIssuerId,
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The tenant's short name.
    tenant: String,
    /// The tokens' `iss`, exactly.
    #[arg(long)]
    issuer: String,
    /// The tokens' `aud`, exactly; the pair of `iss` and `aud` identifies one tenant.
    #[arg(long)]
    audience: String,
    /// HS256, RS256, PS256, ES256 or EdDSA.
    #[arg(long)]
    algorithm: String,
    #[command(flatten)]
    keys: KeyArguments,
    /// Tolerated clock difference, in seconds.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    leeway: u32,
    /// Scopes of its tokens, separated by commas; a token's own scopes can only narrow them.
    #[arg(long, default_value = "uploads:issue", value_name = "LIST")]
    scopes: String,
    /// The claim that holds a token's own scopes: a string with spaces, or a list.
    #[arg(long, default_value = "scope", value_name = "CLAIM")]
    scopes_claim: String,
}

#[derive(Debug, Args)]
pub(super) struct Update {
    #[command(flatten)]
    named: Named,
    /// HS256, RS256, PS256, ES256 or EdDSA.
    #[arg(long)]
    algorithm: Option<String>,
    #[command(flatten)]
    keys: KeyArguments,
    /// Tolerated clock difference, in seconds.
    #[arg(long, value_name = "SECONDS")]
    leeway: Option<u32>,
    /// Scopes of its tokens, separated by commas; a token's own scopes can only narrow them.
    #[arg(long, value_name = "LIST")]
    scopes: Option<String>,
    /// The claim that holds a token's own scopes: a string with spaces, or a list.
    #[arg(long, value_name = "CLAIM")]
    scopes_claim: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Test {
    #[command(flatten)]
    named: Named,
    /// Read the token from standard input.
    #[arg(long)]
    token_stdin: bool,
}

/// What signatures are checked with.
#[derive(Debug, Args)]
struct KeyArguments {
    #[command(flatten)]
    secret: SecretSource,
    /// The URL of the issuer's JSON Web Key Set.
    #[arg(long, value_name = "URL", conflicts_with_all = ["jwks_file", "pem_file", "secret_stdin", "secret_file"])]
    jwks_url: Option<String>,
    /// A file with the issuer's JSON Web Key Set.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pem_file", "secret_stdin", "secret_file"])]
    jwks_file: Option<PathBuf>,
    /// A file with the issuer's public key in PEM.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["secret_stdin", "secret_file"])]
    pem_file: Option<PathBuf>,
}

impl JwtIssuerCommand {
    /// Fails when a test does.
    pub async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Add(add) => add.run(context).await?,
            Self::List { tenant } => {
                let issuers = context.tenants()?.list_jwt_issuers(&Slug::parse(&tenant)?).await?;
                show_all(context, issuers)?;
            }
            Self::Show(named) => {
                show(context, &context.tenants()?.get_jwt_issuer(&named.slug()?, named.id).await?)?;
            }
            Self::Update(update) => update.run(context).await?,
            Self::Archive(named) => {
                let archived = context.tenants()?.archive_jwt_issuer(&named.slug()?, named.id).await?;
                let sentence =
                    format!("tokens of the issuer {} no longer authenticate callers of {}", named.id, named.tenant);
                output::show_one(context.output, &sentence, &JwtIssuerView::from(&archived))?;
            }
            Self::Test(test) => return test.run(context).await,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Named {
    fn slug(&self) -> anyhow::Result<Slug> {
        Ok(Slug::parse(&self.tenant)?)
    }
}

fn parse_id(text: &str) -> Result<JwtIssuerId, &'static str> {
    text.parse::<uuid::Uuid>().map(JwtIssuerId::from).map_err(|_| "it must be an issuer's id, as `list` shows it")
}

impl Add {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let (tenants, keyring, config) = context.tenants_and_keyring()?;
        let slug = Slug::parse(&self.tenant)?;
        let algorithm: JwtAlgorithm = self.algorithm.parse()?;
        let verification = match self.keys.read(&config.outbound.allowed_hosts)? {
            Some(verification) => verification,
            None if algorithm == JwtAlgorithm::Hs256 => self.keys.read_secret()?,
            None => anyhow::bail!("no public key: give --jwks-url URL, --jwks-file FILE or --pem-file FILE"),
        };
        let new = NewJwtIssuer {
            issuer: self.issuer,
            audience: self.audience,
            algorithm,
            verification,
            leeway_seconds: self.leeway,
            scopes: parse_scopes(&self.scopes)?,
            scopes_claim: self.scopes_claim,
        };
        let added = tenants.add_jwt_issuer(&slug, new, &keyring).await?;
        output::show_one(
            context.output,
            &format!(
                "tokens of this issuer now authenticate callers of {slug}; test one with: presign-gateway jwt-issuer test {slug} {} --token-stdin",
                added.id
            ),
            &JwtIssuerView::from(&added),
        )
    }
}

impl Update {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let (tenants, keyring, config) = context.tenants_and_keyring()?;
        let changes = JwtIssuerChanges {
            algorithm: self.algorithm.as_deref().map(str::parse).transpose()?,
            verification: self.keys.read(&config.outbound.allowed_hosts)?,
            leeway_seconds: self.leeway,
            scopes: self.scopes.as_deref().map(parse_scopes).transpose()?,
            scopes_claim: self.scopes_claim,
        };
        let Named { id, .. } = self.named;
        let updated = tenants.update_jwt_issuer(&self.named.slug()?, id, changes, None, &keyring).await?;
        show(context, &updated)
    }
}

impl Test {
    async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let (tenants, keyring, _) = context.tenants_and_keyring()?;
        let token = read_secret("token", "token", "--token-stdin", self.token_stdin, None)?;
        let slug = self.named.slug()?;
        let checks = tenants.test_jwt_issuer(&slug, self.named.id, &token, &keyring).await?;
        output::show_all(context.output, ["check", "", "found", "expected"], &checks, |check: &TokenCheck| {
            let mark = if check.passed { "✓" } else { "✗" };
            [check.check.to_owned(), mark.to_owned(), check.found.clone(), check.expected.clone()]
        })?;
        Ok(if checks.iter().all(|check| check.passed) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl KeyArguments {
    /// What was named; `None` where nothing was.
    fn read(&self, allowed: &AllowedHosts) -> anyhow::Result<Option<NewVerification>> {
        let read =
            |file: &Path| std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()));
        Ok(match (&self.jwks_url, &self.jwks_file, &self.pem_file) {
            (Some(url), ..) => Some(NewVerification::JwksUrl(JwksUrl::parse(url, allowed)?)),
            (None, Some(file), _) => Some(NewVerification::Jwks(read(file)?)),
            (None, None, Some(file)) => Some(NewVerification::PublicKeyPem(read(file)?)),
            (None, None, None) if self.secret.is_named() => Some(self.read_secret()?),
            (None, None, None) => None,
        })
    }

    fn read_secret(&self) -> anyhow::Result<NewVerification> {
        Ok(NewVerification::HmacSecret(self.secret.read("HMAC secret")?))
    }
}

fn parse_scopes(list: &str) -> anyhow::Result<Scopes> {
    Ok(Scopes::parse(list.split(',').map(str::trim))?)
}

fn show(context: &Context, issuer: &JwtIssuer) -> anyhow::Result<()> {
    output::show_fields(context.output, &JwtIssuerView::from(issuer))
}

fn show_all(context: &Context, issuers: Vec<JwtIssuer>) -> anyhow::Result<()> {
    let header = ["id", "issuer", "audience", "algorithm", "verified with", "leeway", "scopes"];
    output::show_page(context.output, header, &Page::whole(issuers).view(), |issuer: &JwtIssuerView| {
        [
            issuer.id.to_string(),
            issuer.issuer.clone(),
            issuer.audience.clone(),
            issuer.algorithm.to_owned(),
            issuer.verified_with.to_owned(),
            format!("{} s", issuer.leeway_seconds),
            issuer.scopes.join(" "),
        ]
    })
}
