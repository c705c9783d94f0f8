//! API keys of tenants and operators: create, list, update, revoke, rotate.
//!
//! The text of a key is returned once, when it is created, and is never stored.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;

use crate::auth::api_key::{self, GeneratedApiKey};
use crate::domain::Invalid;
use crate::domain::api_key::ApiKey;
use crate::domain::caller::Scopes;
use crate::domain::ids::ApiKeyId;
use crate::domain::page::{Page, PageRequest};
use crate::domain::tenant::Slug;
use crate::store::Transaction;
use crate::store::api_keys::{self, Owner};

use super::{Admin, AdminError, AuditEntry, check_revision, check_text, not_found};

/// A new API key.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// `None` makes an operator's key.
    pub tenant: Option<Slug>,
    pub label: String,
    pub scopes: Scopes,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Changes of an API key: `None` keeps a value, `Some(None)` removes it.
#[derive(Debug, Clone, Default)]
pub struct ApiKeyChanges {
    pub label: Option<String>,
    pub scopes: Option<Scopes>,
    pub expires_at: Option<Option<DateTime<Utc>>>,
}

/// Maximum lifetime of a key. A longer one is a mistake or means forever.
const MAX_LIFE: TimeDelta = TimeDelta::days(36_525);
/// Maximum overlap of a replaced key: 90 days.
const MAX_OVERLAP_SECONDS: u32 = 90 * 24 * 3600;

impl Admin {
    /// Creates an API key. Its text is returned once and never stored.
    ///
    /// # Errors
    /// There is no such tenant, or a value is invalid.
    pub async fn create_api_key(&self, new: NewApiKey) -> Result<(ApiKey, SecretString), AdminError> {
        let generated = api_key::generate(&self.randomness);
        let owner = self.get_owner(new.tenant.as_ref()).await?;
        let row = self.new_row(new, owner, &generated)?;
        let mut transaction = self.store.begin().await?;
        self.insert(&mut transaction, &row).await?;
        self.commit(transaction).await?;
        Ok((row, generated.text))
    }

    /// Stores an API key that was generated elsewhere, unless it exists.
    ///
    /// # Errors
    /// The text is not an API key, or there is no such tenant.
    pub async fn ensure_api_key(&self, new: NewApiKey, text: &SecretString) -> Result<(), AdminError> {
        let (public_id, secret_sha256) = api_key::take_apart(text)?;
        if api_keys::find_any_tenant(&self.store, &public_id).await?.is_some() {
            return Ok(());
        }
        let owner = self.get_owner(new.tenant.as_ref()).await?;
        let generated = GeneratedApiKey { text: text.clone(), public_id, secret_sha256 };
        let row = self.new_row(new, owner, &generated)?;
        let mut transaction = self.store.begin().await?;
        self.insert(&mut transaction, &row).await?;
        self.commit(transaction).await
    }

    /// Lists the keys of a tenant, or of the operators, newest first.
    ///
    /// # Errors
    /// There is no such tenant, or the cursor belongs to another list.
    pub async fn list_api_keys(&self, tenant: Option<&Slug>, page: &PageRequest) -> Result<Page<ApiKey>, AdminError> {
        let after = page.after(|text| text.parse::<uuid::Uuid>().ok())?.map(ApiKeyId::from);
        let owner = self.get_owner(tenant).await?;
        let rows = api_keys::list(&self.store, owner, after, page.rows_to_read()).await?;
        Ok(page.page(rows, |row| row.id.to_string()))
    }

    /// # Errors
    /// There is no such key.
    pub async fn get_api_key(&self, public_id: &str) -> Result<ApiKey, AdminError> {
        api_keys::find_any_tenant(&self.store, public_id).await?.ok_or_else(|| not_found("API key", public_id))
    }

    /// Changes the named fields.
    ///
    /// # Errors
    /// There is no such key, it is revoked, it has another revision, or it is the operators' last
    /// key and would expire.
    pub async fn update_api_key(
        &self,
        public_id: &str,
        changes: ApiKeyChanges,
        expected_revision: Option<i32>,
    ) -> Result<ApiKey, AdminError> {
        let mut transaction = self.store.begin().await?;
        let mut api_key = lock_usable(&mut transaction, public_id).await?;
        check_revision(expected_revision, api_key.revision)?;
        let before = api_key.clone();
        let fields = self.apply(&mut api_key, changes)?;
        if !fields.is_empty() {
            if let Some(end) = api_key.expires_at.filter(|end| before.expires_at.is_none_or(|before| before > *end)) {
                self.keep_an_operators_key(&mut transaction, &before, end).await?;
            }
            self.save(&mut transaction, "api_key.update", &mut api_key, &fields).await?;
        }
        self.commit(transaction).await?;
        Ok(api_key)
    }

    /// Revokes a key. A key that is already revoked does not change.
    ///
    /// # Errors
    /// There is no such key, or it is the operators' last one.
    pub async fn revoke_api_key(&self, public_id: &str) -> Result<ApiKey, AdminError> {
        let mut transaction = self.store.begin().await?;
        let found = api_keys::lock_any_tenant(&mut transaction, public_id).await?;
        let mut api_key = found.ok_or_else(|| not_found("API key", public_id))?;
        if api_key.revoked_at.is_none() {
            let now = self.clock.now();
            self.keep_an_operators_key(&mut transaction, &api_key, now).await?;
            api_key.revoked_at = Some(now);
            self.save(&mut transaction, "api_key.revoke", &mut api_key, &["revoked_at"]).await?;
        }
        self.commit(transaction).await?;
        Ok(api_key)
    }

    /// Creates a key with the same rights and lets the old one expire after `overlap_seconds`. The
    /// new key expires at `expires_at`; for `None` it gets the lifetime of the old one, from now.
    ///
    /// # Errors
    /// There is no such key, or it is expired or revoked.
    pub async fn rotate_api_key(
        &self,
        public_id: &str,
        overlap_seconds: u32,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<(ApiKey, SecretString), AdminError> {
        if overlap_seconds > MAX_OVERLAP_SECONDS {
            return Err(Invalid::new("overlap_seconds", format!("must be 0 to {MAX_OVERLAP_SECONDS}")).into());
        }
        let mut transaction = self.store.begin().await?;
        let mut old = lock_usable(&mut transaction, public_id).await?;
        let generated = api_key::generate(&self.randomness);
        let now = self.clock.now();
        if old.expires_at.is_some_and(|end| end <= now) {
            return Err(AdminError::Conflict("this API key has expired: create a new one".to_owned()));
        }
        let as_long = old.expires_at.map(|end| now + (end - old.created_at));
        let new = ApiKey {
            id: ApiKeyId::generate(now, &self.randomness),
            public_id: generated.public_id.clone(),
            secret_sha256: generated.secret_sha256,
            created_at: now,
            expires_at: check_expiry(expires_at, now)?.or(as_long),
            last_used_at: None,
            revision: 1,
            ..old.clone()
        };
        self.insert(&mut transaction, &new).await?;
        let end = now + TimeDelta::seconds(overlap_seconds.into());
        old.expires_at = Some(old.expires_at.map_or(end, |expires_at| expires_at.min(end)));
        self.save(&mut transaction, "api_key.rotate", &mut old, &["expires_at"]).await?;
        self.commit(transaction).await?;
        Ok((new, generated.text))
    }

    async fn get_owner(&self, tenant: Option<&Slug>) -> Result<Owner, AdminError> {
        match tenant {
            Some(slug) => self.get_tenant_id(slug).await.map(Owner::Tenant),
            None => Ok(Owner::Operators),
        }
    }

    fn new_row(&self, new: NewApiKey, owner: Owner, generated: &GeneratedApiKey) -> Result<ApiKey, Invalid> {
        let now = self.clock.now();
        Ok(ApiKey {
            id: ApiKeyId::generate(now, &self.randomness),
            public_id: generated.public_id.clone(),
            secret_sha256: generated.secret_sha256,
            tenant_id: owner.tenant_id(),
            label: check_text("label", new.label)?,
            scopes: new.scopes,
            created_at: now,
            expires_at: check_expiry(new.expires_at, now)?,
            revoked_at: None,
            last_used_at: None,
            revision: 1,
        })
    }

    fn apply(&self, api_key: &mut ApiKey, changes: ApiKeyChanges) -> Result<Vec<&'static str>, AdminError> {
        let mut fields = Vec::new();
        if let Some(label) = changes.label.filter(|label| *label != api_key.label) {
            api_key.label = check_text("label", label)?;
            fields.push("label");
        }
        if let Some(scopes) = changes.scopes.filter(|scopes| *scopes != api_key.scopes) {
            if api_key.tenant_id.is_none() {
                return Err(Invalid::new("scopes", "must be omitted: operator keys have none").into());
            }
            api_key.scopes = scopes;
            fields.push("scopes");
        }
        if let Some(expires_at) = changes.expires_at.filter(|expires_at| *expires_at != api_key.expires_at) {
            api_key.expires_at = check_expiry(expires_at, self.clock.now())?;
            fields.push("expires_at");
        }
        Ok(fields)
    }

    /// Protects the operators' last key: another key must be valid for a day from `end`, or for as
    /// long as this one would have been.
    async fn keep_an_operators_key(
        &self,
        transaction: &mut Transaction,
        leaving: &ApiKey,
        end: DateTime<Utc>,
    ) -> Result<(), AdminError> {
        let works = leaving.expires_at.is_none_or(|expires_at| expires_at > self.clock.now());
        if leaving.tenant_id.is_some() || !works {
            return Ok(());
        }
        let a_day_later = end + TimeDelta::days(1);
        let needed_until = leaving.expires_at.map_or(a_day_later, |expires_at| expires_at.min(a_day_later));
        match api_keys::count_other_operators_keys(transaction, leaving.id, needed_until).await? {
            0 => Err(AdminError::Conflict(
                "no other operator key is valid for another day: create one first, or extend one".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    async fn insert(&self, transaction: &mut Transaction, row: &ApiKey) -> Result<(), AdminError> {
        api_keys::insert(transaction, row).await?;
        Ok(self.audit(transaction, change_of("api_key.create", row, &[])).await?)
    }

    async fn save(
        &self,
        transaction: &mut Transaction,
        action: &'static str,
        api_key: &mut ApiKey,
        fields: &[&str],
    ) -> Result<(), AdminError> {
        api_key.revision = api_keys::save(transaction, api_key).await?;
        Ok(self.audit(transaction, change_of(action, api_key, fields)).await?)
    }
}

fn change_of<'a>(action: &'static str, api_key: &'a ApiKey, fields: &'a [&'a str]) -> AuditEntry<'a> {
    let ApiKey { id, tenant_id, public_id, .. } = api_key;
    AuditEntry { action, tenant_id: *tenant_id, id: id.uuid(), name: public_id, fields }
}

async fn lock_usable(transaction: &mut Transaction, public_id: &str) -> Result<ApiKey, AdminError> {
    let found = api_keys::lock_any_tenant(transaction, public_id).await?;
    let api_key = found.ok_or_else(|| not_found("API key", public_id))?;
    if api_key.revoked_at.is_some() {
        return Err(AdminError::Conflict("a revoked API key cannot be changed".to_owned()));
    }
    Ok(api_key)
}

fn check_expiry(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Invalid> {
    match expires_at {
        Some(expires_at) if expires_at <= now => {
            Err(Invalid::new("expires_at", "must be a time in the future; to end a key at once, revoke it"))
        }
        Some(expires_at) if expires_at - now > MAX_LIFE => {
            Err(Invalid::new("expires_at", "must be within 100 years; leave it out for a key that never expires"))
        }
        other => Ok(other),
    }
}
