//! Faults under load. Clients request uploads and PUT files without a pause, a part fails and
//! recovers. Then every URL that a client received is compared with the ledger, and every file with
//! the bucket.
//!
//! `tests/chaos/run` does the same for longer and writes the table of `docs/reliability.md`.

mod check;
mod clients;
mod clock;
mod database;
mod failover;
mod gateway;
mod issuer;
mod load;
mod outside;
mod report;
mod scene;
mod soak;
