//! Who caused a failed call, without details.

/// What a failed call of the database or another service means to the caller of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A value of the request was rejected. The same request fails again.
    Rejected,
    /// A dependency does not answer. The same request may succeed later.
    Unavailable,
    /// A bug, or a state that only an operator can repair.
    Internal,
}
