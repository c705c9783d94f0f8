//! Where the gateway reaches out to.

mod rules;
