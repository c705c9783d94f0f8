//! Where the gateway may connect to.

mod fetch;
mod rules;
