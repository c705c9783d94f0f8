//! Pages of uploads, by what is asked for.
//!
//! The table is meant for a billion rows, so a page examines no more than a window of them: in the order of ids, of one
//! tenant by `uploads_tenant_time`, of all by the primary key. Where fewer matched, the page is short and says how far it
//! came. Subjects and the rare states have indexes of their own, and a time is a range of ids, so that other months'
//! partitions are not touched. The statement holds only the conditions that are asked for and is planned with their values.
//! So the compiler cannot check it, as it does most others; a test compares it with a naive model.

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

/// Which page is read.
#[derive(Debug, Clone, Copy)]
pub struct SearchQuery<'a> {
    pub filter: &'a UploadFilter,
    pub order: Order,
    /// Begins behind this one.
    pub after: Option<UploadId>,
    /// Ends before this one.
    pub until: Option<UploadId>,
    /// Looks at the uploads that the object key names, instead of at all.
    pub by_id: bool,
    /// Rows of the page, at most.
    pub limit: u16,
    /// Rows that are examined for it, at most.
    pub window: i64,
}

/// What one page's walk found.
#[derive(Debug)]
pub struct FoundPage {
    pub uploads: Vec<Upload>,
    /// The last upload that was examined; `None` when there is nothing behind.
    pub more_behind: Option<UploadId>,
}

/// A page of a tenant's uploads.
///
/// # Errors
/// The database is away, or a row does not parse.
pub async fn search(store: &Store, tenant_id: TenantId, query: SearchQuery<'_>) -> Result<FoundPage, StoreError> {
    find(store, Some(tenant_id), query).await
}

/// A page of all tenants' uploads; for operators.
///
/// # Errors
/// The database is away, or a row does not parse.
pub async fn search_any_tenant(store: &Store, query: SearchQuery<'_>) -> Result<FoundPage, StoreError> {
    find(store, None, query).await
}

/// How Postgres would find a page, as its EXPLAIN tells; for tests, and for whoever wonders.
///
/// # Errors
/// The database is away.
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

/// A transaction in which the planner takes an index in its order, whatever the statistics say: they may be a month's, and
/// wrong about today. What takes too long ends in Postgres, too.
async fn begin(store: &Store) -> Result<Transaction, sqlx::Error> {
    let begin = format!(
        "BEGIN READ ONLY; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; \
         SET LOCAL jit = off; SET LOCAL statement_timeout = {}",
        store.read_timeout.as_millis()
    );
    store.pool.begin_with(sqlx::AssertSqlSafe(begin)).await
}

/// An upload that matches, or the last one that a page may examine.
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

/// The ids of a page, and the last one that was examined for it if there is more behind.
fn page(hits: &[Hit], limit: usize) -> (Vec<Uuid>, Option<Uuid>) {
    let mut ids: Vec<Uuid> = hits.iter().filter(|hit| hit.matches).map(|hit| hit.id).collect();
    let overfull = ids.len() > limit;
    ids.truncate(limit);
    let window_end = || hits.last().filter(|hit| hit.is_last).map(|hit| hit.id);
    let more_behind = if overfull { ids.last().copied() } else { window_end() };
    (ids, more_behind)
}

/// The rows of the page, with the names of what they refer to.
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

    /// A tenant's rows in the order of `uploads_tenant_time`, so that no other index will do: by the primary key the
    /// planner would go over any number of other tenants' rows.
    const fn order(&self) -> &'static str {
        match (self.tenant_in_order(), self.query.order) {
            (Some(_), Order::Newest) => " ORDER BY tenant_id DESC, id DESC",
            (Some(_), Order::Oldest) => " ORDER BY tenant_id, id",
            (None, Order::Newest) => " ORDER BY id DESC",
            (None, Order::Oldest) => " ORDER BY id",
        }
    }

    /// The tenant whose rows are gone through; `None` where the primary key is what finds rows.
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

    /// Whether rows must be looked at, beside what an index says of them.
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

    /// One index at a time: what the other would say is looked at.
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
