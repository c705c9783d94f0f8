//! Layers around every route: request log, language of error texts, limits and panics.

pub(crate) mod accept_language;
pub(super) mod limits;
pub(super) mod request_log;
