//! The tests that need running parts: real Postgres, a real S3-compatible store, real HTTP.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected should fail there and then"
)]

mod admin;
mod bucket;
mod cache;
mod changes;
mod chaos;
mod cli;
mod config;
mod deploy;
mod differential;
mod docs;
mod domain;
mod hostile;
mod isolation;
mod logging;
mod migrations;
mod ops;
mod oss;
mod outbound;
mod promises;
mod recorder;
mod rights;
mod rotation;
mod supply;
mod support;
mod sweeper;
mod telemetry;
mod tidy;
mod upkeep;
mod v1;
mod vault;
