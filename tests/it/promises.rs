//! The promises of ARCHITECTURE.md that concern more than one route.

use reqwest::StatusCode;

use crate::support::stack::TestStack;

#[tokio::test]
async fn two_tenants_cannot_reach_each_others_buckets() {
    let stack = TestStack::start().await;
    let alphas = stack.presign_as(&stack.demo.alpha.api_key).await;
    let betas = stack.presign_as(&stack.demo.beta.api_key).await;
    assert!(alphas.url().contains("/alpha-uploads/") && alphas.url().contains("demo-alpha"));
    assert!(betas.url().contains("/beta-uploads/") && betas.url().contains("demo-beta"));
    // Alpha's signature on beta's object, and the reverse.
    let swapped =
        alphas.url().replace("/alpha-uploads/", "/beta-uploads/").replace(alphas.object_key(), betas.object_key());
    assert_eq!(stack.client.put(swapped).body("x").send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT tenants.slug, count(*) FROM uploads JOIN tenants ON tenants.id = tenant_id
         JOIN buckets ON buckets.id = bucket_id AND buckets.tenant_id = tenants.id GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(&mut stack.connect().await)
    .await
    .unwrap();
    assert_eq!(rows, [("alpha".to_owned(), 1), ("beta".to_owned(), 1)]);
}

#[tokio::test]
async fn a_presigned_url_cannot_be_made_to_copy_from_elsewhere() {
    let stack = TestStack::start().await;
    let betas = stack.presign_as(&stack.demo.beta.api_key).await;
    assert_eq!(stack.client.put(betas.url()).body("secret").send().await.unwrap().status(), StatusCode::OK);
    let alphas = stack.presign_as(&stack.demo.alpha.api_key).await;
    let source = format!("/beta-uploads/{}", betas.object_key());
    let copied = stack.client.put(alphas.url()).header("x-amz-copy-source", source).send().await.unwrap();
    assert_eq!(copied.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn no_secret_is_in_any_table_in_the_open() {
    let stack = TestStack::start().await;
    stack.presign("ext=jpg").await.url();
    let mut connection = stack.connect().await;
    let mut everything = String::new();
    for table in ["tenants", "buckets", "api_keys", "jwt_issuers", "uploads", "audit_events"] {
        let statement = format!("SELECT coalesce(string_agg(row_to_json(t)::text, ' '), '') FROM {table} t");
        everything +=
            &sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(statement)).fetch_one(&mut connection).await.unwrap();
    }
    let demo = &stack.demo;
    for secret in [&demo.alpha.secret_access_key, &demo.jwt_secret, &demo.operator_key, &demo.alpha.api_key] {
        // A bytea is shown in hexadecimal digits.
        let hex = secret.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert!(!everything.contains(secret.as_str()) && !everything.contains(&hex));
    }
    assert!(everything.contains("demo-alpha"), "the access key id is there");
}

#[tokio::test]
async fn every_change_is_audited_by_name_and_audit_is_immutable() {
    let stack = TestStack::start().await;
    let mut connection = stack.connect().await;
    let actions: Vec<String> = sqlx::query_scalar("SELECT DISTINCT action FROM audit_events ORDER BY 1")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(actions, ["api_key.create", "bucket.add", "jwt_issuer.add", "tenant.create"]);
    for statement in ["UPDATE audit_events SET actor = 'x'", "DELETE FROM audit_events", "TRUNCATE audit_events"] {
        assert!(sqlx::query(statement).execute(&mut connection).await.is_err(), "{statement}");
    }
}
