//! The command line, run as a user would run it.

mod database;
mod dev;
mod from_nothing;
mod jwt_issuer;
mod operator;
mod refusals;
