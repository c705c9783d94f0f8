//! What apps do beside `/oss/presign`.

mod batch;
mod bindings;
mod export;
mod find;
mod find_model;
mod idempotency;
mod issue;
mod renew;
