//! Usage reports for operators.

use crate::domain::tenant::Slug;
use crate::domain::usage::{Usage, UsageBy, UsageItem, UsageRange};
use crate::store::usage;

use super::{Admin, AdminError};

impl Admin {
    /// Reports the usage of one tenant, or of all.
    ///
    /// # Errors
    /// There is no such tenant, or the database is unreachable.
    pub async fn usage(
        &self,
        tenant: Option<&Slug>,
        range: UsageRange,
        by: Option<UsageBy>,
    ) -> Result<Usage, AdminError> {
        let Some(slug) = tenant else {
            return Ok(Usage::of(range, by, usage::read_any_tenant(&self.store, range, by).await?));
        };
        let tenant_id = self.get_tenant_id(slug).await?;
        let mut items = usage::read(&self.store, tenant_id, range, by).await?;
        if by == Some(UsageBy::Tenant) {
            items = items.into_iter().map(|item| UsageItem { value: Some(slug.to_string()), ..item }).collect();
        }
        Ok(Usage::of(range, by, items))
    }
}
