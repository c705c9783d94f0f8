//! `database`: the roles and rights that it prints, and those that it grants.

use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use secrecy::{ExposeSecret, SecretString};
use sqlx::Executor;

use crate::support::binary::{Workbench, program, stdout};
use crate::support::postgres::{self, GATEWAY, OWNER};
use crate::support::postgres_server::Node;

fn workbench(url: &SecretString, role: &str) -> Workbench {
    let sealing_key = SealingKey::generate("k1", &Randomness::System);
    Workbench::new(postgres::url_as(url, role), sealing_key.expose_secret())
}

async fn printed(arguments: &[&str]) -> String {
    let output = program().arg("database").args(arguments).output().await.unwrap();
    assert!(output.status.success());
    stdout(&output)
}

/// Whether the gateway's role may insert uploads, truncate them, and drop old months.
async fn rights(url: &SecretString) -> (bool, bool, bool) {
    sqlx::query_as(
        "SELECT has_table_privilege($1, 'uploads', 'INSERT'), has_table_privilege($1, 'uploads', 'TRUNCATE'),
                has_function_privilege($1, 'drop_upload_partition(timestamptz)', 'EXECUTE')",
    )
    .bind(GATEWAY)
    .fetch_one(&mut postgres::connect(url).await)
    .await
    .unwrap()
}

#[tokio::test]
async fn roles_and_grants_print_the_files_without_a_database() {
    let grants = include_str!("../../../deploy/postgres/grants.sql");
    let drops = include_str!("../../../deploy/postgres/allow_drops.sql");
    assert_eq!(printed(&["roles"]).await, include_str!("../../../deploy/postgres/roles.sql"));
    assert_eq!(printed(&["grants"]).await, grants);
    assert_eq!(printed(&["grants", "--allow-drops"]).await, format!("{grants}\n{drops}"));
    let json: serde_json::Value = serde_json::from_str(&printed(&["grants", "--output", "json"]).await).unwrap();
    assert_eq!(json["sql"], grants);
}

#[tokio::test]
async fn grant_gives_the_rights_again_and_revokes_others() {
    let url = postgres::empty_database().await;
    let owner = workbench(&url, OWNER);
    let said = owner.fail(&["database", "grant"]).await;
    assert!(said.contains("run `presign-gateway migrate`"), "{said}");
    owner.run(&["migrate"]).await;
    assert_eq!(rights(&url).await, (false, false, false));
    for _ in 0..2 {
        postgres::connect(&url).await.execute("GRANT TRUNCATE ON uploads TO presign").await.unwrap();
        assert!(owner.run(&["database", "grant", "--allow-drops"]).await.contains("the rights are granted"));
        assert_eq!(rights(&url).await, (true, false, true));
    }
    owner.run(&["database", "grant"]).await;
    assert_eq!(rights(&url).await, (true, false, false));
}

#[tokio::test]
async fn grant_fails_under_a_role_that_owns_no_table() {
    let url = postgres::fresh_database().await;
    let said = workbench(&url, GATEWAY).fail(&["database", "grant"]).await;
    assert!(said.contains("the role presign does not own _sqlx_migrations: set DATABASE_URL"), "{said}");
}

#[tokio::test]
async fn grant_names_a_missing_role_and_changes_nothing() {
    let node = Node::start().await;
    node.execute("DROP OWNED BY presign_reader; DROP ROLE presign_reader; GRANT TRUNCATE ON uploads TO presign").await;
    let said = workbench(&node.url(), OWNER).fail(&["database", "grant"]).await;
    assert!(said.contains("role \"presign_reader\" does not exist"), "{said}");
    assert!(said.contains("`presign-gateway database roles`"), "{said}");
    assert_eq!(rights(&node.url()).await, (true, true, false));
}
