//! What the roles of `deploy/postgres` must not do, even if the program tried. Every other test
//! shows that they may do what is needed (`support::postgres`).

use presign_gateway::domain::policy::Policy;
use sqlx::{Connection, Executor, PgConnection};

use crate::support::postgres::{self, GATEWAY, OWNER, READER};
use crate::support::stack::TestStack;

/// `insufficient_privilege`.
const DENIED: &str = "42501";

/// Postgres's code for why this is refused; none where it is done. It is undone in any case.
async fn refusal(connection: &mut PgConnection, statement: &str) -> Option<String> {
    let mut transaction = connection.begin().await.unwrap();
    let done = transaction.execute(sqlx::AssertSqlSafe(statement.to_owned())).await;
    transaction.rollback().await.unwrap();
    done.err().map(|error| code(&error))
}

fn code(error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(|error| error.code().map(|code| code.to_string()));
    code.unwrap_or_else(|| error.to_string())
}

async fn assert_denied(connection: &mut PgConnection, statements: impl IntoIterator<Item = String>) {
    let mut allowed = Vec::new();
    for statement in statements {
        let refusal = refusal(connection, &statement).await;
        if refusal.as_deref() != Some(DENIED) {
            allowed.push((statement, refusal));
        }
    }
    assert!(allowed.is_empty(), "not denied: {allowed:#?}");
}

/// Every table, partitions among them.
async fn tables(connection: &mut PgConnection) -> Vec<String> {
    let names = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1";
    let tables: Vec<String> = sqlx::query_scalar(names).fetch_all(connection).await.unwrap();
    assert!(tables.len() > 10 && tables.iter().any(|table| table.starts_with("uploads_2")), "{tables:?}");
    tables
}

/// The columns of our tables, each with the names of those of these rights that the role has on it.
async fn rights(connection: &mut PgConnection, role: &str, rights: &[&str]) -> Vec<(String, String)> {
    let statement = "SELECT c.relname || '.' || a.attname, coalesce(string_agg(r, ' ') FILTER (WHERE has_column_privilege($1, c.oid, a.attnum, r)), '')
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped CROSS JOIN unnest($2) AS r
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition GROUP BY 1 ORDER BY 1";
    let rows = sqlx::query_as(statement).bind(role).bind(rights).fetch_all(connection).await;
    rows.unwrap()
}

#[tokio::test]
async fn the_gateways_role_cannot_take_back_what_is_on_record() {
    let stack = TestStack::start().await;
    stack.presign("ext=jpg").await.url();
    let mut gateway = postgres::connect_as(&stack.database_url, GATEWAY).await;
    let all = tables(&mut gateway).await;
    let deletes =
        all.iter().filter(|table| !["idempotency_keys", "usage_batches", "usage_deltas"].contains(&table.as_str()));
    assert_denied(&mut gateway, deletes.map(|table| format!("DELETE FROM {table}"))).await;
    assert_denied(&mut gateway, all.iter().map(|table| format!("TRUNCATE {table}"))).await;
    let partitions = all.iter().filter(|table| table.starts_with("uploads_"));
    assert_denied(&mut gateway, partitions.map(|table| format!("INSERT INTO {table} SELECT * FROM uploads"))).await;
    let changes = [
        "UPDATE audit_events SET actor = 'nobody'",
        "UPDATE _sqlx_migrations SET success = false",
        "SELECT drop_upload_partition(now() - interval '2 months')",
    ];
    assert_denied(&mut gateway, changes.map(str::to_owned)).await;
    assert_eq!(refusal(&mut gateway, "UPDATE uploads SET state = 'uploaded'").await, None, "what it may, it may");
}

/// What no command and no request ever changes.
const NEVER_CHANGED: &str = "_sqlx_migrations.checksum _sqlx_migrations.description _sqlx_migrations.execution_time _sqlx_migrations.installed_on \
    _sqlx_migrations.success _sqlx_migrations.version \
    api_keys.created_at api_keys.id api_keys.public_id api_keys.secret_sha256 api_keys.tenant_id \
    audit_events.action audit_events.actor audit_events.at audit_events.changed_fields audit_events.id audit_events.origin \
    audit_events.subject_id audit_events.subject_name audit_events.tenant_id \
    buckets.created_at buckets.id buckets.tenant_id idempotency_keys.id idempotency_keys.tenant_id \
    jwt_issuers.audience jwt_issuers.created_at jwt_issuers.id jwt_issuers.issuer jwt_issuers.tenant_id \
    tenants.created_at tenants.id tenants.slug \
    uploads.bucket_id uploads.caller_id uploads.caller_kind uploads.caller_subject uploads.client_address \
    uploads.declared_content_type uploads.declared_sha256 uploads.declared_size_bytes uploads.duration_seconds uploads.ext uploads.height \
    uploads.id uploads.issued_at uploads.kind uploads.metadata uploads.object_key uploads.write_once uploads.tenant_id uploads.trace_id uploads.width \
    usage.dimension usage.period usage.start usage.tenant_id usage.value \
    usage_batches.counts usage_deltas.api_key_id usage_deltas.caller_kind usage_deltas.ext usage_deltas.hour usage_deltas.kind usage_deltas.promised_bytes \
    usage_deltas.state usage_deltas.stored_bytes usage_deltas.tenant_id usage_deltas.uploads";

#[tokio::test]
async fn the_gateways_role_rewrites_only_what_changes_in_a_row() {
    let url = postgres::fresh_database().await;
    let rights = rights(&mut postgres::connect(&url).await, GATEWAY, &["UPDATE"]).await;
    let (fixed, changing): (Vec<_>, Vec<_>) = rights.into_iter().partition(|(_, right)| right.is_empty());
    let fixed: Vec<String> = fixed.into_iter().map(|(column, _)| column).collect();
    let mut expected: Vec<&str> = NEVER_CHANGED.split_whitespace().collect();
    expected.sort_unstable();
    assert_eq!(
        fixed, expected,
        "a new column: does the program ever change it? Say so here and in deploy/postgres/grants.sql"
    );
    // Each that may be changed is named by some statement that changes it.
    let store: String = crate::tidy::sources()
        .into_iter()
        .filter(|source| source.path.starts_with("store"))
        .map(|source| source.code)
        .collect();
    // The columns of a policy are changed together, by the names of its fields.
    let policy = serde_json::to_value(Policy::default_policy().unwrap()).unwrap();
    for (column, _) in changing {
        let (table, name) = column.split_once('.').unwrap();
        let is_named = store.contains(&format!("{name} = ")) || (table == "tenants" && policy.get(name).is_some());
        assert!(is_named, "{column} may be changed, and nothing changes it");
    }
}

#[tokio::test]
async fn the_gateways_role_makes_nothing_and_becomes_nobody_else() {
    let url = postgres::fresh_database().await;
    let mut gateway = postgres::connect_as(&url, GATEWAY).await;
    let denied = [
        "CREATE TABLE mine (id int)",
        "CREATE TEMP TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE EXTENSION pgcrypto",
        "CREATE ROLE mine",
        "ALTER TABLE uploads ADD COLUMN mine int",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "DROP TRIGGER audit_events_append_only ON audit_events",
        "DROP TRIGGER uploads_count_updated ON uploads",
        "DROP TABLE uploads",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "ALTER FUNCTION drop_upload_partition SECURITY INVOKER",
        "CREATE INDEX ON uploads (ext)",
        "LOCK TABLE tenants IN ACCESS EXCLUSIVE MODE",
        "SET session_replication_role = replica",
        "SET ROLE presign_owner",
        "SET ROLE presign_reader",
        "SET ROLE superuser",
        "SET SESSION AUTHORIZATION presign_owner",
        "GRANT presign_owner TO presign",
        "GRANT DELETE ON uploads TO presign; DELETE FROM uploads",
        "ALTER ROLE presign SUPERUSER",
        "ALTER ROLE presign BYPASSRLS",
        "SELECT * FROM pg_authid",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT pg_ls_dir('.')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY (SELECT 1) TO '/tmp/mine'",
        "COPY tenants (name) FROM '/etc/hostname'",
        "SELECT lo_import('/etc/hostname')",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'superuser'",
        "CREATE PUBLICATION mine FOR TABLE uploads",
        "CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION refuse_change()",
    ];
    // One superuser to be ended.
    let _superuser = postgres::connect(&url).await;
    assert_denied(&mut gateway, denied.map(str::to_owned)).await;
    // These are not for transactions.
    for statement in ["CREATE DATABASE mine", "ALTER SYSTEM SET fsync = on"] {
        let refused = gateway.execute(statement).await.unwrap_err();
        assert_eq!(code(&refused), DENIED, "{statement}");
    }
}

#[tokio::test]
async fn the_roles_have_no_attribute_but_that_they_may_log_in() {
    let url = postgres::fresh_database().await;
    let with_more: Vec<String> = sqlx::query_scalar(
        "SELECT rolname::text FROM pg_roles WHERE rolname = ANY ($1)
         AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls OR NOT rolcanlogin
              OR EXISTS (SELECT FROM pg_auth_members WHERE member = pg_roles.oid OR roleid = pg_roles.oid))",
    )
    .bind([GATEWAY, OWNER, READER])
    .fetch_all(&mut postgres::connect(&url).await)
    .await
    .unwrap();
    assert!(with_more.is_empty(), "{with_more:?}");
}

/// What nobody needs to see who only looks.
const SECRETS: [&str; 4] = [
    "api_keys.secret_sha256",
    "buckets.sealed_secret_access_key",
    "buckets.sealed_session_token",
    "jwt_issuers.sealed_hmac_secret",
];

#[tokio::test]
async fn the_reader_writes_nothing_and_sees_no_secret_even_sealed() {
    let url = postgres::fresh_database().await;
    let mut superuser = postgres::connect(&url).await;
    let rights = rights(&mut superuser, READER, &["SELECT", "INSERT", "UPDATE", "REFERENCES"]).await;
    for (column, rights) in rights {
        let hidden = SECRETS.contains(&column.as_str())
            || ["_sqlx_migrations.", "idempotency_keys."].iter().any(|table| column.starts_with(table));
        assert_eq!(rights, if hidden { "" } else { "SELECT" }, "{column}");
    }
    let mut reader = postgres::connect_as(&url, READER).await;
    let all = tables(&mut reader).await;
    for verb in ["DELETE FROM", "TRUNCATE"] {
        assert_denied(&mut reader, all.iter().map(|table| format!("{verb} {table}"))).await;
    }
    let others = [
        "CREATE TABLE mine (id int)",
        "CREATE TEMP TABLE mine (id int)",
        "SET ROLE presign",
        "SET ROLE presign_owner",
        "SELECT ensure_upload_partitions(now(), now())",
        "SELECT drop_upload_partition(now() - interval '1 year')",
        "SELECT * FROM api_keys",
    ];
    assert_denied(&mut reader, others.map(str::to_owned)).await;
}

#[tokio::test]
async fn repeated_grant_revokes_extra_rights() {
    let url = postgres::fresh_database().await;
    let mut gateway = postgres::connect_as(&url, GATEWAY).await;
    let mut owner = postgres::connect_as(&url, OWNER).await;
    // As somebody may do in an emergency.
    owner
        .execute("GRANT UPDATE, DELETE ON uploads TO presign; GRANT INSERT ON tenants TO presign_reader")
        .await
        .unwrap();
    let statement = "UPDATE uploads SET tenant_id = id";
    assert_eq!(refusal(&mut gateway, statement).await, None);
    for _ in 0..2 {
        postgres::give_rights(&url).await;
        assert_denied(&mut gateway, [statement, "DELETE FROM uploads"].map(str::to_owned)).await;
    }
    let mut reader = postgres::connect_as(&url, READER).await;
    assert_denied(&mut reader, ["INSERT INTO tenants DEFAULT VALUES".to_owned()]).await;
}
