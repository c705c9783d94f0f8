//! Extractors: each turns part of a request into a typed value, or into an error that names the
//! field.

pub(super) mod caller;
pub(super) mod idempotency_key;
pub(super) mod if_match;
pub(super) mod json;
pub(super) mod number;
pub(super) mod operator;
pub(super) mod patch;
pub(super) mod path;
