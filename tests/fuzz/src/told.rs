//! Whether an error repeats a value. Names of fields may be told, so it is only looked for a mark that stands in a value.

use presign_gateway::http::error::ApiError;
use presign_gateway::http::error::reason::Language;

/// Stands in values, by dictionary and corpus; no text of ours has it.
pub const MARK: &str = "S3cretM4rk";

/// Asserts that the error has texts and names nothing of what was sent; `names` are the fields' names, which may be told.
pub fn assert_told(error: &ApiError, names: &[String]) {
    let status = error.reason.status();
    assert!(status.is_client_error(), "{error:?}: a mistake of the caller's");
    for language in [Language::English, Language::Chinese] {
        let message = error.message(language);
        assert!(!message.is_empty(), "{error:?}");
        assert!(message.chars().count() < 1000, "as long as what was sent: {message}");
        if !names.iter().any(|name| name.contains(MARK)) {
            assert!(!message.contains(MARK), "a value is repeated: {message}");
            assert!(!error.field.as_deref().unwrap_or_default().contains(MARK), "{error:?}");
        }
    }
}
