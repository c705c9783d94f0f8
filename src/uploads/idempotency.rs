//! Idempotent requests: for a day, the same request with the same `Idempotency-Key` gets the same
//! upload (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>).

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::Invalid;
use crate::domain::caller::Caller;
use crate::domain::ids::UploadId;
use crate::domain::sha256::sha256;
use crate::store::idempotency_keys::NewIdempotencyKey;

/// How long a key is stored.
const REMEMBERED: TimeDelta = TimeDelta::hours(24);

/// A request with an idempotency key.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// The use case: a key may be used once in each.
    route: &'static str,
    key: String,
    request_sha256: [u8; 32],
}

impl Idempotency {
    pub const MAX_KEY: usize = 255;

    /// `key` is the client's, bare or quoted as in the draft; `request` is the request in canonical
    /// form.
    ///
    /// # Errors
    /// The key is empty, too long, or not printable ASCII.
    pub fn new(route: &'static str, key: &str, request: &[u8]) -> Result<Self, Invalid> {
        let bare = key.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(key);
        let printable = bare.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if !printable || !(1..=Self::MAX_KEY).contains(&bare.len()) {
            let expected = format!("must be 1 to {} printable ASCII characters, such as a UUID", Self::MAX_KEY);
            return Err(Invalid::new("Idempotency-Key", expected));
        }
        Ok(Self { route, key: bare.to_owned(), request_sha256: sha256(request) })
    }

    /// A key belongs to a caller, because two users of an app may choose the same.
    pub(super) fn id(&self, caller: &Caller) -> [u8; 32] {
        let (tenant_id, caller_id) = (caller.tenant.id.uuid(), caller.id.unwrap_or_default());
        let parts: [&[u8]; 6] = [
            tenant_id.as_bytes(),
            caller.kind.as_str().as_bytes(),
            caller_id.as_bytes(),
            caller.subject.as_deref().unwrap_or_default().as_bytes(),
            self.route.as_bytes(),
            self.key.as_bytes(),
        ];
        // The lengths keep the parts apart.
        let length = |part: &[u8]| u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes();
        sha256(&parts.map(|part| [&length(part), part].concat()).concat())
    }

    pub(super) fn is_of(&self, request_sha256: &[u8]) -> bool {
        self.request_sha256.as_slice() == request_sha256
    }

    pub(super) fn row(
        &self,
        caller: &Caller,
        upload_ids: Vec<Option<UploadId>>,
        now: DateTime<Utc>,
    ) -> NewIdempotencyKey {
        NewIdempotencyKey {
            id: self.id(caller),
            tenant_id: caller.tenant.id,
            request_sha256: self.request_sha256,
            upload_ids,
            created_at: now,
            expires_at: now + REMEMBERED,
        }
    }
}
