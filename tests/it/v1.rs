//! `/v1`.

mod batch;
mod bindings;
mod idempotency;
mod issue;
mod renew;
mod usage;
