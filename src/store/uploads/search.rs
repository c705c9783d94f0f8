//! Searches `uploads`, a page at a time.
//!
//! The table is meant for a billion rows, so a page examines at most a window of them, in the order
//! of ids: of one tenant by `uploads_tenant_time`, of all tenants by the primary key. If fewer rows
//! matched, the page is short and returns where it stopped. Subjects and rare states have their own
//! indexes. A time is a range of ids, so other months' partitions are not read.
//!
//! The statement contains only the requested conditions and is planned with their values. The
//! compiler therefore cannot check it, unlike most others; a test compares it with a naive model.

use std::collections::HashMap;

use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::domain::extension::Extension;
use crate::domain::ids::{TenantId, UploadId};
use crate::domain::search::{Bytes, Order, UploadFilter};
use crate::domain::upload::{Pixels, Seconds, Upload, UploadKind, UploadState};

use super::row::{self, Row};
use super::{Store, StoreError};
use crate::store::Transaction;

/// The page to read.
#[derive(Debug, Clone, Copy)]
pub struct SearchQuery<'a> {
    pub filter: &'a UploadFilter,
    pub order: Order,
    /// Starts after this upload.
    pub after: Option<UploadId>,
    /// Ends before this upload.
    pub until: Option<UploadId>,
    /// Examines only the uploads that the object key names.
    pub by_id: bool,
    /// Maximum rows of the page.
    pub limit: u16,
    /// Maximum rows examined for the page.
    pub window: i64,
}

/// The result of one page.
#[derive(Debug)]
pub struct FoundPage {
    pub uploads: Vec<Upload>,
    /// The last upload that was examined; `None` if there is nothing after it.
    pub more_behind: Option<UploadId>,
}

/// Reads a page of a tenant's uploads.
///
/// # Errors
/// The database is unreachable, or a row does not parse.
pub async fn search(store: &Store, tenant_id: TenantId, query: SearchQuery<'_>) -> Result<FoundPage, StoreError> {
    find(store, Some(tenant_id), query).await
}

/// Reads a page of all tenants' uploads; for operators.
///
/// # Errors
/// The database is unreachable, or a row does not parse.
pub async fn search_any_tenant(store: &Store, query: SearchQuery<'_>) -> Result<FoundPage, StoreError> {
    find(store, None, query).await
}

/// Returns the EXPLAIN of a page, for tests and diagnosis.
///
/// # Errors
/// The database is unreachable.
pub async fn explain_any_tenant(
    store: &Store,
    tenant_id: Option<TenantId>,
    query: SearchQuery<'_>,
) -> Result<String, StoreError> {
    let mut statement = Statement { sql: QueryBuilder::new("EXPLAIN "), tenant_id, query };
    statement.write();
    let plan = async {
        let mut transaction = begin(store).await?;
        statement.sql.build_query_scalar::<String>().persistent(false).fetch_all(&mut *transaction).await
    };
    Ok(store.within(("EXPLAIN", "uploads"), plan).await?.join("\n"))
}

/// A transaction in which the planner follows an index in its order whatever the statistics say,
/// because they may be a month old. Postgres also enforces the time limit.
async fn begin(store: &Store) -> Result<Transaction, sqlx::Error> {
    let begin = format!(
        "BEGIN READ ONLY; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; \
         SET LOCAL jit = off; SET LOCAL statement_timeout = {}",
        store.read_timeout.as_millis()
    );
    store.pool.begin_with(sqlx::AssertSqlSafe(begin)).await
}

/// A matching upload, or the last one that a page may examine.
#[derive(sqlx::FromRow)]
struct Hit {
    id: Uuid,
    matches: bool,
    is_last: bool,
}

async fn find(store: &Store, tenant_id: Option<TenantId>, query: SearchQuery<'_>) -> Result<FoundPage, StoreError> {
    let mut statement = Statement { sql: QueryBuilder::new(""), tenant_id, query };
    statement.write();
    let found = async {
        let mut transaction = begin(store).await?;
        let hits = statement.sql.build_query_as::<Hit>().persistent(false).fetch_all(&mut *transaction).await?;
        let (ids, more_behind) = page(&hits, query.limit.into());
        let uploads = read(&mut transaction, tenant_id, &ids).await?;
        transaction.commit().await?;
        Ok::<_, StoreError>(FoundPage { uploads, more_behind: more_behind.map(UploadId::from) })
    };
    store.within(("SELECT", "uploads"), found).await
}

/// Returns the ids of a page, and the last examined id if there are more rows.
fn page(hits: &[Hit], limit: usize) -> (Vec<Uuid>, Option<Uuid>) {
    let mut ids: Vec<Uuid> = hits.iter().filter(|hit| hit.matches).map(|hit| hit.id).collect();
    let overfull = ids.len() > limit;
    ids.truncate(limit);
    let window_end = || hits.last().filter(|hit| hit.is_last).map(|hit| hit.id);
    let more_behind = if overfull { ids.last().copied() } else { window_end() };
    (ids, more_behind)
}

/// Returns the rows of the page, with the names of their tenants and buckets.
async fn read(
    transaction: &mut Transaction,
    tenant_id: Option<TenantId>,
    ids: &[Uuid],
) -> Result<Vec<Upload>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let condition = if tenant_id.is_some() { " WHERE uploads.tenant_id = $2" } else { "" };
    let rows = sqlx::query_as::<_, Row>(sqlx::AssertSqlSafe(format!("{}{}{condition}", row::BY_IDS, row::SELECT)));
    let rows = tenant_id.into_iter().fold(rows.bind(ids), |rows, tenant_id| rows.bind(tenant_id.uuid()));
    let rows = rows.persistent(false).fetch_all(&mut **transaction).await?;
    let uploads = rows.into_iter().map(|row| Ok(Upload::try_from(row)?));
    let mut uploads = uploads.collect::<Result<Vec<Upload>, StoreError>>()?;
    let places: HashMap<Uuid, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    uploads.sort_by_key(|upload| places.get(&upload.issued.id.uuid()).copied());
    Ok(uploads)
}

/// Up to `limit` of a tenant's uploads in this state with an id of at least `from` and below `to`, in the order of their ids.
///
/// # Errors
/// The database is unreachable, or a row does not parse.
pub async fn list_of_state(
    store: &Store,
    tenant_id: TenantId,
    state: UploadState,
    from: UploadId,
    to: UploadId,
    limit: i64,
) -> Result<Vec<Upload>, StoreError> {
    let condition = "WHERE uploads.tenant_id = $1 AND uploads.id >= $2 AND uploads.id < $3 AND uploads.state = $4
                     ORDER BY uploads.id LIMIT $5";
    let rows = sqlx::query_as::<_, Row>(sqlx::AssertSqlSafe(format!("{} {condition}", row::SELECT)));
    let rows = rows.bind(tenant_id.uuid()).bind(from.uuid()).bind(to.uuid()).bind(state.as_str()).bind(limit);
    let rows = store.within(("SELECT", "uploads"), rows.fetch_all(&store.pool)).await?;
    rows.into_iter().map(|row| Ok(Upload::try_from(row)?)).collect()
}

/// The statement that finds a page's ids.
struct Statement<'a> {
    sql: QueryBuilder<Postgres>,
    tenant_id: Option<TenantId>,
    query: SearchQuery<'a>,
}

impl Statement<'_> {
    fn write(&mut self) {
        let order = self.order();
        let limit = i64::from(self.query.limit) + 1;
        if !self.must_examine() {
            self.sql.push("SELECT id, true AS matches, false AS is_last FROM uploads WHERE true");
            self.push_walk();
            self.sql.push(order).push(" LIMIT ").push_bind(limit);
            return;
        }
        // Read as far as it takes to fill the page: nothing in it must be sorted or counted whole.
        self.sql.push("SELECT id, matches, place = ").push_bind(self.query.window);
        self.sql.push(" AS is_last FROM (SELECT tenant_id, id, (true");
        self.push_judgement();
        self.sql.push(") IS TRUE AS matches, row_number() OVER (").push(order);
        self.sql.push(") AS place FROM (SELECT * FROM uploads WHERE true");
        self.push_walk();
        self.sql.push(order).push(" LIMIT ").push_bind(self.query.window);
        self.sql.push(") AS walked) AS judged WHERE matches OR place = ").push_bind(self.query.window);
        self.sql.push(order).push(" LIMIT ").push_bind(limit);
    }

    /// Reads a tenant's rows in the order of `uploads_tenant_time`, so that no other index
    /// qualifies: by the primary key the planner would pass over any number of other tenants' rows.
    const fn order(&self) -> &'static str {
        match (self.tenant_in_order(), self.query.order) {
            (Some(_), Order::Newest) => " ORDER BY tenant_id DESC, id DESC",
            (Some(_), Order::Oldest) => " ORDER BY tenant_id, id",
            (None, Order::Newest) => " ORDER BY id DESC",
            (None, Order::Oldest) => " ORDER BY id",
        }
    }

    /// The tenant whose rows are read; `None` if the primary key finds the rows.
    const fn tenant_in_order(&self) -> Option<TenantId> {
        if self.query.by_id { None } else { self.tenant_id }
    }

    /// The conditions that an index serves.
    fn push_walk(&mut self) {
        let SearchQuery { filter, order, after, until, by_id, .. } = self.query;
        let (is_after, is_before) = (" AND id > ", " AND id < ");
        if let Some(tenant_id) = self.tenant_in_order() {
            // With a plain equation the order by tenant would mean nothing to the planner.
            self.sql.push(" AND tenant_id = ANY(ARRAY[").push_bind(tenant_id.uuid()).push("])");
        } else {
            self.push_if(" AND tenant_id = ", self.tenant_id.map(TenantId::uuid));
        }
        self.push_if(" AND id >= ", filter.from.map(|from| UploadId::first_at(from).uuid()));
        self.push_if(is_before, filter.to.map(|to| UploadId::first_at(to).uuid()));
        self.push_if(is_before, until.map(UploadId::uuid));
        let behind = if order == Order::Newest { is_before } else { is_after };
        self.push_if(behind, after.map(UploadId::uuid));
        if let Some(term) = filter.object_key.as_ref().filter(|_| by_id) {
            self.sql
                .push(" AND id = ANY(")
                .push_bind(term.ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
                .push(")");
        }
        if self.has_subject_index() {
            self.push_if(" AND caller_subject = ", filter.subject.as_ref().map(|subject| subject.as_str().to_owned()));
        }
        if self.has_state_index() {
            self.push_if(" AND state = ", filter.state.map(UploadState::as_str));
        }
    }

    /// The other conditions.
    fn push_judgement(&mut self) {
        let filter = self.query.filter;
        self.push_if(" AND kind = ", filter.kind.map(UploadKind::as_str));
        self.push_if(" AND ext = ", filter.ext.map(Extension::as_str));
        if !self.has_state_index() {
            self.push_if(" AND state = ", filter.state.map(UploadState::as_str));
        }
        if !self.has_subject_index() {
            self.push_if(" AND caller_subject = ", filter.subject.as_ref().map(|subject| subject.as_str().to_owned()));
        }
        if let Some(term) = &filter.object_key {
            self.sql.push(" AND starts_with(object_key, ").push_bind(term.text.clone()).push(")");
        }
        if let Some(public_id) = &filter.api_key {
            // Another tenant's names none of this one's uploads.
            self.sql.push(" AND caller_id = (SELECT api_keys.id FROM api_keys WHERE public_id = ");
            self.sql.push_bind(public_id.as_str().to_owned()).push(")");
        }
        if let Some(alias) = &filter.bucket {
            self.sql.push(" AND bucket_id IN (SELECT buckets.id FROM buckets WHERE alias = ");
            self.sql.push_bind(alias.as_str().to_owned());
            self.push_if(" AND buckets.tenant_id = ", self.tenant_id.map(TenantId::uuid));
            self.sql.push(")");
        }
        self.push_if(" AND width >= ", filter.min_width.map(Pixels::get));
        self.push_if(" AND width <= ", filter.max_width.map(Pixels::get));
        self.push_if(" AND height >= ", filter.min_height.map(Pixels::get));
        self.push_if(" AND height <= ", filter.max_height.map(Pixels::get));
        self.push_if(" AND duration_seconds >= ", filter.min_duration.map(Seconds::get));
        self.push_if(" AND duration_seconds <= ", filter.max_duration.map(Seconds::get));
        self.push_if(" AND coalesce(size_bytes, declared_size_bytes) >= ", filter.min_size.map(Bytes::get));
        self.push_if(" AND coalesce(size_bytes, declared_size_bytes) <= ", filter.max_size.map(Bytes::get));
    }

    /// Whether rows must be read in addition to the index.
    fn must_examine(&self) -> bool {
        let mut rest = UploadFilter { from: None, to: None, ..self.query.filter.clone() };
        if self.has_subject_index() {
            rest.subject = None;
        }
        if self.has_state_index() {
            rest.state = None;
        }
        rest != UploadFilter::default()
    }

    fn has_subject_index(&self) -> bool {
        self.tenant_in_order().is_some() && self.query.filter.subject.is_some()
    }

    /// Uses one index at a time, and checks the other condition on the rows.
    fn has_state_index(&self) -> bool {
        let is_rare = matches!(self.query.filter.state, Some(UploadState::Mismatched | UploadState::Deleted));
        self.tenant_in_order().is_some() && is_rare && !self.has_subject_index()
    }

    fn push_if<T>(&mut self, condition: &str, value: Option<T>)
    where
        T: for<'q> sqlx::Encode<'q, Postgres> + sqlx::Type<Postgres> + Send + 'static,
    {
        if let Some(value) = value {
            self.sql.push(condition).push_bind(value);
        }
    }
}
