//! `GET /v1/uploads`, and the operators' `/admin/v1/uploads`.

use chrono::{TimeDelta, Utc};
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::ids::{TenantId, UploadId};
use presign_gateway::domain::search::{Order, UploadFilter};
use presign_gateway::store::uploads::search::{SearchQuery, explain_any_tenant};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::stack::{Answer, TestStack};
use crate::support::{ledger, postgres};
use crate::v1::{id_in, promise};

async fn list(stack: &TestStack, query: &str) -> Answer {
    stack.get(&format!("/v1/uploads?{query}")).bearer(&stack.demo.alpha.api_key).send().await
}

fn keys(answer: &Answer) -> Vec<String> {
    let items = answer.data(200)["items"].as_array().unwrap();
    items.iter().map(|item| item["key"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn upload_is_found_by_object_key_prefix_and_each_filter() {
    let stack = TestStack::start().await;
    let thumb = stack.presign("ext=jpg&type=thumb&width=10&height=20").await.object_key().to_owned();
    let video = stack.presign("ext=mp4&type=video&duration=2.5").await.object_key().to_owned();
    let public_id = stack.demo.alpha.api_key.split('_').nth(1).unwrap();
    let folder = &thumb[..10];
    let jwt = stack.get("/oss/presign?ext=png").bearer(&stack.token).send().await.object_key().to_owned();
    let shown = list(&stack, &format!("key={jwt}")).await.data(200)["items"][0].clone();
    let subject = shown["caller"]["subject"].as_str().unwrap().to_owned();

    assert_eq!(keys(&list(&stack, "").await), [&jwt, &video, &thumb].map(String::as_str), "newest first");
    assert_eq!(keys(&list(&stack, "order=oldest").await), [&thumb, &video, &jwt].map(String::as_str));
    for (query, expected) in [
        (format!("key={thumb}"), vec![&thumb]),
        (format!("key={}", &thumb[..thumb.len() - 4]), vec![&thumb]),
        (format!("key={folder}/&type=video"), vec![&video]),
        ("ext=MP4".to_owned(), vec![&video]),
        ("min_width=10&max_width=10".to_owned(), vec![&thumb]),
        ("min_height=21".to_owned(), vec![]),
        ("min_duration=2.5".to_owned(), vec![&video]),
        ("max_duration=2.4".to_owned(), vec![]),
        ("min_size=0".to_owned(), vec![]),
        ("state=issued&bucket=default".to_owned(), vec![&jwt, &video, &thumb]),
        ("bucket=none".to_owned(), vec![]),
        (format!("api_key={public_id}"), vec![&video, &thumb]),
        (format!("subject={subject}"), vec![&jwt]),
        ("to=2020-01-01".to_owned(), vec![]),
        ("from=2020-01-01T00:00:00%2B08:00".to_owned(), vec![&jwt, &video, &thumb]),
    ] {
        assert_eq!(
            keys(&list(&stack, &query).await),
            expected.into_iter().map(String::as_str).collect::<Vec<_>>(),
            "{query}"
        );
    }
    let id = shown["id"].as_str().unwrap();
    let same = stack.get(&format!("/v1/uploads/{id}")).bearer(&stack.demo.alpha.api_key).send().await;
    assert_eq!(*same.data(200), shown, "a row of the list is the upload as it is shown by itself");
}

#[tokio::test]
async fn each_field_that_is_wrong_is_named_with_what_would_be_right() {
    let stack = TestStack::start().await;
    for (query, field, told) in [
        ("from=yesterday", "from", "2026-11-22T18:00:00Z"),
        ("from=1969-12-31", "from", "1970"),
        ("to=%2B262000-01-01T00:00:00Z", "to", "9999"),
        ("from=2026-02-02&to=2026-02-01", "to", "before"),
        ("type=photo", "type", "thumb, origin or video"),
        ("ext=exe", "ext", "jpg"),
        ("state=gone", "state", "mismatched"),
        ("key=", "key", "1024"),
        ("key=%00", "key", "control"),
        ("subject=", "subject", "255"),
        ("api_key=pgw_abc", "api_key", "public id"),
        ("bucket=No+Such", "bucket", "a-z"),
        ("min_width=0", "min_width", "2147483647"),
        ("max_width=1.5", "max_width", "2147483647"),
        ("min_height=2147483648", "min_height", "2147483647"),
        ("min_width=3&max_width=2", "max_width", "min_width"),
        ("min_duration=-1", "min_duration", "1000000000"),
        ("max_duration=nan", "max_duration", "1000000000"),
        ("min_size=-1", "min_size", "9223372036854775807"),
        ("max_size=9223372036854775808", "max_size", "9223372036854775807"),
        ("order=best", "order", "newest or oldest"),
        ("limit=0", "limit", "500"),
        ("limit=501", "limit", "500"),
        ("limit=x", "limit", "a whole number from 1 to 500"),
        ("limit=65536", "limit", "a whole number from 1 to 500"),
        ("limit=-1", "limit", "a whole number from 1 to 500"),
        ("cursor=x", "cursor", "next_cursor"),
    ] {
        let answer = list(&stack, query).await;
        answer.assert_field(400, "invalid_field", field);
        assert!(answer.message().contains(told), "{query}: {}", answer.message());
    }
    list(&stack, "tenant=alpha").await.assert_field(400, "unknown_field", "tenant");
    let unknown = list(&stack, "format=csv").await;
    unknown.assert_field(400, "unknown_field", "format");
    let known = format!("format; known fields: cursor, limit, {}, order", UploadFilter::NAMES.join(", "));
    assert!(unknown.message().ends_with(&known), "{}", unknown.message());
    list(&stack, "ext=jpg&ext=png").await.assert_field(400, "repeated_parameter", "ext");
    let unlisted = stack.admin(Method::GET, "/uploads?tenant=nobody").send().await;
    unlisted.assert_error(404, "resource_not_found");
}

#[tokio::test]
async fn a_tenant_finds_nothing_of_anothers_and_an_operator_finds_all() {
    let stack = TestStack::start().await;
    let alphas = stack.presign("ext=jpg").await.object_key().to_owned();
    let beta = |path: String| stack.get(&path).bearer(&stack.demo.beta.api_key).send();
    let betas = beta("/oss/presign?ext=png".to_owned()).await.object_key().to_owned();
    let public_id = stack.demo.alpha.api_key.split('_').nth(1).unwrap();
    let id = &list(&stack, "").await.data(200)["items"][0]["id"].as_str().unwrap().to_owned();
    for query in [format!("key={alphas}"), format!("key={id}"), format!("api_key={public_id}"), "ext=jpg".to_owned()] {
        assert!(keys(&beta(format!("/v1/uploads?{query}")).await).is_empty(), "{query}");
    }
    assert_eq!(keys(&beta("/v1/uploads?".to_owned()).await), [betas.as_str()]);

    let anonymized = |answer: &Answer| answer.text.replace(answer.header("x-request-id").unwrap(), "ID");
    let foreign = beta(format!("/v1/uploads/{id}")).await;
    let missing = beta("/v1/uploads/01a00000-0000-7000-8000-000000000000".to_owned()).await;
    foreign.assert_error(404, "resource_not_found");
    assert_eq!(anonymized(&foreign), anonymized(&missing));
    let list_of = |key: &str| beta(format!("/v1/uploads?key={key}"));
    assert_eq!(list_of(&alphas).await.text, list_of(&alphas.replace('-', "0")).await.text);

    let all = stack.admin(Method::GET, "/uploads").send().await;
    assert_eq!(keys(&all), [&betas, &alphas].map(String::as_str));
    assert_eq!(keys(&stack.admin(Method::GET, "/uploads?tenant=alpha").send().await), [alphas.as_str()]);
    assert_eq!(keys(&stack.admin(Method::GET, &format!("/uploads?key={alphas}")).send().await), [alphas.as_str()]);
    let shown = stack.admin(Method::GET, &format!("/uploads/{id}")).send().await;
    assert_eq!((&shown.data(200)["tenant"], &shown.data(200)["key"]), (&json!("alpha"), &json!(alphas)));
    stack.admin(Method::GET, "/uploads/no-id").send().await.assert_error(404, "resource_not_found");
}

/// Rows enough that reading all of a month is dearer than an index.
async fn three_months() -> (TestStack, Vec<String>) {
    let stack = TestStack::start().await;
    let mut connection = stack.connect().await;
    let to = Clock::System.now();
    ledger::fill(&mut connection, to - TimeDelta::days(92), to, 30_000).await;
    let partitions =
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'uploads'::regclass ORDER BY 1";
    let partitions = sqlx::query_scalar(partitions).fetch_all(&mut connection).await.unwrap();
    (stack, partitions)
}

#[tokio::test]
async fn every_search_uses_an_index_and_only_its_months() {
    let (stack, partitions) = three_months().await;
    let (alpha, _) = ledger::place_of(&mut stack.connect().await, "alpha").await;
    let alpha = Some(TenantId::from(alpha));
    let store = postgres::open(stack.database_url.clone());
    let now = Clock::System.now();
    let month = |time: chrono::DateTime<Utc>| time.format("uploads_%Y_%m").to_string();
    let (from, to) = (now - TimeDelta::days(50), now - TimeDelta::days(45));
    let (needed, id) = ([month(from), month(to)], UploadId::first_at(from));
    let (from, to) = (from.to_rfc3339(), to.to_rfc3339());
    let with = |term: &str, text: &str| {
        let text_of = |name: &str| match name {
            "from" => Some(from.as_str()),
            "to" => Some(to.as_str()),
            name => Some(text).filter(|_| name == term),
        };
        UploadFilter::parse(text_of).unwrap()
    };
    let object_key = format!("filled/{id}.jpg");
    let key = UploadFilter::parse(|name| Some(object_key.as_str()).filter(|_| name == "key")).unwrap();
    for (what, tenant_id, filter, by_id, index) in [
        ("a time", alpha, &with("", ""), false, "tenant_id_id_idx"),
        ("an ext", alpha, &with("ext", "png"), false, "tenant_id_id_idx"),
        ("a width", alpha, &with("min_width", "5"), false, "tenant_id_id_idx"),
        ("a bucket", alpha, &with("bucket", "default"), false, "tenant_id_id_idx"),
        ("a prefix", alpha, &with("key", "filled/"), false, "tenant_id_id_idx"),
        ("a subject", alpha, &with("subject", "user-7"), false, "caller_subject"),
        ("deleted", alpha, &with("state", "deleted"), false, "state"),
        ("an object key", alpha, &key, true, "pkey"),
        ("any tenant's time", None, &with("", ""), false, "pkey"),
        ("any tenant's ext", None, &with("ext", "png"), false, "pkey"),
        ("any tenant's object key", None, &key, true, "pkey"),
    ] {
        for order in [Order::Newest, Order::Oldest] {
            let query = SearchQuery { filter, order, after: None, until: None, by_id, limit: 100, window: 20_000 };
            let plan = explain_any_tenant(&store, tenant_id, query).await.unwrap();
            assert!(!plan.contains("Seq Scan on uploads"), "{what}: {plan}");
            assert!(plan.contains(index), "{what}: {plan}");
            for partition in &partitions {
                assert!(needed.contains(partition) || !plan.contains(partition), "{what} needs no {partition}: {plan}");
            }
            assert!(!plan.contains("Sort  (cost"), "{what}: rows come in their order: {plan}");
        }
    }
}

#[tokio::test]
async fn a_page_of_a_rare_thing_is_short_and_the_next_goes_on_behind() {
    let (stack, _) = three_months().await;
    let mut connection = stack.connect().await;
    let rarest = "UPDATE uploads SET width = 77777 WHERE id = (SELECT id FROM uploads WHERE tenant_id = $1 ORDER BY id LIMIT 1) RETURNING object_key";
    let (alpha, bucket) = ledger::place_of(&mut connection, "alpha").await;
    let oldest: String = sqlx::query_scalar(rarest).bind(alpha).fetch_one(&mut connection).await.unwrap();
    // As many as make it two windows.
    let more = "UPDATE uploads SET tenant_id = $1, bucket_id = $2 WHERE tenant_id <> $1";
    sqlx::query(more).bind(alpha).bind(bucket).execute(&mut connection).await.unwrap();
    let first = list(&stack, "min_width=77777").await;
    assert_eq!(first.data(200)["items"], json!([]));
    let cursor = first.data(200)["next_cursor"].as_str().unwrap();
    let second = list(&stack, &format!("min_width=77777&cursor={cursor}")).await;
    assert_eq!(keys(&second), [oldest]);
    assert_eq!(second.data(200)["next_cursor"], Value::Null);
}

#[tokio::test]
async fn others_upload_is_not_even_read() {
    let stack = TestStack::start().await;
    let id = id_in(stack.presign_as(&stack.demo.beta.api_key).await.object_key());
    // Whoever reads this row fails.
    promise(&stack, &id, "ext = 'of another version'").await;
    let show = |api_key: &str| stack.get(&format!("/v1/uploads/{id}")).bearer(api_key).send();
    show(&stack.demo.alpha.api_key).await.assert_error(404, "resource_not_found");
    show(&stack.demo.beta.api_key).await.assert_error(500, "internal");
}
