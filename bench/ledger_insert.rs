//! What recording costs Postgres: processor time of its backend a row, for several ways to count what is issued.
//!
//! `DATABASE_URL=… cargo run --example ledger_insert`, on a migrated database of its own with default durability. Ways alternate.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a measurement that meets the unexpected should fail there and then"
)]

use std::fmt::Write;

use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::ids::UploadId;
use presign_gateway::domain::randomness::Randomness;
use sqlx::postgres::PgArguments;
use sqlx::types::Json;
use sqlx::{Arguments, Connection, Executor, PgConnection};
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const LEAN: &[(&str, &str)] = &[
    ("id", "uuid"),
    ("tenant_id", "uuid"),
    ("bucket_id", "uuid"),
    ("object_key", "text"),
    ("ext", "text"),
    ("kind", "text"),
    ("width", "int4"),
    ("height", "int4"),
    ("duration_seconds", "float8"),
    ("caller_kind", "text"),
    ("caller_id", "uuid"),
    ("caller_subject", "text"),
    ("client_address", "text"),
    ("access_key_id", "text"),
    ("issued_at", "timestamptz"),
    ("url_expires_at", "timestamptz"),
];
const MORE: &[(&str, &str)] = &[
    ("declared_size_bytes", "int8"),
    ("declared_content_type", "text"),
    ("declared_sha256", "bytea"),
    ("write_once", "bool"),
    ("metadata", "jsonb"),
    ("check_at", "timestamptz"),
];

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Wide,
    Lean,
    WideTrigger,
    LeanTrigger,
    WideCounted,
    LeanCounted,
}

impl Way {
    fn is_lean(self) -> bool {
        matches!(self, Self::Lean | Self::LeanTrigger | Self::LeanCounted)
    }

    fn is_counted(self) -> bool {
        matches!(self, Self::WideCounted | Self::LeanCounted)
    }

    fn has_trigger(self) -> bool {
        !matches!(self, Self::Wide | Self::Lean)
    }
}

const WAYS: [(Way, &str); 6] = [
    (Way::Wide, "22 arrays, nothing counted"),
    (Way::Lean, "16 arrays, nothing counted"),
    (Way::WideTrigger, "22 arrays, counted by the trigger"),
    (Way::LeanTrigger, "16 arrays, counted by the trigger"),
    (Way::WideCounted, "22 arrays, counted by the statement"),
    (Way::LeanCounted, "16 arrays, counted by the statement"),
];

fn insert(way: Way) -> String {
    let columns: Vec<_> = if way.is_lean() { LEAN.to_vec() } else { [LEAN, MORE].concat() };
    let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let read = names.replace("client_address", "client_address::inet");
    let arrays =
        columns.iter().enumerate().map(|(i, (_, kind))| format!("${}::{kind}[]", i + 1)).collect::<Vec<_>>().join(", ");
    let mut sql = String::new();
    if way.is_counted() {
        let types = ["uuid", "timestamptz", "text", "text", "text", "uuid", "int8", "int8"];
        let arrays = types.iter().enumerate().map(|(i, kind)| format!("${}::{kind}[]", columns.len() + 1 + i));
        let arrays = arrays.collect::<Vec<_>>().join(", ");
        write!(
            sql,
            "WITH counted AS (
                 INSERT INTO usage_deltas (tenant_id, hour, kind, ext, caller_kind, api_key_id, uploads, promised_bytes, state, stored_bytes)
                 SELECT *, 'issued', 0 FROM UNNEST({arrays})) "
        )
        .unwrap();
    }
    write!(sql, "INSERT INTO uploads ({names}) SELECT {read} FROM UNNEST({arrays}) AS row ({names})").unwrap();
    sql
}

fn arguments(way: Way, rows: usize, mixed: bool) -> PgArguments {
    let now = Clock::System.now();
    let ids: Vec<Uuid> = (0..rows).map(|_| UploadId::generate(now, &Randomness::System).uuid()).collect();
    let pick = |i: usize, n: usize| if mixed { (ids[i].as_u128() as usize >> 3) % n } else { 0 };
    let tenants: Vec<Uuid> = (0..rows).map(|i| Uuid::from_u128(1 + pick(i, 3) as u128)).collect();
    let exts: Vec<&str> = (0..rows).map(|i| ["jpg", "png", "mp4"][pick(i, 9) / 3]).collect();
    let kinds: Vec<Option<&str>> = (0..rows).map(|i| Some(["origin", "thumb", "video"][pick(i, 27) / 9])).collect();
    let mut a = PgArguments::default();
    a.add(&ids).unwrap();
    a.add(&tenants).unwrap();
    a.add(&tenants).unwrap();
    a.add(ids.iter().map(|id| format!("2026/11/22/{id}.jpg")).collect::<Vec<_>>()).unwrap();
    a.add(&exts).unwrap();
    a.add(&kinds).unwrap();
    a.add(vec![Some(100_i32); rows]).unwrap();
    a.add(vec![Some(100_i32); rows]).unwrap();
    a.add(vec![None::<f64>; rows]).unwrap();
    a.add(vec!["api_key"; rows]).unwrap();
    a.add(&tenants).unwrap();
    a.add(vec![None::<String>; rows]).unwrap();
    a.add(vec!["203.0.113.7"; rows]).unwrap();
    a.add(vec!["AKIDEXAMPLE1234567890"; rows]).unwrap();
    a.add(vec![now; rows]).unwrap();
    a.add(vec![now + chrono::TimeDelta::seconds(300); rows]).unwrap();
    if !way.is_lean() {
        a.add(vec![None::<i64>; rows]).unwrap();
        a.add(vec![None::<String>; rows]).unwrap();
        a.add(vec![None::<Vec<u8>>; rows]).unwrap();
        a.add(vec![false; rows]).unwrap();
        a.add(vec![None::<Json<String>>; rows]).unwrap();
        a.add(vec![None::<chrono::DateTime<chrono::Utc>>; rows]).unwrap();
    }
    if way.is_counted() {
        let mut groups = std::collections::BTreeMap::<_, i64>::new();
        for i in 0..rows {
            *groups.entry((tenants[i], exts[i], kinds[i])).or_default() += 1;
        }
        let n = groups.len();
        a.add(groups.keys().map(|g| g.0).collect::<Vec<_>>()).unwrap();
        a.add(vec![now; n]).unwrap();
        a.add(groups.keys().map(|g| g.2).collect::<Vec<_>>()).unwrap();
        a.add(groups.keys().map(|g| g.1).collect::<Vec<_>>()).unwrap();
        a.add(vec!["api_key"; n]).unwrap();
        a.add(groups.keys().map(|g| g.0).collect::<Vec<_>>()).unwrap();
        a.add(groups.values().copied().collect::<Vec<_>>()).unwrap();
        a.add(vec![0_i64; n]).unwrap();
    }
    a
}

fn cpu_ns(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let url = std::env::var("DATABASE_URL")?;
    let mut connections = Vec::new();
    for (way, name) in WAYS {
        let mut connection = PgConnection::connect(&url).await?;
        let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await?;
        let own = if way.is_counted() { "yes" } else { "no" };
        connection.execute(sqlx::AssertSqlSafe(format!("SET presign_gateway.counts_itself = {own}"))).await?;
        connections.push((way, name, connection, pid, insert(way)));
    }
    let mut admin = PgConnection::connect(&url).await?;
    for mixed in [false, true] {
        for size in [10, 100] {
            let rounds = 11;
            let batches = (4000 / size).clamp(20, 300);
            let mut costs = vec![Vec::new(); WAYS.len()];
            for _ in 0..rounds {
                for (at, (way, _, connection, pid, sql)) in connections.iter_mut().enumerate() {
                    let able = if way.has_trigger() { "ENABLE" } else { "DISABLE" };
                    let alter = format!("ALTER TABLE uploads {able} TRIGGER uploads_count_inserted");
                    admin.execute(sqlx::AssertSqlSafe(alter)).await?;
                    // What follows a change of the table is planned anew; that is not measured.
                    for warm in 0..2 {
                        let before = cpu_ns(*pid);
                        for _ in 0..if warm == 0 { 10 } else { batches } {
                            let sql = sqlx::AssertSqlSafe(sql.clone());
                            sqlx::query_with(sql, arguments(*way, size, mixed)).execute(&mut *connection).await?;
                        }
                        if warm == 1 {
                            costs[at].push((cpu_ns(*pid) - before) as f64 / 1000.0 / (batches * size) as f64);
                        }
                    }
                }
            }
            println!("batches of {size}, {}", if mixed { "27 groups" } else { "one group" });
            let mut plain = 0.0;
            for ((_, name, ..), costs) in connections.iter().zip(&mut costs) {
                costs.sort_by(f64::total_cmp);
                let quartile = costs[costs.len() / 4];
                if plain == 0.0 {
                    plain = quartile;
                }
                println!("  {name:40} {quartile:6.2} µs a row  {:+5.1} %", (quartile / plain - 1.0) * 100.0);
            }
        }
    }
    Ok(())
}
