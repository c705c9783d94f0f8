//! Reschedules an upload whose check failed.

use chrono::{DateTime, TimeDelta, Utc};

use crate::buckets::BucketError;
use crate::domain::ids::UploadId;

/// Where others of its bucket are answered: after as long as its URL has run out, within these.
const SOONEST: TimeDelta = TimeDelta::minutes(10);
const LATEST: TimeDelta = TimeDelta::days(1);
/// Where none is: a sixtieth of that, so that they come back soon once the credential is mended.
const SHARE: i32 = 60;
const LATEST_OF_NONE: TimeDelta = TimeDelta::hours(1);
/// So long after its URL ran out, one that still cannot be asked for is given up.
const GIVEN_UP: TimeDelta = TimeDelta::days(30);

#[derive(Debug)]
pub(super) struct Failed {
    pub id: UploadId,
    pub url_expires_at: DateTime<Utc>,
    pub error: BucketError,
}

/// What an upload failed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The bucket is away: nothing is known of the upload.
    Bucket,
    /// The bucket refused whatever it was asked for.
    Everything,
    /// The upload alone.
    Upload,
}

impl Failed {
    /// When it is due again; never, where it has failed for too long. It always goes behind the others, so that none of them
    /// waits for it.
    pub fn again_at(&self, now: DateTime<Utc>, blame: Blame) -> Option<DateTime<Utc>> {
        let age = (now - self.url_expires_at).max(TimeDelta::zero());
        let delay = match blame {
            Blame::Bucket => TimeDelta::zero(),
            Blame::Everything => (age / SHARE).min(LATEST_OF_NONE),
            Blame::Upload => age.clamp(SOONEST, LATEST),
        };
        (age <= GIVEN_UP).then(|| now + delay)
    }
}
