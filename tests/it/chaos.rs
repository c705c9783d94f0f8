//! The worst day: faults under load. Clients ask for uploads and put files without a pause, something breaks, and comes back. Then
//! every URL that any client was ever given is compared with the ledger, and every file with the bucket.
//!
//! `tests/chaos/run` runs the same for longer, and writes the table of `docs/reliability.md`.

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
