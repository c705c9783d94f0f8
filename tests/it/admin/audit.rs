//! `/admin/v1/audit-events`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::stack::TestStack;

async fn events(stack: &TestStack, query: &str) -> Vec<Value> {
    let answer = stack.admin(Method::GET, &format!("/audit-events?{query}")).send().await;
    answer.data(200)["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn each_change_tells_who_what_which_row_and_from_where() {
    let stack = TestStack::start().await;
    stack.admin(Method::PATCH, "/tenants/alpha").json(&json!({ "burst": 3, "name": "New" })).send().await.data(200);
    let found = events(&stack, "action=tenant.update").await;
    assert_eq!(found.len(), 1);
    let operator = stack.demo.operator_key.split('_').nth(1).unwrap();
    assert_eq!(found[0]["actor"], format!("api_key:{operator}"));
    assert_eq!(found[0]["origin"], "127.0.0.1");
    assert_eq!((&found[0]["subject_name"], &found[0]["tenant"]), (&json!("alpha"), &json!("alpha")));
    assert_eq!(found[0]["changed_fields"], json!(["name", "burst"]));
    assert!(!found[0].to_string().contains("New"), "names, not values");
}

#[tokio::test]
async fn a_change_that_fails_or_changes_nothing_leaves_no_event() {
    let stack = TestStack::start().await;
    let before = events(&stack, "").await.len();
    stack.admin(Method::PATCH, "/tenants/alpha").json(&json!({ "burst": 0 })).send().await;
    stack.admin(Method::PATCH, "/tenants/alpha").json(&json!({})).send().await.data(200);
    stack.admin(Method::POST, "/tenants").json(&json!({ "slug": "alpha" })).send().await;
    stack.admin(Method::POST, "/tenants/alpha/resume").send().await.data(200);
    assert_eq!(events(&stack, "").await.len(), before);
}

#[tokio::test]
async fn events_are_filtered_and_paged_newest_first() {
    let stack = TestStack::start().await;
    for burst in 1..=5 {
        stack.admin(Method::PATCH, "/tenants/beta").json(&json!({ "burst": burst })).send().await.data(200);
    }
    assert!(events(&stack, "tenant=beta").await.iter().all(|event| event["tenant_id"].is_string()));
    assert_eq!(events(&stack, "actor=test&action=tenant").await.len(), 2, "the demo's two tenants");
    assert_eq!(events(&stack, "subject=beta&action=tenant.update").await.len(), 5);
    assert_eq!(events(&stack, "from=2100-01-01T00:00:00Z").await.len(), 0);
    assert_eq!(events(&stack, "to=2000-01-01T00:00:00Z").await.len(), 0);

    let all: Vec<Value> = events(&stack, "").await.iter().map(|event| event["id"].clone()).collect();
    assert!(all.is_sorted_by(|left, right| left.as_str() > right.as_str()));
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = stack.admin(Method::GET, &format!("/audit-events?limit=4{cursor}")).send().await;
        paged.extend(page.data(200)["items"].as_array().unwrap().iter().map(|event| event["id"].clone()));
        let Some(next) = page.data(200)["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, all);
    stack.admin(Method::GET, "/audit-events?tenant=nobody").send().await.assert_error(404, "resource_not_found");
    let wrong = stack.admin(Method::GET, "/audit-events?from=yesterday").send().await;
    wrong.assert_field(400, "invalid_field", "from");
    for (query, field) in [("from=-5000-01-01T00:00:00Z", "from"), ("to=%2B262000-01-01T00:00:00Z", "to")] {
        let wrong = stack.admin(Method::GET, &format!("/audit-events?{query}")).send().await;
        wrong.assert_field(400, "invalid_field", field);
    }
    stack.admin(Method::GET, "/audit-events?actor=%00").send().await.assert_field(400, "invalid_field", "actor");
}
