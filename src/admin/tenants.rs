//! Tenants: create, list, update, suspend, resume, archive. This includes their limits and
//! policies.

use crate::domain::Invalid;
use crate::domain::ids::TenantId;
use crate::domain::page::{Page, PageRequest};
pub use crate::domain::policy::PolicyChanges;
use crate::domain::tenant::{Policy, RateLimit, Slug, Tenant, TenantStatus};
use crate::store::tenants;
pub use crate::store::tenants::TenantFilter;

use super::{Admin, AdminError, AuditEntry, check_revision, check_text, not_found, taken};

/// A new tenant.
#[derive(Debug, Clone)]
pub struct NewTenant {
    pub slug: Slug,
    pub name: String,
    pub rate_limit: RateLimit,
    /// How its policy differs from the default.
    pub policy: PolicyChanges,
}

/// Changes of a tenant; `None` keeps a value.
#[derive(Debug, Clone, Default)]
pub struct TenantChanges {
    pub name: Option<String>,
    pub rate_per_second: Option<u32>,
    pub burst: Option<u32>,
    pub policy: PolicyChanges,
}

impl Admin {
    /// # Errors
    /// The slug is taken, or a value is invalid.
    pub async fn create_tenant(&self, new: NewTenant) -> Result<Tenant, AdminError> {
        let now = self.clock.now();
        let mut tenant = Tenant {
            id: TenantId::generate(now, &self.randomness),
            slug: new.slug,
            name: check_text("name", new.name)?,
            status: TenantStatus::Active,
            rate_limit: new.rate_limit,
            policy: Policy::default_policy()?,
            created_at: now,
            updated_at: now,
            revision: 1,
        };
        tenant.policy.apply(new.policy.for_a_new_tenant())?;
        let mut transaction = self.store.begin().await?;
        let inserted = tenants::insert(&mut transaction, &tenant).await;
        inserted.map_err(|error| taken(error, "tenant", "slug", tenant.slug.as_str()))?;
        self.audit(&mut transaction, change_of("tenant.create", &tenant, &[])).await?;
        self.commit(transaction).await?;
        Ok(tenant)
    }

    /// Lists tenants by slug.
    ///
    /// # Errors
    /// The cursor belongs to another list, or the database is unreachable.
    pub async fn list_tenants(&self, filter: &TenantFilter, page: &PageRequest) -> Result<Page<Tenant>, AdminError> {
        let after = page.after(|text| Slug::parse(text).ok())?;
        let after = after.as_ref().map(Slug::as_str);
        let rows = tenants::list_any_tenant(&self.store, filter, after, page.rows_to_read()).await?;
        Ok(page.page(rows, |tenant| tenant.slug.to_string()))
    }

    /// # Errors
    /// There is no such tenant.
    pub async fn get_tenant(&self, slug: &Slug) -> Result<Tenant, AdminError> {
        let id = self.get_tenant_id(slug).await?;
        tenants::find(&self.store, id).await?.ok_or_else(|| not_found("tenant", slug))
    }

    /// Changes the named fields; `expected_revision` is what the caller read, if it must not
    /// overwrite a newer one.
    ///
    /// # Errors
    /// There is no such tenant, it has another revision, or the changes contradict each other.
    pub async fn update_tenant(
        &self,
        slug: &Slug,
        changes: TenantChanges,
        expected_revision: Option<i32>,
    ) -> Result<Tenant, AdminError> {
        let update = |tenant: &mut Tenant| {
            if tenant.status == TenantStatus::Archived {
                return Err(AdminError::Conflict("this tenant is archived: resume it first".to_owned()));
            }
            Ok(apply(tenant, changes)?)
        };
        self.change_tenant("tenant.update", slug, expected_revision, update).await
    }

    /// Suspends a tenant, resumes it, or archives it.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn set_tenant_status(&self, slug: &Slug, status: TenantStatus) -> Result<Tenant, AdminError> {
        let action = match status {
            TenantStatus::Active => "tenant.resume",
            TenantStatus::Suspended => "tenant.suspend",
            TenantStatus::Archived => "tenant.archive",
        };
        let set = |tenant: &mut Tenant| {
            if tenant.status == TenantStatus::Archived && status == TenantStatus::Suspended {
                return Err(AdminError::Conflict(
                    "this tenant is archived, so its callers are already rejected".to_owned(),
                ));
            }
            let differs = tenant.status != status;
            tenant.status = status;
            Ok(if differs { vec!["status"] } else { vec![] })
        };
        self.change_tenant(action, slug, None, set).await
    }

    pub(super) async fn get_tenant_id(&self, slug: &Slug) -> Result<TenantId, AdminError> {
        tenants::find_id_by_slug(&self.store, slug).await?.ok_or_else(|| not_found("tenant", slug))
    }

    /// Writes a change with the names of the changed fields. Without a change it writes nothing.
    async fn change_tenant(
        &self,
        action: &'static str,
        slug: &Slug,
        expected_revision: Option<i32>,
        change: impl FnOnce(&mut Tenant) -> Result<Vec<&'static str>, AdminError>,
    ) -> Result<Tenant, AdminError> {
        let mut transaction = self.store.begin().await?;
        let found = tenants::lock(&mut transaction, slug).await?;
        let mut tenant = found.ok_or_else(|| not_found("tenant", slug))?;
        check_revision(expected_revision, tenant.revision)?;
        let fields = change(&mut tenant)?;
        if !fields.is_empty() {
            tenant.updated_at = self.clock.now();
            tenant.revision = tenants::update(&mut transaction, &tenant).await?;
            self.audit(&mut transaction, change_of(action, &tenant, &fields)).await?;
        }
        self.commit(transaction).await?;
        Ok(tenant)
    }
}

fn change_of<'a>(action: &'static str, tenant: &'a Tenant, fields: &'a [&'a str]) -> AuditEntry<'a> {
    AuditEntry { action, tenant_id: Some(tenant.id), id: tenant.id.uuid(), name: tenant.slug.as_str(), fields }
}

/// Applies the changes and returns the names of the fields that differ.
fn apply(tenant: &mut Tenant, changes: TenantChanges) -> Result<Vec<&'static str>, Invalid> {
    let name = changes.name.map_or_else(|| Ok(tenant.name.clone()), |name| check_text("name", name))?;
    let current = tenant.rate_limit;
    let rate_limit = RateLimit::new(
        changes.rate_per_second.unwrap_or(current.per_second.get()),
        changes.burst.unwrap_or(current.burst.get()),
    )?;
    let policy_fields = tenant.policy.apply(changes.policy)?;
    let differs = [
        ("name", tenant.name != name),
        ("rate_per_second", rate_limit.per_second != current.per_second),
        ("burst", rate_limit.burst != current.burst),
    ];
    tenant.name = name;
    tenant.rate_limit = rate_limit;
    Ok(named(&differs).chain(policy_fields).collect())
}

/// The names of the fields that differ.
fn named(differs: &[(&'static str, bool)]) -> impl Iterator<Item = &'static str> {
    differs.iter().filter(|(_, differs)| *differs).map(|(field, _)| *field)
}
