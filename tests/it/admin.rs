//! `/admin/v1`: what operators do over HTTP.

mod access;
mod api_keys;
mod audit;
mod bodies;
mod buckets;
mod keyring;
mod one_connection;
mod tenants;
mod usage;
