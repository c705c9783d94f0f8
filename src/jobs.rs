//! Background jobs: what the gateway does without being asked. None is on the way of a request.

pub mod invalidation;
pub mod maintenance;
pub mod sweeper;
