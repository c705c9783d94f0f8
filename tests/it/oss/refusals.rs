//! What is refused, in which words, and that nothing is on record then.

use presign_gateway::admin::{PolicyChanges, TenantChanges};
use presign_gateway::domain::extension::ExtensionSet;
use reqwest::Method;

use crate::support::stack::{Setup, TestStack};

const CONTRACT_MESSAGE: &str = "仅支持图片（jpg、jpeg、png、webp、gif）和视频（mp4、webm）格式";

#[tokio::test]
async fn a_wrong_or_missing_ext_is_told_in_the_contracts_own_words() {
    let stack = TestStack::start().await;
    for query in
        ["", "ext=", "ext=exe", "ext=.jpg", "ext=jpg%00", "ext=jpg%20", "ext=svg", "ext=%FF", "EXT=jpg", "ext=../jpg"]
    {
        let answer = stack.presign(query).await;
        answer.assert_error(400, "invalid_ext");
        assert_eq!(answer.message(), CONTRACT_MESSAGE, "{query}");
    }
    assert_eq!(stack.recorded().await, 0);
}

#[tokio::test]
async fn every_other_parameter_is_named_with_what_is_allowed() {
    let stack = TestStack::start().await;
    let cases = [
        (
            "width",
            "invalid_width",
            "2147483647",
            &["0", "-1", "1.5", "2147483648", "+1", "", "1e3", "0x10", "１", "99999999999999999999"][..],
        ),
        ("height", "invalid_height", "2147483647", &["0", "-5", "abc", "2147483648", "%201", "1%20"][..]),
        (
            "duration",
            "invalid_duration",
            "1000000000",
            &["-0.1", "NaN", "inf", "infinity", "1000000000.1", "1e10", "", "1,5", "-0", "+1", "abc"][..],
        ),
        ("type", "invalid_type", "thumb", &["", "Thumb", "image", "origin%20", "video;"][..]),
    ];
    for (parameter, reason, allowed, values) in cases {
        for value in values {
            let answer = stack.presign(&format!("ext=jpg&{parameter}={value}")).await;
            answer.assert_error(400, reason);
            let message = answer.message();
            assert!(message.contains(parameter) && message.contains(allowed), "{message}");
        }
        let repeated = stack.presign(&format!("ext=jpg&{parameter}=1&{parameter}=1")).await;
        repeated.assert_error(400, "repeated_parameter");
        assert!(repeated.message().contains(parameter));
    }
    stack.presign("ext=jpg&ext=jpg").await.assert_error(400, "repeated_parameter");
    assert_eq!(stack.recorded().await, 0);
}

#[tokio::test]
async fn the_edges_of_what_is_allowed_are_allowed() {
    let stack = TestStack::start().await;
    let queries = [
        "ext=WebM&width=1&height=2147483647&duration=0&type=video",
        "ext=jpeg&duration=1000000000",
        "ext=gif&duration=1e3",
        "ext=webp&foo=1&foo=2",
        "ext=%6Apg",
    ];
    for query in queries {
        stack.presign(query).await.url();
    }
    assert_eq!(stack.recorded().await, 5);
}

#[tokio::test]
async fn accept_language_selects_text_and_contract_is_chinese() {
    let stack = TestStack::start().await;
    let english = "Only images (jpg, jpeg, png, webp, gif) and videos (mp4, webm) are supported";
    for (accepted, expected) in [
        ("en", english),
        ("en-GB,en;q=0.9", english),
        ("fr, en;q=0.5", english),
        ("zh-CN,zh;q=0.9,en;q=0.8", CONTRACT_MESSAGE),
        ("en;q=0.5, zh", CONTRACT_MESSAGE),
        ("fr", CONTRACT_MESSAGE),
        ("en;q=0", CONTRACT_MESSAGE),
        ("en;q=nonsense", CONTRACT_MESSAGE),
        ("", CONTRACT_MESSAGE),
        ("en;Q=0.5, zh;q=0.9", CONTRACT_MESSAGE),
        ("en;q=5", CONTRACT_MESSAGE),
        ("en;q=inf", CONTRACT_MESSAGE),
        ("en;q=0.1234", CONTRACT_MESSAGE),
        ("*", CONTRACT_MESSAGE),
        ("zh;q=0, *", english),
    ] {
        let call = stack.get("/oss/presign").bearer(&stack.demo.alpha.api_key).header("accept-language", accepted);
        assert_eq!(call.send().await.message(), expected, "{accepted}");
    }
    assert_eq!(stack.get("/elsewhere").send().await.message(), "No such path");
    let chinese = stack.another(&[("SERVER__DEFAULT_LANGUAGE", "zh")]).await;
    for (accepted, expected) in [("*", "路径不存在"), ("en", "No such path")] {
        let call = stack.call(Method::GET, format!("{}/elsewhere", chinese.url)).header("accept-language", accepted);
        assert_eq!(call.send().await.message(), expected, "{accepted}");
    }
}

#[tokio::test]
async fn disallowed_extension_is_rejected_with_the_allowed_ones() {
    let stack = TestStack::start().await;
    let allowed_extensions = Some(ExtensionSet::parse(["png", "gif"]).unwrap());
    let policy = PolicyChanges { allowed_extensions, ..PolicyChanges::default() };
    stack.change_alpha(TenantChanges { policy, ..TenantChanges::default() }).await;
    let answer = stack.presign("ext=jpg").await;
    answer.assert_error(400, "ext_not_allowed");
    assert!(answer.message().contains("png, gif"), "{}", answer.message());
    stack.presign("ext=gif").await.url();
    assert_eq!(stack.recorded().await, 1);
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_get_the_envelope_too() {
    let stack = TestStack::start().await;
    for path in ["/", "/oss", "/oss/presign/", "/oss/presign/x", "/v1", "/OSS/PRESIGN", "/readyz", "/metrics"] {
        stack.get(path).send().await.assert_error(404, "not_found");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let answer = stack.get("/oss/presign?ext=jpg").method(method).bearer(&stack.demo.alpha.api_key).send().await;
        answer.assert_error(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some("GET"));
    }
    assert_eq!(stack.recorded().await, 0);
}

#[tokio::test]
async fn head_issues_nothing() {
    let stack = TestStack::start().await;
    let answer = stack.get("/oss/presign?ext=jpg").method(Method::HEAD).bearer(&stack.demo.alpha.api_key).send().await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.text, "");
    let length = answer.header("content-length").and_then(|length| length.parse::<usize>().ok());
    assert!(length.is_some_and(|length| length > 0), "the length of what GET would be told: {length:?}");
    assert_eq!(stack.recorded().await, 0);
}

#[tokio::test]
async fn a_query_and_a_body_over_the_limit_are_refused_with_the_limit() {
    let stack = Setup::new().set("SERVER__MAX_QUERY_BYTES", "100").set("SERVER__MAX_BODY_BYTES", "10").start().await;
    let long = stack.presign(&format!("ext=jpg&x={}", "y".repeat(91))).await;
    long.assert_error(414, "query_too_long");
    assert!(long.message().contains("100"));
    stack.presign(&format!("ext=jpg&x={}", "y".repeat(90))).await.url();

    let call = stack.client.get(format!("{}/oss/presign?ext=jpg", stack.url)).bearer_auth(&stack.demo.alpha.api_key);
    let response = call.body("12345678901").send().await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(stack.recorded().await, 1);
}

#[tokio::test]
async fn web_pages_may_call_only_from_the_origins_that_are_configured() {
    let stack = Setup::new().set("SERVER__CORS_ORIGINS", "https://app.example.com").start().await;
    let preflight = |origin: &'static str| {
        let call = stack.get("/oss/presign").method(Method::OPTIONS).header("origin", origin);
        call.header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization")
            .send()
    };
    let allowed = preflight("https://app.example.com").await;
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert!(allowed.header("access-control-allow-headers").unwrap().contains("authorization"));
    assert_eq!(preflight("https://evil.example").await.header("access-control-allow-origin"), None);
}
