//! The embedded stack of `presign-gateway dev` and the tests: a private Postgres and an in-process
//! S3 store.
//!
//! For one developer's machine, never for production.

pub mod demo;
pub mod object_store;
pub mod postgres;
pub(crate) mod seed;
pub(crate) mod stack;
