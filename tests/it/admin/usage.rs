//! `/admin/v1/usage`, and the command that tells the same.

use reqwest::Method;
use serde_json::json;

use crate::support::binary::Workbench;
use crate::support::stack::TestStack;
use secrecy::ExposeSecret;

#[tokio::test]
async fn operators_see_the_usage_of_all_tenants_and_of_each() {
    let stack = TestStack::start().await;
    for _ in 0..3 {
        stack.presign("ext=jpg&type=thumb").await.url();
    }
    stack.presign_as(&stack.demo.beta.api_key).await.url();
    let ask = async |query: &str| stack.admin(Method::GET, &format!("/usage{query}")).send().await.data(200).clone();
    let sum = |uploads: i64| json!({"uploads": uploads, "promised_bytes": 0, "stored_bytes": 0});
    let item =
        |value: &str, uploads: i64| json!({"value": value, "uploads": uploads, "promised_bytes": 0, "stored_bytes": 0});
    assert_eq!(ask("").await["total"], sum(4));
    assert_eq!(ask("?by=tenant").await["items"], json!([item("alpha", 3), item("beta", 1)]));
    assert_eq!(ask("?by=tenant&tenant=beta").await["items"], json!([item("beta", 1)]));
    assert_eq!(ask("?by=type").await["items"], json!([item("thumb", 3), item("none", 1)]));
    assert_eq!(ask("?by=type&tenant=alpha").await["items"], json!([item("thumb", 3)]));
    assert_eq!(ask("?by=day").await["total"], sum(4));
    let missing = stack.admin(Method::GET, "/usage?tenant=nobody").send().await;
    missing.assert_error(404, "resource_not_found");
    stack.admin(Method::GET, "/usage?by=colour").send().await.assert_field(400, "invalid_field", "by");

    let workbench = Workbench::new(stack.database_url.clone(), stack.sealing_key.expose_secret());
    let table = workbench.run(&["usage", "--by", "tenant"]).await;
    assert!(table.contains("alpha") && table.contains("promised bytes") && table.contains("all"), "{table}");
    let told: serde_json::Value =
        serde_json::from_str(&workbench.run(&["usage", "--tenant", "alpha", "--output", "json"]).await).unwrap();
    assert_eq!(told["total"], sum(3));
    let refused = workbench.fail(&["usage", "--from", "2026-11-22T00:30:00Z"]).await;
    assert!(refused.contains("whole hour"), "{refused}");
}
