//! A presign gateway: many apps share one service that issues presigned upload URLs, each into its own bucket, and that
//! records every one.
//!
//! The modules, in the order in which a request meets them:
//!
//! - [`http`] receives it: routes, layers, extractors, the envelope. An extractor turns it into an admitted caller through
//! - [`auth`], which identifies the caller, and
//! - [`rate_limit`], which admits or rejects that caller. Then
//! - [`uploads`] issues the upload: [`buckets`] has the opened credential, [`presign`] signs, and the recorder commits
//!   through [`store`], which holds all SQL, before the URL is returned.
//!
//! [`jobs`] run in the background: the sweeper, cache invalidation, table maintenance, last uses of API keys.
//!
//! [`admin`] holds the operators' use cases, [`crypto`] seals and opens secrets, [`egress`] makes outbound HTTP requests,
//! [`cache`] keeps rows in memory. [`config`], [`app`], [`telemetry`], `readiness` and [`cli`] make a process of it;
//! `dev` is the embedded stack. All use the types of [`domain`].

pub mod admin;
pub mod app;
pub mod auth;
pub mod buckets;
pub mod cache;
pub mod cli;
pub mod config;
pub mod crypto;
#[cfg(feature = "dev")]
pub mod dev;
pub mod domain;
pub mod egress;
pub mod http;
pub mod jobs;
pub mod presign;
pub mod rate_limit;
mod readiness;
pub mod store;
pub mod telemetry;
pub mod uploads;
