//! Origins of web pages.

use presign_gateway::domain::origin::WebOrigin;

#[test]
fn origin_is_secure_by_https_or_on_the_readers_machine() {
    for (text, is_secure) in [
        ("https://app.example.com", true),
        ("https://app.example.com:8443", true),
        ("http://localhost:5173", true),
        ("http://app.localhost", true),
        ("http://127.0.0.1", true),
        ("http://[::1]:3000", true),
        ("http://app.example.com", false),
        ("http://localhost.example.com", false),
        ("http://10.0.0.5", false),
    ] {
        assert_eq!(WebOrigin::parse(text).map(|origin| origin.is_secure()), Ok(is_secure), "{text}");
    }
}

#[test]
fn text_that_no_browser_sends_is_no_origin() {
    for text in [
        "",
        "*",
        "null",
        "app.example.com",
        "https://*.example.com",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://App.example.com",
        "https://app.example.com:443",
        "https://me@app.example.com",
        "ftp://app.example.com",
        "https://app.example.com\r\nX: y",
    ] {
        let error = WebOrigin::parse(text).unwrap_err();
        assert_eq!(error.field, "origin");
        assert!(error.expected.starts_with(&format!("{text:?} must be ")), "{error}");
    }
}
