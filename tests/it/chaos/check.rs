//! Compares what clients were told with what is on record, and with what is in the bucket.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use sqlx::{PgConnection, Row};

use super::load::{Told, content_of};

/// A row, by its object key: what was said of the upload, and a digest of all that does not change afterwards.
pub type Rows = HashMap<String, (i32, i32, String)>;

/// No refusal takes longer: the commit's own limit, the wait for a connection, and what a busy machine adds.
const MAX_REFUSAL: Duration = Duration::from_secs(14);

/// What is on record. Of what the sweeper finds out later nothing is compared.
pub async fn rows(connection: &mut PgConnection) -> Rows {
    let query = "
        SELECT object_key, coalesce(width, 0), coalesce(height, 0),
               md5((to_jsonb(uploads) - '{state,seen_at,size_bytes,etag,content_type,sha256,check_at}'::text[])::text)
        FROM uploads";
    let rows = sqlx::query(query).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2), row.get(3)))).collect()
}

/// So long at most such a share of what was asked took.
pub fn percentile(times: impl IntoIterator<Item = Duration>, percent: usize) -> Duration {
    let mut times: Vec<Duration> = times.into_iter().collect();
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

/// Fails unless everything that was promised holds.
pub fn judge(told: &Told, before: &Rows, after: &Rows, bucket: &Path) {
    assert_eq!(told.wrong, [""; 0], "answers in the envelope, and in time");
    let mut once = HashSet::new();
    for issued in &told.issued {
        let row = after.get(&issued.object_key).unwrap_or_else(|| panic!("a URL without a row: {issued:?}"));
        assert_eq!((row.0, row.1), (issued.width, issued.height), "its row says what was asked for: {issued:?}");
        assert!(once.insert(&issued.object_key), "given twice: {issued:?}");
        if issued.arrived {
            let file = std::fs::read_to_string(bucket.join(&issued.object_key));
            let file = file.unwrap_or_else(|error| panic!("put, and not in the bucket ({error}): {issued:?}"));
            assert_eq!(file, content_of(&issued.object_key));
        }
    }
    for (object_key, row) in before {
        assert_eq!(after.get(object_key), Some(row), "a row was changed or lost by the fault: {object_key}");
    }
    for refused in &told.refused {
        assert!(refused.took < MAX_REFUSAL, "refused late: {refused:?}");
        assert!([429, 500, 503].contains(&refused.status.as_u16()), "{refused:?}");
        assert_ne!(refused.reason, "internal", "a cause that nobody thought of: {refused:?}");
    }
}
