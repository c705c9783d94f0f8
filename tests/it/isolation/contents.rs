//! All that a request could change: every row of every table, and every file of every bucket.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::stack::TestStack;

/// It is gathered meanwhile, from one table into another, which changes no sum.
const UNFOLDED: &str = "(SELECT tenant_id, hour, kind, state, ext, caller_kind, api_key_id, sum(uploads), sum(promised_bytes), sum(stored_bytes)
    FROM usage_unfolded GROUP BY 1, 2, 3, 4, 5, 6, 7)";

/// A digest of each table, and each file's bytes.
#[derive(PartialEq, Eq, Debug)]
pub struct Contents {
    tables: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Contents {
    pub async fn of(stack: &TestStack) -> Self {
        let mut connection = stack.connect().await;
        let names =
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
            AND NOT relispartition AND relname NOT IN ('usage_batches', 'usage_deltas')";
        let names: Vec<String> = sqlx::query_scalar(names).fetch_all(&mut connection).await.unwrap();
        assert!(names.len() >= 9, "{names:?}");
        // When a key was last used is written down later, and is no change.
        let digest_of = |(name, source): (&str, &str)| {
            format!(
                "SELECT '{name}', md5(coalesce(string_agg(row, ' ' ORDER BY row), ''))
                 FROM (SELECT (to_jsonb(t) - 'last_used_at')::text AS row FROM {source} AS t) AS rows"
            )
        };
        let tables = names.iter().map(|name| (name.as_str(), name.as_str()));
        let digests: Vec<String> = tables.chain([("usage_unfolded", UNFOLDED)]).map(digest_of).collect();
        let digests = sqlx::query_as(sqlx::AssertSqlSafe(digests.join(" UNION ALL ")));
        let tables: Vec<(String, String)> = digests.fetch_all(&mut connection).await.unwrap();
        let mut files = BTreeMap::new();
        read(&stack.files.path().join("buckets"), &mut files);
        Self { tables: tables.into_iter().collect(), files }
    }

    pub fn assert_same(&self, after: &Self, what: &str) {
        let changed: Vec<_> =
            self.tables.iter().filter(|(name, digest)| after.tables.get(*name) != Some(digest)).collect();
        assert!(changed.is_empty(), "{what}: what was refused has changed {changed:?}");
        assert!(self.files == after.files, "{what}: what was refused has changed a bucket");
    }
}

fn read(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, files);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            files.insert(path, bytes);
        }
    }
}
