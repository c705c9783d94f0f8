//! Uploads that were never issued: rows written straight into the ledger.

use chrono::{DateTime, Utc};
use presign_gateway::domain::ids::UploadId;
use presign_gateway::domain::randomness::Randomness;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

/// A row as the table has it, with what it must have; a test changes what it is about.
pub fn row(tenant_id: Uuid, bucket_id: Uuid, issued_at: DateTime<Utc>) -> Value {
    let id = UploadId::generate(issued_at, &Randomness::System);
    json!({
        "id": id.uuid(), "tenant_id": tenant_id, "bucket_id": bucket_id, "object_key": format!("seeded/{id}.jpg"),
        "issued_at": issued_at, "url_expires_at": issued_at + chrono::TimeDelta::minutes(5), "ext": "jpg", "state": "issued",
        "caller_kind": "api_key", "client_address": "192.0.2.1", "access_key_id": "AKID", "write_once": false,
    })
}

/// Writes the rows, into partitions that are made where they are missing.
pub async fn insert(connection: &mut PgConnection, rows: &[Value]) {
    let times = "(SELECT (value->>'issued_at')::timestamptz AS at FROM jsonb_array_elements($1) AS value)";
    let make = format!("SELECT ensure_upload_partitions(min(at), max(at)) FROM {times} AS times");
    sqlx::query(sqlx::AssertSqlSafe(make)).bind(json!(rows)).execute(&mut *connection).await.unwrap();
    sqlx::query("INSERT INTO uploads SELECT * FROM jsonb_populate_recordset(NULL::uploads, $1)")
        .bind(json!(rows))
        .execute(connection)
        .await
        .unwrap();
}

/// Many rows in one statement, spread evenly from one time to another, the tenants in turn.
pub async fn fill(connection: &mut PgConnection, from: DateTime<Utc>, to: DateTime<Utc>, rows: i64) {
    sqlx::query("SELECT ensure_upload_partitions($1, $2)").bind(from).bind(to).execute(&mut *connection).await.unwrap();
    insert_many(connection, from, to, rows).await;
    sqlx::query("ANALYZE uploads").execute(connection).await.unwrap();
}

/// The same, of which Postgres has no statistics and never gets any.
pub async fn fill_unanalysed(connection: &mut PgConnection, from: DateTime<Utc>, to: DateTime<Utc>, rows: i64) {
    sqlx::query("SELECT ensure_upload_partitions($1, $2)").bind(from).bind(to).execute(&mut *connection).await.unwrap();
    let partitions = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'uploads'::regclass";
    let partitions: Vec<String> = sqlx::query_scalar(partitions).fetch_all(&mut *connection).await.unwrap();
    for partition in partitions {
        let never = format!("ALTER TABLE {partition} SET (autovacuum_enabled = false)");
        sqlx::query(sqlx::AssertSqlSafe(never)).execute(&mut *connection).await.unwrap();
    }
    insert_many(connection, from, to, rows).await;
}

async fn insert_many(connection: &mut PgConnection, from: DateTime<Utc>, to: DateTime<Utc>, rows: i64) {
    let many = "
        WITH places AS (
            SELECT row_number() OVER (ORDER BY tenants.slug) - 1 AS number, count(*) OVER () AS number_of, tenants.id AS tenant_id,
                   buckets.id AS bucket_id
            FROM tenants JOIN buckets ON buckets.tenant_id = tenants.id AND buckets.is_default
        ), moments AS (
            SELECT number, $1::timestamptz + ($2::timestamptz - $1) * (number::float8 / $3::bigint) AS at
            FROM generate_series(0, $3::bigint - 1) AS number
        ), ids AS (
            SELECT *, overlay(upload_id_at(at)::text PLACING '7' FROM 15)::uuid AS first, lpad(to_hex(number), 8, '0') AS hex
            FROM moments
        )
        INSERT INTO uploads (id, tenant_id, bucket_id, object_key, issued_at, url_expires_at, ext, kind, width, state, caller_kind,
                             caller_subject, client_address, access_key_id, write_once, declared_size_bytes)
        SELECT id, tenant_id, bucket_id, 'filled/' || id || '.jpg', at, at + interval '5 minutes',
               CASE WHEN number % 3 = 0 THEN 'png' ELSE 'jpg' END, 'origin', 1 + number % 4000,
               CASE WHEN number % 1000 = 7 THEN 'deleted' ELSE 'uploaded' END, 'jwt', 'user-' || number % 5000, '192.0.2.1', 'AKID',
               false, number
        FROM (
            SELECT overlay(first::text PLACING '8' || right(hex, 3) || '-' || lpad(hex, 12, '0') FROM 20)::uuid AS id, at, ids.number,
                   tenant_id, bucket_id
            FROM ids JOIN places ON places.number = ids.number % number_of
        ) AS made";
    sqlx::query(many).bind(from).bind(to).bind(rows).execute(connection).await.unwrap();
}

/// A tenant's id, and its default bucket's.
pub async fn place_of(connection: &mut PgConnection, slug: &str) -> (Uuid, Uuid) {
    let found = "SELECT tenants.id, buckets.id FROM tenants JOIN buckets ON buckets.tenant_id = tenants.id AND is_default WHERE slug = $1";
    sqlx::query_as(found).bind(slug).fetch_one(connection).await.unwrap()
}

/// Lets updates of a table seem to succeed, and write nothing.
pub async fn ignore_updates(connection: &mut PgConnection, table: &str) {
    let ignore = format!(
        "CREATE OR REPLACE FUNCTION ignore_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER ignore_updates BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION ignore_row()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(ignore)).execute(connection).await.unwrap();
}
