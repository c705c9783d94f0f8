//! Where the gateway reaches out to.

mod fetch;
mod rules;
