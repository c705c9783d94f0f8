//! Fills the ledger with rows like those of a few busy apps, to test it at size.

use std::fmt::{Display, Write};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::domain::clock::Clock;
use crate::domain::extension::Extension;
use crate::domain::ids::{ApiKeyId, BucketId, TenantId, UploadId};
use crate::domain::object_key::{Naming, Template};
use crate::domain::randomness::Randomness;
use crate::domain::upload::UploadKind;
use crate::jobs::maintenance;
use crate::store::{Store, StoreError, partitions};

use super::demo;

use self::rows::Place;

mod rows;

/// Rows of one statement.
const CHUNK: u64 = 50_000;
const API_KEYS: usize = 3;
const URL_LIFE: TimeDelta = TimeDelta::seconds(300);
/// Of each tenant.
const SUBJECTS: u64 = 5_000;

/// What to fill it with.
#[derive(Debug, Clone, Copy)]
pub struct SeedOptions {
    pub rows: u64,
    pub tenants: u16,
    /// How far back the first row was issued.
    pub months: u16,
}

/// Why nothing, or not all, was filled in.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("no tenant has a bucket yet")]
    NoTenant,
    #[error("the object keys' template does not parse")]
    Template(#[from] crate::domain::Invalid),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether the database is one of a stack of `dev`, where such rows do no harm.
///
/// # Errors
/// The database is unreachable.
pub async fn is_dev(store: &Store) -> Result<bool, StoreError> {
    rows::knows_issuer_any_tenant(store, demo::ISSUER, demo::AUDIENCE).await
}

/// Copies rows into the ledger, evenly over the months and unevenly over the tenants; `copied` is told of each step.
///
/// # Errors
/// The database is unreachable.
pub async fn seed(store: &Store, options: SeedOptions, mut copied: impl FnMut(u64)) -> Result<(), SeedError> {
    let (clock, randomness) = (Clock::System, Randomness::System);
    let to = clock.now();
    let from = to - TimeDelta::days(i64::from(options.months) * 365 / 12);
    partitions::ensure_any_tenant(store, from, to).await?;
    let places = places(store, usize::from(options.tenants), to, &randomness).await?;
    let rows =
        Rows { places, template: Template::parse(Template::CONTRACT, None)?, from, to, of: options.rows, randomness };
    let mut next = 0;
    while next < options.rows {
        let end = (next + CHUNK).min(options.rows);
        let mut copy = CopyText::default();
        for index in next..end {
            rows.write(&mut copy, index);
        }
        copied(rows::copy_uploads_any_tenant(store, &copy.columns, copy.text.as_bytes()).await?);
        next = end;
    }
    maintenance::fold_usage(store).await?;
    Ok(())
}

/// The tenants that are there, and as many more as are wanted, with a few API keys each.
async fn places(
    store: &Store,
    tenants: usize,
    now: DateTime<Utc>,
    randomness: &Randomness,
) -> Result<Vec<Place>, SeedError> {
    let limit = i64::try_from(tenants).unwrap_or(i64::MAX);
    let there = rows::places_any_tenant(store, limit).await?.len();
    if there == 0 {
        return Err(SeedError::NoTenant);
    }
    for number in there..tenants {
        let ids = [TenantId::generate(now, randomness).uuid(), BucketId::generate(now, randomness).uuid()];
        rows::copy_first_tenant_any_tenant(store, &format!("seeded-{number}"), ids).await?;
    }
    for place in rows::places_any_tenant(store, limit).await? {
        for _ in place.api_key_ids.len()..API_KEYS {
            let id = ApiKeyId::generate(now, randomness).uuid();
            let public_id = format!("Seed{:08x}", u32::from_be_bytes(randomness.bytes()));
            rows::add_api_key(store, place.tenant_id, id, &public_id).await?;
        }
    }
    Ok(rows::places_any_tenant(store, limit).await?)
}

struct Rows {
    places: Vec<Place>,
    template: Template,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    of: u64,
    randomness: Randomness,
}

/// Random numbers, drawn one after another from the same few bytes.
struct Dice(u128);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        let rolled = self.0 % u128::from(sides);
        self.0 /= u128::from(sides);
        u64::try_from(rolled).unwrap_or(0)
    }

    /// One of these, each as often as its weight says.
    fn choose<T: Copy>(&mut self, weighted: &[(u64, T)]) -> Option<T> {
        let mut rolled = self.roll(weighted.iter().map(|(weight, _)| weight).sum::<u64>().max(1));
        weighted.iter().find_map(|(weight, value)| match rolled.checked_sub(*weight) {
            None => Some(*value),
            Some(rest) => {
                rolled = rest;
                None
            }
        })
    }
}

const FILES: [(u64, (Option<UploadKind>, Extension)); 7] = [
    (30, (Some(UploadKind::Origin), Extension::Jpg)),
    (10, (Some(UploadKind::Origin), Extension::Png)),
    (5, (Some(UploadKind::Origin), Extension::Webp)),
    (30, (Some(UploadKind::Thumb), Extension::Jpg)),
    (10, (Some(UploadKind::Thumb), Extension::Webp)),
    (10, (Some(UploadKind::Video), Extension::Mp4)),
    (5, (None, Extension::Gif)),
];
/// What has become of an upload whose URL has run out.
const STATES: [(u64, &str); 5] = [(80, "uploaded"), (12, "expired"), (5, "issued"), (2, "deleted"), (1, "mismatched")];
/// Rows as `COPY` takes them.
#[derive(Default)]
struct CopyText {
    /// The columns of the first row. All other rows have the same, in the same order.
    columns: Vec<&'static str>,
    rows: u64,
    text: String,
}

impl CopyText {
    fn cell(&mut self, column: &'static str, value: Option<impl Display>) {
        if self.rows == 0 {
            self.columns.push(column);
        }
        // Writing to a String cannot fail.
        let _ = match value {
            Some(value) => write!(self.text, "{value}\t"),
            None => write!(self.text, "\\N\t"),
        };
    }

    fn end_row(&mut self) {
        self.text.pop();
        self.text.push('\n');
        self.rows += 1;
    }
}

impl Rows {
    /// Writes one row. Ids rise with the index, as they do when uploads are issued.
    fn write(&self, copy: &mut CopyText, index: u64) {
        let span = (self.to - self.from).num_milliseconds();
        let part = i128::from(span) * i128::from(index) / i128::from(self.of.max(1));
        let issued_at = self.from + TimeDelta::milliseconds(i64::try_from(part).unwrap_or(0));
        let id = UploadId::generate(issued_at, &self.randomness);
        let mut dice = Dice(u128::from_be_bytes(self.randomness.bytes()));
        // Half of all are the first tenant's, half of the rest the second's, and so on.
        let half = |at: &usize| *at + 1 < self.places.len() && dice.roll(2) == 0;
        let at = (0..self.places.len()).take_while(half).count();
        let Some(place) = self.places.get(at) else { return };
        let Some((kind, ext)) = dice.choose(&FILES) else { return };
        let is_over = issued_at + URL_LIFE < self.to;
        let state = if is_over { dice.choose(&STATES).unwrap_or("issued") } else { "issued" };
        let object_key = self.template.object_key(&Naming { id, ext, kind, issued_at, time_zone: Tz::UTC });
        let size = size(kind, &mut dice);
        let (width, height, duration) = match kind {
            Some(UploadKind::Thumb) => (320, 240, None),
            Some(UploadKind::Video) => (1920, 1080, Some(dice.roll(600))),
            _ => (1000 + dice.roll(3000), 1000 + dice.roll(3000), None),
        };
        let api_key = usize::try_from(dice.roll(5)).ok().and_then(|at| place.api_key_ids.get(at));
        let (caller_kind, caller_id) = api_key.map_or(("jwt", place.tenant_id), |id| ("api_key", *id));
        let host = dice.roll(65_536);
        let seen = matches!(state, "uploaded" | "mismatched" | "deleted");
        let found = if state == "mismatched" { size + 1 } else { size };

        copy.cell("id", Some(id));
        copy.cell("tenant_id", Some(place.tenant_id));
        copy.cell("bucket_id", Some(place.bucket_id));
        copy.cell("object_key", Some(object_key));
        copy.cell("ext", Some(ext.as_str()));
        copy.cell("kind", kind.map(UploadKind::as_str));
        copy.cell("width", Some(width));
        copy.cell("height", Some(height));
        copy.cell("duration_seconds", duration.map(|seconds| format!("{seconds}.5")));
        copy.cell("declared_size_bytes", (dice.roll(3) == 0).then_some(size));
        copy.cell("caller_kind", Some(caller_kind));
        copy.cell("caller_id", Some(caller_id));
        copy.cell("caller_subject", api_key.is_none().then(|| format!("user-{}", dice.roll(SUBJECTS))));
        copy.cell("client_address", Some(format!("198.51.{}.{}", host / 256, host % 256)));
        copy.cell("access_key_id", Some(&place.access_key_id));
        copy.cell("issued_at", Some(issued_at.to_rfc3339()));
        copy.cell("url_expires_at", Some((issued_at + URL_LIFE).to_rfc3339()));
        copy.cell("state", Some(state));
        copy.cell("size_bytes", seen.then_some(found));
        copy.cell("etag", seen.then_some(id.uuid().simple()));
        copy.cell("content_type", seen.then(|| ext.content_type()));
        copy.cell("seen_at", seen.then(|| (issued_at + TimeDelta::seconds(20)).to_rfc3339()));
        copy.end_row();
    }
}

/// Bytes of a file; small ones are more frequent than large ones.
fn size(kind: Option<UploadKind>, dice: &mut Dice) -> u64 {
    let most = match kind {
        Some(UploadKind::Thumb) => 60_000,
        Some(UploadKind::Video) => 200_000_000,
        _ => 8_000_000,
    };
    let share = dice.roll(1000) + 1;
    most / 1000 * share * share / 1000 + 1000
}
