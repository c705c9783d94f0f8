//! `/admin/v1/tenants`.

use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::ids::TenantId;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::store::{StoreError, tenants};
use reqwest::Method;
use serde_json::{Map, Value, json};
use sqlx::Executor;

use crate::support::stack::{Answer, TestStack};

async fn create(stack: &TestStack, body: Value) -> Answer {
    stack.admin(Method::POST, "/tenants").json(&body).send().await
}

async fn patch(stack: &TestStack, tenant: &str, body: Value) -> Answer {
    stack.admin(Method::PATCH, &format!("/tenants/{tenant}")).json(&body).send().await
}

async fn get(stack: &TestStack, path: &str) -> Answer {
    stack.admin(Method::GET, path).send().await
}

#[tokio::test]
async fn created_tenant_has_defaults_and_is_found_at_its_location() {
    let stack = TestStack::start().await;
    let created = create(&stack, json!({ "slug": "my-app" })).await;
    let tenant = created.data(201);
    assert_eq!(created.header("location"), Some("/admin/v1/tenants/my-app"));
    assert_eq!(created.header("etag"), Some("\"1\""));
    let expected = json!({
        "slug": "my-app", "name": "my-app", "status": "active", "rate_per_second": 100, "burst": 200,
        "allowed_extensions": ["jpg", "jpeg", "png", "webp", "gif", "mp4", "webm"], "max_size_bytes": null,
        "default_expiry_seconds": 300, "longest_expiry_seconds": 3600,
        "object_key_template": "{yyyy}/{mm}/{dd}/{uuid}.{ext}", "object_key_prefix": null, "time_zone": "UTC", "revision": 1,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&tenant[field], value, "{field}");
    }
    let found = get(&stack, "/tenants/my-app").await;
    assert_eq!(found.data(200), tenant);
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_null_takes_a_value_away() {
    let stack = TestStack::start().await;
    let prefixed = json!({
        "slug": "my-app", "object_key_prefix": "apps/mine", "object_key_template": "{prefix}/{kind}/{uuid}.{ext}", "max_size_bytes": 1000,
    });
    create(&stack, prefixed).await.data(201);
    let changed = patch(&stack, "my-app", json!({ "burst": 7, "max_size_bytes": null })).await;
    let tenant = changed.data(200);
    assert_eq!(
        (&tenant["burst"], &tenant["max_size_bytes"], &tenant["rate_per_second"]),
        (&json!(7), &Value::Null, &json!(100))
    );
    assert_eq!(tenant["object_key_prefix"], "apps/mine");
    assert_eq!(changed.header("etag"), Some("\"2\""));

    // The template needs the prefix: neither goes without the other.
    patch(&stack, "my-app", json!({ "object_key_prefix": null })).await.assert_field(
        400,
        "invalid_field",
        "object_key_template",
    );
    let both = json!({ "object_key_prefix": null, "object_key_template": "{uuid}" });
    assert_eq!(patch(&stack, "my-app", both).await.data(200)["object_key_prefix"], Value::Null);

    let unchanged = patch(&stack, "my-app", json!({ "burst": 7 })).await;
    assert_eq!(unchanged.header("etag"), Some("\"3\""), "nothing changed, so nothing is counted");
}

#[tokio::test]
async fn a_changed_object_key_template_names_the_next_upload() {
    let stack = TestStack::start().await;
    let template = json!({ "object_key_prefix": "apps/alpha", "object_key_template": "{prefix}/{kind}/{uuid}.{ext}" });
    patch(&stack, "alpha", template).await.data(200);
    let issued = stack.presign("ext=mp4&type=video").await;
    assert!(issued.object_key().starts_with("apps/alpha/video/"), "{}", issued.object_key());
    assert!(stack.presign("ext=jpg").await.object_key().starts_with("apps/alpha/other/"));
    assert_eq!(stack.client.put(issued.url()).body("bytes").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn who_read_an_older_revision_overwrites_nothing() {
    let stack = TestStack::start().await;
    let read = get(&stack, "/tenants/alpha").await.header("etag").unwrap().to_owned();
    let with_tag = |tag: &str, name: &str| {
        stack.admin(Method::PATCH, "/tenants/alpha").header("if-match", tag).json(&json!({ "name": name })).send()
    };
    with_tag(&read, "first").await.data(200);
    with_tag(&read, "second").await.assert_error(412, "revision_conflict");
    assert_eq!(get(&stack, "/tenants/alpha").await.data(200)["name"], "first");
    with_tag("*", "third").await.data(200);
    for nonsense in ["1", "W/\"1\"", "\"x\"", "\"+1\"", "\"1\", \"2\""] {
        with_tag(nonsense, "fourth").await.assert_field(400, "invalid_field", "If-Match");
    }
}

#[tokio::test]
async fn concurrent_changes_of_one_revision_succeed_once() {
    let stack = TestStack::start().await;
    let read = get(&stack, "/tenants/alpha").await.header("etag").unwrap().to_owned();
    let changes = (0..8).map(|number| {
        let body = json!({ "name": format!("name {number}") });
        stack.admin(Method::PATCH, "/tenants/alpha").header("if-match", &read).json(&body).send()
    });
    let answers = futures_util::future::join_all(changes).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 412).count(), 7);
}

#[tokio::test]
async fn a_taken_slug_is_a_conflict_that_names_the_field() {
    let stack = TestStack::start().await;
    create(&stack, json!({ "slug": "alpha" })).await.assert_field(409, "already_exists", "slug");
}

#[tokio::test]
async fn every_field_says_what_it_must_be() {
    let stack = TestStack::start().await;
    for (field, wrong) in [
        ("name", json!("")),
        ("name", json!(null)),
        ("burst", json!(null)),
        ("name", json!("x".repeat(201))),
        ("name", json!("a\u{0}b")),
        ("rate_per_second", json!(0)),
        ("rate_per_second", json!(1_000_001)),
        ("rate_per_second", json!("fast")),
        ("rate_per_second", json!(-1)),
        ("burst", json!(1.5)),
        ("allowed_extensions", json!([])),
        ("allowed_extensions", json!(["exe"])),
        ("allowed_extensions", json!("jpg")),
        ("max_size_bytes", json!(0)),
        ("max_size_bytes", json!(5_497_558_138_881_u64)),
        ("default_expiry_seconds", json!(3601)),
        ("longest_expiry_seconds", json!(604_801)),
        ("object_key_template", json!("{uuid}/../x")),
        ("object_key_template", json!("x".repeat(2000))),
        ("object_key_prefix", json!("/x")),
        ("time_zone", json!("Mars/Base")),
    ] {
        patch(&stack, "alpha", json!({ field: wrong })).await.assert_field(400, "invalid_field", field);
    }
    create(&stack, json!({ "slug": "Not A Slug" })).await.assert_field(400, "invalid_field", "slug");
    create(&stack, json!({})).await.assert_field(400, "invalid_field", "slug");
    create(&stack, json!({ "slug": "new", "colour": "red" })).await.assert_field(400, "unknown_field", "colour");
    assert_eq!(get(&stack, "/tenants/alpha").await.data(200)["revision"], 1, "nothing was changed");
}

#[tokio::test]
async fn suspending_resuming_and_archiving_say_so_and_act() {
    let stack = TestStack::start().await;
    for (action, status, served) in [
        ("suspend", "suspended", 403),
        ("resume", "active", 200),
        ("archive", "archived", 403),
        ("resume", "active", 200),
    ] {
        let answer = stack.admin(Method::POST, &format!("/tenants/alpha/{action}")).send().await;
        assert_eq!(answer.data(200)["status"], status);
        assert_eq!(stack.presign("ext=jpg").await.status, served, "{action}");
    }
}

#[tokio::test]
async fn lists_continue_after_a_page_and_hide_archived_rows() {
    let stack = TestStack::start().await;
    for number in 0..5 {
        create(&stack, json!({ "slug": format!("app-{number}") })).await.data(201);
    }
    stack.admin(Method::POST, "/tenants/app-3/archive").send().await.data(200);
    let (mut slugs, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = get(&stack, &format!("/tenants?limit=2{after}")).await;
        let page = page.data(200);
        slugs
            .extend(page["items"].as_array().unwrap().iter().map(|tenant| tenant["slug"].as_str().unwrap().to_owned()));
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(slugs, ["alpha", "app-0", "app-1", "app-2", "app-4", "beta"]);
    let archived = get(&stack, "/tenants?status=archived").await;
    assert_eq!(archived.data(200)["items"][0]["slug"], "app-3");
    assert_eq!(get(&stack, "/tenants?slug_prefix=app-").await.data(200)["items"].as_array().unwrap().len(), 4);

    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=many", "limit"),
        ("limit=99999", "limit"),
        ("slug_prefix=%00", "slug_prefix"),
        ("cursor=nonsense!", "cursor"),
        ("cursor=Li4v", "cursor"),
        ("status=gone", "status"),
    ] {
        get(&stack, &format!("/tenants?{query}")).await.assert_field(400, "invalid_field", field);
    }
    get(&stack, "/tenants?colour=red").await.assert_field(400, "unknown_field", "colour");
    get(&stack, "/tenants?limit=1&limit=2").await.assert_field(400, "repeated_parameter", "limit");
}

#[tokio::test]
async fn archived_tenant_cannot_be_changed_or_suspended() {
    let stack = TestStack::start().await;
    stack.admin(Method::POST, "/tenants/alpha/archive").send().await.data(200);
    patch(&stack, "alpha", json!({ "burst": 7 })).await.assert_error(409, "conflict");
    stack.admin(Method::POST, "/tenants/alpha/suspend").send().await.assert_error(409, "conflict");
    assert_eq!(get(&stack, "/tenants/alpha").await.data(200)["status"], "archived");
}

#[tokio::test]
async fn a_policy_demands_bindings_and_has_uploads_looked_for() {
    let stack = TestStack::start().await;
    let created =
        create(&stack, json!({ "slug": "my-app", "required_bindings": ["size"], "verify_arrival": true })).await;
    assert_eq!(
        (&created.data(201)["required_bindings"], &created.data(201)["verify_arrival"]),
        (&json!(["size"]), &json!(true))
    );
    let plain = get(&stack, "/tenants/alpha").await;
    assert_eq!(
        (&plain.data(200)["required_bindings"], &plain.data(200)["verify_arrival"]),
        (&json!([]), &json!(false))
    );

    let demanding = json!({ "required_bindings": ["write_once", "size"], "verify_arrival": true });
    let changed = patch(&stack, "alpha", demanding).await;
    assert_eq!(changed.data(200)["required_bindings"], json!(["size", "write_once"]), "in the order that all are in");
    stack.presign("ext=jpg").await.assert_error(400, "binding_required");
    patch(&stack, "alpha", json!({ "required_bindings": [] })).await.data(200);
    stack.presign("ext=jpg").await.url();
    for wrong in [json!(["md5"]), json!("size"), json!(null)] {
        let answer = patch(&stack, "alpha", json!({ "required_bindings": wrong })).await;
        answer.assert_field(400, "invalid_field", "required_bindings");
    }
}

/// A value for every field that a `PATCH` takes, none of them the usual one.
fn unusual() -> Map<String, Value> {
    let values = json!({
        "name": "Unusual", "rate_per_second": 3, "burst": 4, "allowed_extensions": ["png", "gif"], "max_size_bytes": 5,
        "required_bindings": ["size", "sha256"], "verify_arrival": true, "default_expiry_seconds": 6, "longest_expiry_seconds": 7,
        "object_key_template": "{prefix}/{uuid}", "object_key_prefix": "apps/unusual", "time_zone": "Asia/Shanghai",
    });
    let document = serde_json::to_value(presign_gateway::http::openapi::admin_document()).unwrap();
    let fields = document["components"]["schemas"]["TenantPatch"]["properties"].as_object().unwrap();
    let values = values.as_object().unwrap();
    assert!(fields.keys().all(|field| values.contains_key(field)), "this test has a value for each of {fields:?}");
    values.clone()
}

fn assert_holds(tenant: &Value, values: &Map<String, Value>) {
    for (field, value) in values {
        assert_eq!(&tenant[field], value, "{field}");
    }
}

#[tokio::test]
async fn every_field_is_stored_shown_and_audited() {
    let stack = TestStack::start().await;
    let values = unusual();
    let changed = patch(&stack, "alpha", json!(values)).await;
    assert_holds(changed.data(200), &values);
    assert_holds(get(&stack, "/tenants/alpha").await.data(200), &values);
    let events = get(&stack, "/audit-events?tenant=alpha&limit=1").await;
    assert_eq!(events.data(200)["items"][0]["changed_fields"], json!(values.keys().collect::<Vec<_>>()));

    let mut body = values.clone();
    body.insert("slug".to_owned(), json!("another"));
    assert_holds(create(&stack, json!(body)).await.data(201), &values);
    assert_holds(get(&stack, "/tenants/another").await.data(200), &values);
}

#[tokio::test]
async fn null_on_creation_is_as_good_as_left_out() {
    let stack = TestStack::start().await;
    let mut body: Map<String, Value> = unusual().keys().map(|field| (field.clone(), Value::Null)).collect();
    body.retain(|field, _| field != "rate_per_second" && field != "burst");
    body.insert("slug".to_owned(), json!("with-nulls"));
    let with_nulls = create(&stack, json!(body)).await;
    let plain = create(&stack, json!({ "slug": "plain" })).await;
    for field in unusual().keys().filter(|field| *field != "name") {
        assert_eq!(with_nulls.data(201)[field], plain.data(201)[field], "{field}");
    }
}

#[tokio::test]
async fn bad_policy_values_are_refused_by_the_table() {
    let stack = TestStack::start().await;
    let mut connection = stack.connect().await;
    for bad in [
        "allowed_extensions = '{}'",
        "max_size_bytes = 0",
        "max_size_bytes = 5497558138881",
        "required_bindings = '{md5}'",
        "default_expiry_seconds = 3601",
        "longest_expiry_seconds = 604801",
        "object_key_template = '{ext}'",
        "object_key_prefix = ''",
    ] {
        let refused = connection.execute(sqlx::AssertSqlSafe(format!("UPDATE tenants SET {bad}"))).await;
        let error = refused.unwrap_err().into_database_error().expect(bad);
        assert!(error.is_check_violation(), "{bad}: {error}");
    }
}

#[tokio::test]
async fn insert_overwrites_nothing_and_update_creates_nothing() {
    let stack = TestStack::start().await;
    let store = &stack.store;
    let mut tenant = stack.tenants.get_tenant(&stack.alpha()).await.unwrap();
    tenant.name = "Overwritten".to_owned();
    let mut transaction = store.begin().await.unwrap();
    let inserted = tenants::insert(&mut transaction, &tenant).await;
    assert!(matches!(inserted, Err(StoreError::Taken { .. })), "{inserted:?}");
    drop(transaction);

    tenant.id = TenantId::generate(Clock::System.now(), &Randomness::System);
    let mut transaction = store.begin().await.unwrap();
    tenants::update(&mut transaction, &tenant).await.unwrap_err();
    transaction.commit().await.unwrap();
    assert_ne!(get(&stack, "/tenants/alpha").await.data(200)["name"], "Overwritten");
    assert!(tenants::find(store, tenant.id).await.unwrap().is_none());
}
