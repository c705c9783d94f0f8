//! API keys, of tenants and of operators.

use chrono::{DateTime, Utc};

use crate::auth::api_key::{self, GeneratedApiKey};
use crate::domain::api_key::ApiKey;
use crate::domain::caller::Scopes;
use crate::domain::ids::{ApiKeyId, TenantId};
use crate::domain::tenant::Slug;
use crate::store::api_keys;

use super::{Change, ManageError, Tenants, check_text};

/// What a new API key is for.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// `None` makes an operator's key.
    pub tenant: Option<Slug>,
    pub label: String,
    pub scopes: Scopes,
    pub expires_at: Option<DateTime<Utc>>,
}

impl Tenants {
    /// Makes an API key; its text is returned this once and stored nowhere.
    ///
    /// # Errors
    /// There is no such tenant, or the label does not fit.
    pub async fn create_api_key(&self, new: NewApiKey) -> Result<GeneratedApiKey, ManageError> {
        let generated = api_key::generate(&self.randomness);
        self.insert_api_key(new, generated.public_id.clone(), generated.secret_sha256).await?;
        Ok(generated)
    }

    /// Takes in an API key that was made elsewhere; nothing happens when it is there already.
    ///
    /// # Errors
    /// The text is no API key, or there is no such tenant.
    pub async fn ensure_api_key(&self, new: NewApiKey, text: &secrecy::SecretString) -> Result<(), ManageError> {
        let (public_id, secret_sha256) = api_key::take_apart(text)?;
        match api_keys::find_any_tenant(&self.store, &public_id).await? {
            Some(_) => Ok(()),
            None => self.insert_api_key(new, public_id, secret_sha256).await,
        }
    }

    /// The keys of a tenant, or of the operators, newest first.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn list_api_keys(&self, tenant: Option<&Slug>) -> Result<Vec<ApiKey>, ManageError> {
        let tenant_id = self.find_owner(tenant).await?;
        Ok(api_keys::list(&self.store, tenant_id).await?)
    }

    /// # Errors
    /// There is no such key, or it was revoked before.
    pub async fn revoke_api_key(&self, public_id: &str) -> Result<(), ManageError> {
        let mut transaction = self.store.begin().await?;
        let revoked = api_keys::revoke_any_tenant(&mut transaction, public_id, self.clock.now()).await?;
        let (id, tenant_id) = revoked.ok_or_else(|| ManageError::NotFound {
            what: "API key in use with the public id",
            name: public_id.to_owned(),
        })?;
        let revoked =
            Change { action: "api_key.revoke", tenant_id, id: id.uuid(), name: public_id, fields: &["revoked_at"] };
        self.audit(&mut transaction, revoked).await?;
        self.commit(transaction).await
    }

    async fn find_owner(&self, tenant: Option<&Slug>) -> Result<Option<TenantId>, ManageError> {
        match tenant {
            Some(slug) => self.get_tenant_id(slug).await.map(Some),
            None => Ok(None),
        }
    }

    async fn insert_api_key(
        &self,
        new: NewApiKey,
        public_id: String,
        secret_sha256: [u8; 32],
    ) -> Result<(), ManageError> {
        let tenant_id = self.find_owner(new.tenant.as_ref()).await?;
        let created_at = self.clock.now();
        let id = ApiKeyId::generate(created_at, &self.randomness);
        let row = ApiKey {
            id,
            public_id,
            secret_sha256,
            tenant_id,
            label: check_text("label", new.label)?,
            scopes: new.scopes,
            created_at,
            expires_at: new.expires_at,
            revoked_at: None,
            last_used_at: None,
            revision: 1,
        };
        let mut transaction = self.store.begin().await?;
        api_keys::insert(&mut transaction, &row).await?;
        let created = Change { action: "api_key.create", tenant_id, id: id.uuid(), name: &row.public_id, fields: &[] };
        self.audit(&mut transaction, created).await?;
        self.commit(transaction).await
    }
}
