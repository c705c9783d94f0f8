//! `GET /oss/presign`.

mod anonymous;
mod api_keys;
mod connections;
mod contract;
mod faults;
pub mod jwt;
mod limits;
mod put;
mod refusals;
mod url;
