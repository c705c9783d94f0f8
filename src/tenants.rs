//! The operator's use cases: tenants, their buckets and their callers. Each change is audited in its own transaction.

use crate::domain::Invalid;
use crate::domain::audit_event::AuditEvent;
use crate::domain::clock::Clock;
use crate::domain::ids::{AuditEventId, TenantId};
use crate::domain::randomness::Randomness;
use crate::domain::tenant::{Policy, RateLimit, Slug, Tenant, TenantStatus};
use crate::store::{Store, StoreError, Transaction, audit_events, tenants};

mod api_keys;
mod buckets;
mod jwt_issuers;

pub use self::api_keys::NewApiKey;
pub use self::buckets::NewBucket;
pub use self::jwt_issuers::{JwtIssuerChanges, NewJwtIssuer, NewVerification};

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    #[error("there is no {what} {name}")]
    NotFound { what: &'static str, name: String },
    #[error("there is already a {what} {name}")]
    Taken { what: &'static str, name: String },
    /// Somebody else changed it since the caller read it.
    #[error("it was changed since: it is at revision {current}")]
    Stale { current: i32 },
    /// It cannot be done as things stand.
    #[error("{0}")]
    Conflict(String),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes changes in somebody's name.
#[derive(Debug, Clone)]
pub struct Tenants {
    pub store: Store,
    pub clock: Clock,
    pub randomness: Randomness,
    pub actor: Actor,
}

/// Who makes changes, and from where; for the audit.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Such as `cli:alice`, or `api_key:` and an operator's key by its public id.
    pub name: String,
    /// The client's address, or the name of the machine that a command runs on.
    pub origin: Option<String>,
}

/// One change, for the audit.
struct Change<'a> {
    /// Such as `tenant.update`.
    action: &'static str,
    tenant_id: Option<TenantId>,
    /// The changed row's.
    id: uuid::Uuid,
    /// The row's name as people know it.
    name: &'a str,
    /// Names of the fields that changed; never their values.
    fields: &'a [&'a str],
}

impl<'a> Change<'a> {
    fn of_tenant(action: &'static str, tenant: &'a Tenant, fields: &'a [&'a str]) -> Self {
        Self { action, tenant_id: Some(tenant.id), id: tenant.id.uuid(), name: tenant.slug.as_str(), fields }
    }
}

/// What a new tenant is.
#[derive(Debug, Clone)]
pub struct NewTenant {
    pub slug: Slug,
    pub name: String,
    pub rate_limit: RateLimit,
    pub policy: Policy,
}

/// What changes of a tenant; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct TenantChanges {
    pub name: Option<String>,
    pub status: Option<TenantStatus>,
    pub rate: Option<u32>,
    pub burst: Option<u32>,
    pub policy: PolicyChanges,
}

/// What changes of a tenant's policy; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct PolicyChanges {
    pub allowed_extensions: Option<crate::domain::extension::ExtensionSet>,
    pub default_expiry_seconds: Option<u32>,
    pub longest_expiry_seconds: Option<u32>,
    pub object_key_template: Option<crate::domain::object_key::Template>,
    pub time_zone: Option<chrono_tz::Tz>,
}

impl Tenants {
    /// # Errors
    /// The slug is taken, or the name is empty or too long.
    pub async fn create_tenant(&self, new: NewTenant) -> Result<Tenant, ManageError> {
        let now = self.clock.now();
        let NewTenant { slug, name, rate_limit, policy } = new;
        let id = TenantId::generate(now, &self.randomness);
        let tenant =
            Tenant { id, slug, name: check_text("name", name)?, status: TenantStatus::Active, rate_limit, policy };
        let mut transaction = self.store.begin().await?;
        tenants::save(&mut transaction, &tenant, now)
            .await
            .map_err(|error| taken(error, "tenant", tenant.slug.as_str()))?;
        self.audit(&mut transaction, Change::of_tenant("tenant.create", &tenant, &[])).await?;
        self.commit(transaction).await?;
        Ok(tenant)
    }

    /// Every tenant, by slug.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list_tenants(&self) -> Result<Vec<Tenant>, ManageError> {
        Ok(tenants::list_any_tenant(&self.store).await?)
    }

    /// # Errors
    /// There is no such tenant, or the changes do not fit together.
    pub async fn update_tenant(&self, slug: &Slug, changes: TenantChanges) -> Result<Tenant, ManageError> {
        let mut transaction = self.store.begin().await?;
        let mut tenant = tenants::lock(&mut transaction, slug).await?.ok_or_else(|| no_tenant(slug))?;
        let fields = apply(&mut tenant, changes)?;
        if !fields.is_empty() {
            tenants::save(&mut transaction, &tenant, self.clock.now()).await?;
            self.audit(&mut transaction, Change::of_tenant("tenant.update", &tenant, &fields)).await?;
        }
        self.commit(transaction).await?;
        Ok(tenant)
    }

    /// # Errors
    /// There is no such tenant.
    pub async fn get_tenant(&self, slug: &Slug) -> Result<Tenant, ManageError> {
        let id = self.get_tenant_id(slug).await?;
        tenants::find(&self.store, id).await?.ok_or_else(|| no_tenant(slug))
    }

    async fn get_tenant_id(&self, slug: &Slug) -> Result<TenantId, ManageError> {
        tenants::find_id_by_slug(&self.store, slug).await?.ok_or_else(|| no_tenant(slug))
    }

    async fn audit(&self, transaction: &mut Transaction, change: Change<'_>) -> Result<(), StoreError> {
        let at = self.clock.now();
        let event = AuditEvent {
            id: AuditEventId::generate(at, &self.randomness),
            at,
            actor: self.actor.name.clone(),
            origin: self.actor.origin.clone(),
            action: change.action.to_owned(),
            tenant_id: change.tenant_id,
            subject_id: change.id,
            subject_name: Some(change.name.to_owned()),
            changed_fields: change.fields.iter().map(|field| (*field).to_owned()).collect(),
        };
        audit_events::append(transaction, &event).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<(), ManageError> {
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }
}

/// Applies the changes and names the fields that differ afterwards.
fn apply(tenant: &mut Tenant, changes: TenantChanges) -> Result<Vec<&'static str>, Invalid> {
    let mut fields = Vec::new();
    let mut note = |field, differs: bool| {
        if differs {
            fields.push(field);
        }
    };
    if let Some(name) = changes.name {
        let name = check_text("name", name)?;
        note("name", tenant.name != name);
        tenant.name = name;
    }
    if let Some(status) = changes.status {
        note("status", tenant.status != status);
        tenant.status = status;
    }
    let current = tenant.rate_limit;
    tenant.rate_limit =
        RateLimit::new(changes.rate.unwrap_or(current.per_second.get()), changes.burst.unwrap_or(current.burst.get()))?;
    note("rate", tenant.rate_limit.per_second != current.per_second);
    note("burst", tenant.rate_limit.burst != current.burst);
    fields.extend(apply_policy(&mut tenant.policy, changes.policy)?);
    Ok(fields)
}

fn apply_policy(policy: &mut Policy, changes: PolicyChanges) -> Result<Vec<&'static str>, Invalid> {
    use crate::domain::tenant::Expiry;

    let mut next = policy.clone();
    let expiry = policy.expiry;
    next.expiry = Expiry::new(
        changes.default_expiry_seconds.unwrap_or(expiry.default_seconds),
        changes.longest_expiry_seconds.unwrap_or(expiry.longest_seconds),
    )?;
    next.allowed_extensions = changes.allowed_extensions.unwrap_or(next.allowed_extensions);
    next.object_key_template = changes.object_key_template.unwrap_or(next.object_key_template);
    next.time_zone = changes.time_zone.unwrap_or(next.time_zone);
    let differs = [
        ("allowed_extensions", next.allowed_extensions != policy.allowed_extensions),
        ("default_expiry_seconds", next.expiry.default_seconds != expiry.default_seconds),
        ("longest_expiry_seconds", next.expiry.longest_seconds != expiry.longest_seconds),
        ("object_key_template", next.object_key_template != policy.object_key_template),
        ("time_zone", next.time_zone != policy.time_zone),
    ];
    *policy = next;
    Ok(differs.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect())
}

/// A name or a label: 1 to 200 characters, none of them a control character.
fn check_text(field: &'static str, text: String) -> Result<String, Invalid> {
    let length = text.chars().count();
    if !(1..=200).contains(&length) || text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err(Invalid::new(field, "must be 1 to 200 characters of plain text"));
    }
    Ok(text)
}

fn no_tenant(slug: &Slug) -> ManageError {
    ManageError::NotFound { what: "tenant", name: slug.to_string() }
}

/// Says which name is taken, where that is what the store complains of.
fn taken(error: StoreError, what: &'static str, name: &str) -> ManageError {
    match error {
        StoreError::Taken { .. } => ManageError::Taken { what, name: name.to_owned() },
        other => other.into(),
    }
}
