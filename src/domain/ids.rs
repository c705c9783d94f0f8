//! Identifiers: `UUIDv7`, with one type for each kind of row, so that they cannot be mixed up.

use chrono::{DateTime, Utc};
use uuid::{Builder, Uuid};

use super::randomness::Randomness;

/// Generates a `UUIDv7` (RFC 9562, section 5.7): 48 bits of milliseconds, then 74 random bits.
fn uuid_v7(now: DateTime<Utc>, randomness: &Randomness) -> Uuid {
    let milliseconds = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(milliseconds, &randomness.bytes()).into_uuid()
}

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Generates an id for this time.
            #[must_use]
            pub fn generate(now: DateTime<Utc>, randomness: &Randomness) -> Self {
                Self(uuid_v7(now, randomness))
            }

            /// The smallest id of this millisecond: earlier ids are smaller, later ids are not.
            #[must_use]
            pub fn first_at(moment: DateTime<Utc>) -> Self {
                let milliseconds = u128::try_from(moment.timestamp_millis()).unwrap_or(0);
                Self(Uuid::from_u128(milliseconds << 80))
            }

            /// The next greater id.
            #[must_use]
            pub const fn following(self) -> Self {
                Self(Uuid::from_u128(self.0.as_u128().saturating_add(1)))
            }

            /// The bare UUID, for the store.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

id! {
    /// Names a tenant.
    TenantId;
    /// Names a bucket of a tenant.
    BucketId;
    /// Names an API key's row; what a caller shows is the key's public id.
    ApiKeyId;
    /// Names a JWT issuer's row.
    JwtIssuerId;
    /// Names an upload; the same UUID stands in its object key.
    UploadId;
    /// Names an audit event.
    AuditEventId;
}
