//! The schema that the migrations create.

use crate::support::postgres;

#[tokio::test]
async fn tenants_rows_are_found_by_index_among_many_tenants() {
    let mut connection = postgres::connect(&postgres::fresh_database().await).await;
    let without = "SELECT relname::text FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'tenant_id'
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
          AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = pg_class.oid AND indkey[0] = attnum AND indpred IS NULL) ORDER BY 1";
    let without: Vec<String> = sqlx::query_scalar(without).fetch_all(&mut connection).await.unwrap();
    // The ones are found by their ids, the others are read whole, and soon gone.
    assert_eq!(without, ["idempotency_keys", "usage_deltas"]);
}

/// A constraint that Postgres named itself (`uploads_check1`) could have another name in another database: no migration could alter it.
#[tokio::test]
async fn every_constraint_has_a_name_that_says_what_it_checks() {
    let mut connection = postgres::connect(&postgres::fresh_database().await).await;
    let numbered: Vec<String> = sqlx::query_scalar(
        r"SELECT conrelid::regclass || '.' || conname FROM pg_constraint
          WHERE connamespace = 'public'::regnamespace AND (conname ~ '\d$' OR conname = split_part(conrelid::regclass::text, '_20', 1) || '_check')
          ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(numbered.is_empty(), "{numbered:?}");
}

/// An index of an old ledger that is not among these would be paid for by each presign.
#[tokio::test]
async fn uploads_have_these_indexes_and_ids_ascend_in_all() {
    let mut connection = postgres::connect(&postgres::fresh_database().await).await;
    let indexes: Vec<String> = sqlx::query_scalar(
        "SELECT indexrelid::regclass || substring(pg_get_indexdef(indexrelid) FROM ' \\(.*')
         FROM pg_index WHERE indrelid = 'uploads'::regclass ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(
        indexes,
        [
            "uploads_pkey (id)",
            "uploads_rare_state (tenant_id, state, id) WHERE (state = ANY (ARRAY['mismatched'::text, 'deleted'::text]))",
            "uploads_subject (tenant_id, caller_subject, id) WHERE (caller_subject IS NOT NULL)",
            "uploads_tenant_time (tenant_id, id)",
            "uploads_to_check (bucket_id, check_at) WHERE (check_at IS NOT NULL)",
        ]
    );
}
