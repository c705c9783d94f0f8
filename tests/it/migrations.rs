//! An upgrade: what an older version left is kept.

use std::path::Path;

use sqlx::{Connection, Executor, PgConnection};

use crate::support::postgres;

/// Before this one the ledger was one table.
const PARTITIONED: &str = "20261122210000";

/// Runs the migrations whose names satisfy `wanted`, in order, each in a transaction as sqlx does.
async fn migrate(connection: &mut PgConnection, wanted: impl Fn(&str) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| wanted(file.file_name().unwrap().to_str().unwrap())) {
        let mut transaction = connection.begin().await.unwrap();
        transaction.execute(sqlx::AssertSqlSafe(std::fs::read_to_string(file).unwrap())).await.unwrap();
        transaction.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_tenants_rows_are_found_by_an_index_however_many_tenants_there_are() {
    let mut connection = postgres::connect(&postgres::fresh_database().await).await;
    let without = "SELECT relname::text FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'tenant_id'
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
          AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = pg_class.oid AND indkey[0] = attnum AND indpred IS NULL) ORDER BY 1";
    let without: Vec<String> = sqlx::query_scalar(without).fetch_all(&mut connection).await.unwrap();
    // The ones are found by their ids, the others are read whole, and soon gone.
    assert_eq!(without, ["idempotency_keys", "usage_deltas"]);
}

#[tokio::test]
async fn an_older_ledger_keeps_its_rows_counted_and_its_roles_their_rights() {
    let url = postgres::empty_database().await;
    let mut connection = postgres::connect(&url).await;
    migrate(&mut connection, |name| name < PARTITIONED).await;
    // Roles are the cluster's, which other tests share: no other has these names.
    let [gateway, reader] = ["gateway_of_old", "reader_of_old"];
    let statement = format!(
        "CREATE ROLE {gateway}; CREATE ROLE {reader}; GRANT INSERT ON uploads TO {gateway}; GRANT SELECT ON uploads TO {reader};
         INSERT INTO uploads (id, tenant_id, bucket_id, issued_at, url_expires_at, object_key, ext, caller_kind, client_address, access_key_id)
         SELECT gen_random_uuid(), '0193b3a4-0000-7000-8000-000000000001', '0193b3a4-0000-7000-8000-000000000002', now(),
                now() + interval '5 min', 'old ' || n, 'jpg', 'anonymous', '203.0.113.1', 'id' FROM generate_series(1, 100) AS n;
         UPDATE uploads SET id = overlay(id::text PLACING '01a1' FROM 1 FOR 4)::uuid"
    );
    connection.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    migrate(&mut connection, |name| name >= PARTITIONED).await;

    let (rows, counted): (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM uploads), (SELECT sum(uploads)::bigint FROM usage_unfolded)")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!((rows, counted), (100, 100));
    for (role, table, rights) in [
        (gateway, "uploads", "SELECT, INSERT, UPDATE"),
        (gateway, "idempotency_keys", "SELECT, INSERT, UPDATE, DELETE"),
        (gateway, "usage_deltas", "SELECT, INSERT, DELETE"),
        (gateway, "usage_batches", "SELECT, INSERT, DELETE"),
        (gateway, "usage_unfolded", "SELECT"),
        (gateway, "usage", "SELECT, INSERT, UPDATE"),
        (reader, "uploads", "SELECT"),
        (reader, "usage", "SELECT"),
        (reader, "usage_unfolded", "SELECT"),
    ] {
        for right in rights.split(", ") {
            let has: bool = sqlx::query_scalar("SELECT has_table_privilege($1, $2, $3)")
                .bind(role)
                .bind(table)
                .bind(right)
                .fetch_one(&mut connection)
                .await
                .unwrap();
            assert!(has, "{role} lacks {right} on {table}");
        }
    }
    let may: bool = sqlx::query_scalar("SELECT NOT has_table_privilege($1, 'usage_deltas', 'INSERT') AND NOT has_table_privilege($1, 'uploads', 'UPDATE')")
        .bind(reader)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(may, "a reader may only read");
    // The month's partition takes what comes now, and a role that may not make tables may have partitions made.
    let statement = format!("SET ROLE {gateway}; SELECT ensure_upload_partitions(now(), now() + interval '6 months')");
    connection.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    let drop = format!("RESET ROLE; DROP OWNED BY {gateway}, {reader}; DROP ROLE {gateway}, {reader}");
    connection.execute(sqlx::AssertSqlSafe(drop)).await.unwrap();
}
