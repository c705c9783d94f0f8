//! Searching where Postgres has no statistics, as after a restore or a bulk load.

use chrono::TimeDelta;
use presign_gateway::domain::clock::Clock;
use sqlx::PgConnection;

use crate::support::eventually;
use crate::support::stack::TestStack;
use crate::support::{ledger, postgres};

/// Rows of the ledger that Postgres has read since statistics were reset, told when connections are closed.
async fn rows_read(connection: &mut PgConnection) -> i64 {
    let query = "SELECT coalesce(sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), 0)::bigint
                 FROM pg_stat_user_tables WHERE relname LIKE 'uploads\\_%'";
    sqlx::query_scalar(query).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn page_of_unanalysed_rows_reads_no_other_rows() {
    let stack = TestStack::start().await;
    let mut connection = stack.connect().await;
    let to = Clock::System.now();
    // Each subject has 6 of these, from the first to the last of its tenant's.
    ledger::fill_unanalysed(&mut connection, to - TimeDelta::days(10), to, 30_000).await;
    let database_url = stack.database_url.clone();
    let reset = "SELECT pg_stat_reset()";
    sqlx::query(reset).execute(&mut connection).await.unwrap();
    for subject in ["user-7", "user-8"] {
        let query = format!("/v1/uploads?subject={subject}&limit=50");
        let page = stack.get(&query).bearer(&stack.demo.alpha.api_key).send().await;
        let rows = page.data(200)["items"].as_array().unwrap().len();
        assert!(rows == 6 || rows == 0, "the subject is one tenant's: {rows}");
    }
    stack.stop().await;
    let mut connection = postgres::connect(&database_url).await;
    let analysed =
        "SELECT count(*) FROM pg_class WHERE relname LIKE 'uploads\\_2%' AND relkind = 'r' AND reltuples >= 0";
    assert_eq!(sqlx::query_scalar::<_, i64>(analysed).fetch_one(&mut connection).await.unwrap(), 0);
    let read = eventually("Postgres tells what was read", async || {
        Some(rows_read(&mut postgres::connect(&database_url).await).await).filter(|read| *read > 0)
    })
    .await;
    assert!(read <= 50, "{read} rows were read for a page of 6");
}
