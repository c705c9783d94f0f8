//! Every search against a naive model in memory: all pages together are what matches, whatever arrives meanwhile.

use std::collections::HashMap;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::search::{Order, Search, UploadFilter};
use presign_gateway::domain::tenant::Slug;
use presign_gateway::uploads::UploadError;
use presign_gateway::uploads::list::UploadReader;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::runtime::Runtime;

use crate::support::ledger;
use crate::support::postgres;
use crate::support::stack::TestStack;

const TENANTS: [&str; 2] = ["alpha", "beta"];
const DAYS: i64 = 100;

/// A tenant's buckets and keys: by id, as the table has them, and by name.
struct Names {
    slug: &'static str,
    tenant_id: String,
    buckets: Vec<(String, &'static str)>,
    api_keys: Vec<(String, String)>,
}

struct World {
    names: Vec<Names>,
    rows: Vec<Value>,
}

async fn names(connection: &mut PgConnection, slug: &'static str) -> Names {
    let (tenant_id, bucket_id) = ledger::place_of(connection, slug).await;
    let second = uuid::Uuid::from_u128(tenant_id.as_u128() ^ 1);
    sqlx::query(
        "INSERT INTO buckets SELECT (jsonb_populate_record(buckets, jsonb_build_object('id', $2::uuid, 'alias', 'second', 'is_default', false))).*
         FROM buckets WHERE id = $1",
    )
    .bind(bucket_id)
    .bind(second)
    .execute(&mut *connection)
    .await
    .unwrap();
    let api_keys = sqlx::query_as("SELECT id::text, public_id FROM api_keys WHERE tenant_id = $1");
    let api_keys = api_keys.bind(tenant_id).fetch_all(connection).await.unwrap();
    let buckets = vec![(bucket_id.to_string(), "default"), (second.to_string(), "second")];
    Names { slug, tenant_id: tenant_id.to_string(), buckets, api_keys }
}

/// Numbers that a row is made of; any will do.
type Dice = Vec<u32>;

fn row(names: &Names, at: DateTime<Utc>, dice: &Dice) -> Value {
    let (bucket_id, _) = &names.buckets[dice[0] as usize % 2];
    let mut row = ledger::row(names.tenant_id.parse().unwrap(), bucket_id.parse().unwrap(), at);
    let id = row["id"].as_str().unwrap().to_owned();
    let ext = ["jpg", "png", "mp4"][dice[1] as usize % 3];
    row["ext"] = json!(ext);
    row["object_key"] = json!(match dice[2] % 4 {
        0 => format!("p1/{id}.{ext}"),
        1 => format!("p1/p2/{id}.{ext}"),
        2 => format!("apps/{}/{id}/original.{ext}", names.tenant_id),
        _ => format!("{id}.{ext}"),
    });
    row["kind"] = [json!("thumb"), json!("origin"), json!("video"), Value::Null][dice[3] as usize % 4].clone();
    row["state"] = json!(["issued", "uploaded", "mismatched", "expired", "deleted"][dice[4] as usize % 5]);
    let small = |dice: u32| if dice.is_multiple_of(4) { Value::Null } else { json!(dice % 6 + 1) };
    row["width"] = small(dice[5]);
    row["height"] = small(dice[6]);
    row["duration_seconds"] = if dice[7].is_multiple_of(4) { Value::Null } else { json!(f64::from(dice[7] % 8) / 2.0) };
    row["declared_size_bytes"] = small(dice[8]);
    row["size_bytes"] = small(dice[9]);
    match dice[10] % 3 {
        0 => row["caller_id"] = json!(names.api_keys[0].0),
        1 => {
            row["caller_kind"] = json!("jwt");
            row["caller_subject"] = json!(format!("user-{}", dice[11] % 3));
        }
        _ => row["caller_kind"] = json!("anonymous"),
    }
    row
}

/// The fields of a query, as text, and the order.
#[derive(Debug)]
struct Terms {
    texts: HashMap<&'static str, String>,
    order: Order,
}

/// What is looked for: fields of a query, and which tenant's; made of dice, so that they fit the rows.
fn terms(world: &World, dice: &Dice, chosen: &[bool]) -> (Terms, Option<&'static str>) {
    let row = &world.rows[dice[0] as usize % world.rows.len()];
    let cell = |name: &str| row[name].as_str().unwrap_or("nobody").to_owned();
    // Any moment, or a row's own.
    let moment = |dice: u32| match dice % 3 {
        0 => world.rows[dice as usize % world.rows.len()]["issued_at"].as_str().unwrap().parse().unwrap(),
        _ => Clock::System.now() - TimeDelta::hours(i64::from(dice) % (DAYS * 24)),
    };
    let ordered = |left: u32, right: u32| (left.min(right).to_string(), left.max(right).to_string());
    let moments = [moment(dice[1]), moment(dice[2])];
    let (from, to) = (moments.iter().min().unwrap().to_rfc3339(), moments.iter().max().unwrap().to_rfc3339());
    let object_key = match dice[3] % 7 {
        0 | 1 => cell("object_key"),
        2 => cell("object_key").chars().take(3).collect(),
        3 => format!("apps/{}/", cell("tenant_id")),
        4 => cell("id"),
        5 => "p1/".to_owned(),
        _ => format!("p1/{}", uuid::Uuid::from_u128(u128::from(dice[4]))),
    };
    let names = &world.names[dice[5] as usize % 2];
    let (min_width, max_width) = ordered(dice[6] % 7 + 1, dice[7] % 7 + 1);
    let (min_height, max_height) = ordered(dice[7] % 7 + 1, dice[8] % 7 + 1);
    let (min_duration, max_duration) = ordered(dice[8] % 5, dice[9] % 5);
    let (min_size, max_size) = ordered(dice[9] % 7, dice[10] % 7);
    let texts = [
        ("from", from),
        ("to", to),
        ("type", cell("kind")),
        ("ext", cell("ext")),
        ("state", cell("state")),
        ("key", object_key),
        ("subject", cell("caller_subject")),
        ("api_key", names.api_keys[0].1.clone()),
        ("bucket", if dice[11].is_multiple_of(2) { "default" } else { "second" }.to_owned()),
        ("min_width", min_width),
        ("max_width", max_width),
        ("min_height", min_height),
        ("max_height", max_height),
        ("min_duration", min_duration),
        ("max_duration", max_duration),
        ("min_size", min_size),
        ("max_size", max_size),
    ];
    assert_eq!(texts.each_ref().map(|(name, _)| *name), UploadFilter::NAMES, "the model knows every filter");
    let chosen = texts.into_iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(term, _)| term);
    let texts = chosen.filter(|(name, text)| *name != "type" || text != "nobody").collect();
    let terms = Terms { texts, order: if dice[12].is_multiple_of(2) { Order::Newest } else { Order::Oldest } };
    let tenant = if dice[13].is_multiple_of(4) { None } else { Some(names.slug) };
    (terms, tenant)
}

/// The naive model: goes through all rows, and asks each.
fn matching(world: &World, terms: &Terms, tenant: Option<&str>) -> Vec<String> {
    let term = |name: &str| terms.texts.get(name);
    let tenant = tenant.map(|slug| &world.names.iter().find(|names| names.slug == slug).unwrap().tenant_id);
    let number = |value: &Value| value.as_f64();
    let within = |value: Option<f64>, least: &str, most: &str| {
        let least = term(least).is_none_or(|least| value.is_some_and(|value| value >= least.parse::<f64>().unwrap()));
        least && term(most).is_none_or(|most| value.is_some_and(|value| value <= most.parse::<f64>().unwrap()))
    };
    let has =
        |row: &Value, column: &str, name: &str| term(name).is_none_or(|wanted| row[column].as_str() == Some(wanted));
    let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap().trunc_subsecs(3);
    let is_match = |row: &&Value| {
        let names = world.names.iter().find(|names| names.tenant_id == row["tenant_id"]).unwrap();
        let at = time(row["issued_at"].as_str().unwrap());
        let alias = names.buckets.iter().find(|(id, _)| row["bucket_id"] == *id).unwrap().1;
        let public_id = names.api_keys.iter().find(|(id, _)| row["caller_id"] == *id).map(|(_, public_id)| public_id);
        let size = number(&row["size_bytes"]).or(number(&row["declared_size_bytes"]));
        tenant.is_none_or(|tenant| row["tenant_id"] == *tenant)
            && term("from").is_none_or(|from| at >= time(from))
            && term("to").is_none_or(|to| at < time(to))
            && has(row, "kind", "type")
            && has(row, "ext", "ext")
            && has(row, "state", "state")
            && has(row, "caller_subject", "subject")
            && term("key").is_none_or(|begins| row["object_key"].as_str().unwrap().starts_with(begins))
            && term("api_key").is_none_or(|wanted| public_id == Some(wanted))
            && term("bucket").is_none_or(|wanted| alias == wanted)
            && within(number(&row["width"]), "min_width", "max_width")
            && within(number(&row["height"]), "min_height", "max_height")
            && within(number(&row["duration_seconds"]), "min_duration", "max_duration")
            && within(size, "min_size", "max_size")
    };
    let mut ids: Vec<String> =
        world.rows.iter().filter(is_match).map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    if terms.order == Order::Newest {
        ids.reverse();
    }
    ids
}

async fn page(
    ledger: &UploadReader,
    tenant: Option<&str>,
    terms: &Terms,
    cursor: Option<&str>,
    limit: u16,
) -> Result<(Vec<String>, Option<String>), UploadError> {
    let tenant = tenant.map(|slug| Slug::parse(slug).unwrap());
    let filter = UploadFilter::parse(|name| terms.texts.get(name).map(String::as_str));
    let filter = filter.unwrap_or_else(|error| panic!("{terms:?}: {error}"));
    let search = Search::new(filter, terms.order, cursor, Some(limit)).unwrap();
    let page = ledger.list_any_tenant(tenant.as_ref(), &search).await?;
    Ok((page.items.iter().map(|upload| upload.issued.id.to_string()).collect(), page.next_cursor))
}

/// Walks through all pages; each that a cursor gives is asked for twice, with an upload arriving between.
async fn walk(
    connection: &mut PgConnection,
    ledger: &UploadReader,
    world: &World,
    (terms, tenant): &(Terms, Option<&str>),
    limit: u16,
) -> Vec<String> {
    let (mut found, mut cursor) = page(ledger, *tenant, terms, None, limit).await.unwrap();
    let mut turns = 0;
    while let Some(next) = cursor {
        let first = page(ledger, *tenant, terms, Some(&next), limit).await.unwrap();
        if turns % 8 == 0 {
            // Later than all that is there: seen by nobody who began before.
            let at = Clock::System.now() + TimeDelta::milliseconds(5);
            let arrivals: Vec<Value> = world
                .names
                .iter()
                .map(|names| ledger::row(names.tenant_id.parse().unwrap(), names.buckets[0].0.parse().unwrap(), at))
                .collect();
            ledger::insert(connection, &arrivals).await;
        }
        let again = page(ledger, *tenant, terms, Some(&next), limit).await.unwrap();
        assert_eq!(first, again, "a page that was asked for twice: {terms:?}");
        assert!(first.0.len() <= usize::from(limit));
        found.extend(first.0);
        cursor = first.1;
        turns += 1;
        assert!(turns < 2000, "it ends: {terms:?}");
    }
    let arrivals = sqlx::query("DELETE FROM uploads WHERE object_key LIKE 'seeded/%'");
    arrivals.execute(connection).await.unwrap();
    found
}

async fn world(connection: &mut PgConnection, rows: &[(u32, Dice)]) -> World {
    let mut names = Vec::new();
    for slug in TENANTS {
        names.push(self::names(connection, slug).await);
    }
    // Many of them at the same moment as another, and all of them a while ago.
    let now = (Clock::System.now() - TimeDelta::minutes(1)).trunc_subsecs(6);
    let at = |minutes: u32| {
        now - TimeDelta::minutes(i64::from(minutes) % (DAYS * 24 * 60) / 16_000 * 16_000 + i64::from(minutes % 50))
    };
    let rows: Vec<Value> =
        rows.iter().map(|(minutes, dice)| row(&names[dice[12] as usize % 2], at(*minutes), dice)).collect();
    ledger::insert(connection, &rows).await;
    World { names, rows }
}

#[test]
fn pages_equal_a_naive_model_while_uploads_arrive() {
    let runtime = Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config { cases: 50, ..Config::default() });
    let dice = || prop::collection::vec(0..1_000_000u32, 14);
    let rows = prop::collection::vec((0..144_000u32, dice()), 400).new_tree(&mut runner).unwrap().current();
    let (stack, mut connection, world) = runtime.block_on(async {
        let stack = TestStack::start().await;
        let mut connection = stack.connect().await;
        let world = world(&mut connection, &rows).await;
        (stack, connection, world)
    });
    let store = runtime.block_on(async { postgres::open(stack.database_url.clone()) });
    let connection = std::cell::RefCell::new(&mut connection);
    // Few filters at a time, so that something is found.
    let chosen = prop::collection::vec(prop::bool::weighted(0.12), 17);
    let strategy = (dice(), chosen, select(vec![1u16, 7, 50, 500]), select(vec![1i64, 10, 100, 20_000]));
    let found_some = std::cell::Cell::new(0);
    let result = runner.run(&strategy, |(dice, chosen, limit, window)| {
        let asked = terms(&world, &dice, &chosen);
        // A page a row takes its time.
        let (limit, window) = if limit == 1 || window == 1 { (limit.max(7), window.max(10)) } else { (limit, window) };
        let expected = matching(&world, &asked.0, asked.1);
        let ledger = UploadReader::new(store.clone(), Clock::System).with_window(window);
        let found = runtime.block_on(walk(&mut connection.borrow_mut(), &ledger, &world, &asked, limit));
        prop_assert_eq!(&found, &expected, "{:?}", asked);
        found_some.set(found_some.get() + i32::from(!expected.is_empty()));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(found_some.get() > 12, "most filters find something: {}", found_some.get());
    runtime.block_on(stack.stop());
}

#[test]
fn forged_or_foreign_cursor_is_rejected() {
    let runtime = Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config { cases: 200, ..Config::default() });
    let stack = runtime.block_on(TestStack::start());
    let ask = |query: String| {
        runtime.block_on(async {
            stack.get(&format!("/v1/uploads?{query}")).bearer(&stack.demo.alpha.api_key).send().await
        })
    };
    runtime.block_on(async {
        for _ in 0..5 {
            stack.presign("ext=jpg&type=thumb").await.url();
        }
    });
    let cursor = |query: &str| ask(query.to_owned()).data(200)["next_cursor"].as_str().unwrap().to_owned();
    let good = cursor("limit=2");
    assert_eq!(
        ask(format!("limit=3&cursor={good}")).data(200)["items"].as_array().unwrap().len(),
        3,
        "the limit may change"
    );

    for other in ["order=oldest", "type=thumb", "ext=jpg", "from=2020-01-01", "min_width=1", "state=issued", "key=2"] {
        ask(format!("{other}&cursor={good}")).assert_field(400, "invalid_field", "cursor");
        let others = cursor(&format!(
            "limit=2&{}",
            other.replace("min_width=1", "max_size=9").replace("max_size=9", "bucket=default")
        ));
        ask(format!("cursor={others}")).assert_field(400, "invalid_field", "cursor");
    }
    let beta = runtime.block_on(async {
        stack.get(&format!("/v1/uploads?cursor={good}")).bearer(&stack.demo.beta.api_key).send().await
    });
    beta.assert_field(400, "invalid_field", "cursor");

    let strategy = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..120),
        (0..good.len(), any::<u8>()).prop_map({
            let good = good.clone();
            move |(at, byte)| {
                let mut bytes = good.clone().into_bytes();
                bytes[at] = byte;
                bytes
            }
        }),
        (0..good.len()).prop_map({
            let good = good.clone();
            move |length| good.as_bytes()[..length].to_vec()
        }),
    ];
    let result = runner.run(&strategy, |bytes| {
        let tampered: String = form_urlencoded(&bytes);
        let answer = ask(format!("cursor={tampered}"));
        let untouched = bytes == good.as_bytes();
        prop_assert_eq!(answer.status.as_u16(), if untouched { 200 } else { 400 }, "{}", answer.text);
        if !untouched {
            prop_assert_eq!(&answer.body["field"], "cursor", "{}", answer.text);
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(stack.stop());
}

fn form_urlencoded(bytes: &[u8]) -> String {
    use std::fmt::Write;

    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "%{byte:02X}").unwrap();
        text
    })
}
