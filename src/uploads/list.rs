//! Lists uploads: a page of those that match, for one tenant or for operators.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::caller::Scope;
use crate::domain::clock::Clock;
use crate::domain::ids::{TenantId, UploadId};
use crate::domain::page::Page;
use crate::domain::search::{Order, Position, Search, UploadFilter};
use crate::domain::tenant::Slug;
use crate::domain::upload::Upload;
use crate::domain::usage::{Usage, UsageBy, UsageRange};
use crate::rate_limit::Admitted;
use crate::store::uploads::search::{FoundPage, SearchQuery};
use crate::store::{Store, tenants, uploads, usage};

use super::{UploadError, demand, find_for};

/// Maximum rows that one page examines if no index finds the matching ones: some 50 ms.
const WINDOW_ROWS: i64 = 20_000;

/// Reads uploads: one, a page, or how many were issued. The command line makes one without the other use cases.
#[derive(Debug, Clone)]
pub struct UploadReader {
    store: Store,
    clock: Clock,
    window_rows: i64,
}

/// Whose uploads are visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TenantScope {
    Tenant(TenantId),
    /// For operators.
    All,
}

impl TenantScope {
    pub(super) const fn tenant_id(self) -> Option<TenantId> {
        match self {
            Self::Tenant(tenant_id) => Some(tenant_id),
            Self::All => None,
        }
    }
}

impl UploadReader {
    #[must_use]
    pub const fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, window_rows: WINDOW_ROWS }
    }

    /// Examines fewer rows for each page; for tests.
    #[must_use]
    pub fn with_window(self, window_rows: i64) -> Self {
        Self { window_rows, ..self }
    }

    /// The current time, which usage is read up to unless the caller names another.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// An upload of the caller's tenant.
    ///
    /// # Errors
    /// There is none of this id, or the caller may not read it.
    pub async fn show(&self, admitted: &Admitted, id: UploadId) -> Result<Upload, UploadError> {
        find_for(&self.store, demand(admitted, Scope::UploadsRead)?, id).await
    }

    /// A page of the uploads of the caller's tenant.
    ///
    /// # Errors
    /// The caller may not read them, or the cursor is none of this list's.
    pub async fn list(&self, admitted: &Admitted, search: &Search) -> Result<Page<Upload>, UploadError> {
        let caller = demand(admitted, Scope::UploadsRead)?;
        self.page(TenantScope::Tenant(caller.tenant.id), search).await
    }

    /// The usage of the caller's tenant.
    ///
    /// # Errors
    /// The caller may not read uploads, or the database is away.
    pub async fn usage(
        &self,
        admitted: &Admitted,
        range: UsageRange,
        by: Option<UsageBy>,
    ) -> Result<Usage, UploadError> {
        let caller = demand(admitted, Scope::UploadsRead)?;
        let items = usage::read(&self.store, caller.tenant.id, range, by).await?;
        Ok(Usage::of(range, by, items))
    }

    /// A page of a tenant's uploads, or of all; for operators.
    ///
    /// # Errors
    /// There is no such tenant, or the cursor belongs to another list.
    pub async fn list_any_tenant(&self, tenant: Option<&Slug>, search: &Search) -> Result<Page<Upload>, UploadError> {
        self.page(self.reach(tenant).await?, search).await
    }

    /// Returns an upload of any tenant; for operators.
    ///
    /// # Errors
    /// There is no such upload.
    pub async fn show_any_tenant(&self, id: UploadId) -> Result<Upload, UploadError> {
        uploads::find_any_tenant(&self.store, id).await?.ok_or(UploadError::NotFound)
    }

    pub(super) async fn reach(&self, tenant: Option<&Slug>) -> Result<TenantScope, UploadError> {
        let Some(slug) = tenant else { return Ok(TenantScope::All) };
        let found = tenants::find_id_by_slug(&self.store, slug).await?;
        found.map(TenantScope::Tenant).ok_or(UploadError::NoSuchTenant)
    }

    async fn page(&self, reach: TenantScope, search: &Search) -> Result<Page<Upload>, UploadError> {
        let tenant_id = reach.tenant_id();
        let place = search.place(tenant_id)?;
        let (after, until) = (place.map(|place| place.after), place.and_then(|place| place.until));
        let limit = search.page.limit();
        let query = self.query(&search.filter, search.order, after, until, limit);
        let FoundPage { uploads, more_behind } = self.find(reach, query).await?;
        let Some(after) = more_behind else { return Ok(Page { items: uploads, next_cursor: None }) };
        // Oldest first, what arrives meanwhile would come at the end.
        let begins = search.order == Order::Oldest && place.is_none();
        let until = if begins { Some(self.next_id(reach).await?) } else { until };
        Ok(Page { items: uploads, next_cursor: Some(search.cursor(tenant_id, Position { after, until })) })
    }

    pub(super) const fn query<'a>(
        &self,
        filter: &'a UploadFilter,
        order: Order,
        after: Option<UploadId>,
        until: Option<UploadId>,
        limit: u16,
    ) -> SearchQuery<'a> {
        SearchQuery { filter, order, after, until, by_id: false, limit, window: self.window_rows }
    }

    /// Examines the uploads that the object key names; if it names none, all uploads in order.
    pub(super) async fn find(&self, reach: TenantScope, query: SearchQuery<'_>) -> Result<FoundPage, UploadError> {
        if let Some(term) = query.filter.object_key.as_ref().filter(|term| !term.ids.is_empty()) {
            let found = self.walk(reach, SearchQuery { by_id: true, ..query }).await?;
            if !found.uploads.is_empty() || !term.may_be_folders() {
                return Ok(found);
            }
        }
        self.walk(reach, query).await
    }

    async fn walk(&self, reach: TenantScope, query: SearchQuery<'_>) -> Result<FoundPage, UploadError> {
        Ok(match reach {
            TenantScope::Tenant(tenant_id) => uploads::search::search(&self.store, tenant_id, query).await?,
            TenantScope::All => uploads::search::search_any_tenant(&self.store, query).await?,
        })
    }

    /// An id greater than all ids issued until now, even by instances whose clocks are ahead.
    pub(super) async fn next_id(&self, reach: TenantScope) -> Result<UploadId, UploadError> {
        let everything = UploadFilter::default();
        let newest = self.walk(reach, self.query(&everything, Order::Newest, None, None, 1)).await?;
        let by_clock = UploadId::first_at(self.clock.now() + TimeDelta::milliseconds(1));
        Ok(newest.uploads.first().map_or(by_clock, |newest| newest.issued.id.following().max(by_clock)))
    }
}
