//! A presign gateway: many apps share one service that hands out presigned upload URLs, each into its own bucket, and
//! that keeps every one on record.
//!
//! The modules, in the order in which a request meets them:
//!
//! - [`http`] takes it in: routes, layers, the envelope. An extractor turns it into an admitted caller, by way of
//! - [`auth`], which finds out who is calling, and
//! - [`limit`], which lets that caller in or says when to come again. Then
//! - [`uploads`] issues the upload: [`vault`] opens the bucket's credential, [`presign`] signs, and the recorder commits
//!   through [`store`], which holds all SQL, before the URL is revealed.
//! - [`error`] turns whatever went wrong into an answer.
//!
//! [`changes`] makes what is in memory (a [`cache`] each) follow what is in the database; [`upkeep`] keeps the tables.
//!
//! Beside that way: [`tenants`] are the operator's use cases, [`bucket`] is what talks to a bucket, and [`outbound`] what
//! reaches out to anybody else; [`config`], [`app`], [`telemetry`], [`health`] and [`cli`] make a process of it; `dev` is
//! the embedded stack. All speak the words of [`domain`].

pub mod app;
pub mod auth;
pub mod bucket;
pub mod cache;
pub mod changes;
pub mod cli;
pub mod config;
#[cfg(feature = "dev")]
pub mod dev;
pub mod domain;
pub mod error;
pub mod health;
pub mod http;
pub mod limit;
pub mod outbound;
pub mod presign;
pub mod store;
pub mod telemetry;
pub mod tenants;
pub mod upkeep;
pub mod uploads;
pub mod vault;
