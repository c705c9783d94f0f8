//! Layers around every route: one log line a request, the language of error texts, limits and panics.

pub(crate) mod accept_language;
pub(super) mod limits;
pub(super) mod request_log;
