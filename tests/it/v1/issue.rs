//! `POST /v1/uploads`: what may be asked for, and what is refused.

use presign_gateway::admin::{PolicyChanges, TenantChanges};
use presign_gateway::domain::binding::{Binding, BindingSet};
use presign_gateway::domain::extension::Extension;
use serde_json::{Value, json};

use crate::support::stack::TestStack;

async fn policy(stack: &TestStack, policy: PolicyChanges) {
    stack.change_alpha(TenantChanges { policy, ..TenantChanges::default() }).await;
}

#[tokio::test]
async fn an_upload_is_on_record_with_all_that_was_said_of_it() {
    let stack = TestStack::start().await;
    let sha256 = "0".repeat(64);
    let asked = json!({
        "ext": "JPG", "type": "origin", "width": 640, "height": 480, "duration": 1.5, "size": 12, "sha256": sha256,
        "expires_in": 60, "bucket": "default", "metadata": {"album": "été", "note": "a b"}, "write_once": true,
    });
    let answer = stack.issue(&asked).await;
    let issued = answer.data(201);
    assert_eq!(answer.header("location"), Some(format!("/v1/uploads/{}", issued["id"].as_str().unwrap()).as_str()));
    assert_eq!(issued["method"], "PUT");
    assert!(issued["key"].as_str().unwrap().contains(issued["id"].as_str().unwrap()));
    assert!(issued["url"].as_str().unwrap().contains("X-Amz-Expires=60"));
    assert!(issued["url"].as_str().unwrap().contains("x-amz-meta-album=%3D%3FUTF-8%3FB%3Fw6l0w6k%3D%3F%3D"));
    let headers = json!({
        "content-length": "12", "content-type": "image/jpeg", "if-none-match": "*",
        "x-amz-checksum-sha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    });
    assert_eq!(issued["headers"], headers);

    let shown = stack.get(&format!("/v1/uploads/{}", issued["id"].as_str().unwrap()));
    let shown = shown.bearer(&stack.demo.alpha.api_key).send().await;
    let shown = shown.data(200);
    for field in ["id", "key"] {
        assert_eq!(shown[field], issued[field]);
    }
    assert_eq!(shown["url_expires_at"], issued["expires_at"]);
    let expected = json!({
        "tenant": "alpha", "bucket": "default", "state": "issued", "ext": "jpg", "type": "origin", "width": 640, "height": 480,
        "duration": 1.5, "size": 12, "content_type": "image/jpeg", "sha256": sha256, "write_once": true, "seen": null, "mismatches": [],
        "metadata": {"album": "=?UTF-8?B?w6l0w6k=?=", "note": "a b"},
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&shown[field], value, "{field}");
    }
    assert_eq!(shown["caller"]["kind"], "api_key");
    assert!(!shown.to_string().contains("X-Amz-"), "no URL is shown");
}

#[tokio::test]
async fn extension_comes_from_ext_filename_or_content_type() {
    let stack = TestStack::start().await;
    for (asked, ext) in [
        (json!({"ext": "png"}), ".png"),
        (json!({"filename": "../../Holiday.photo.JPEG"}), ".jpeg"),
        (json!({"content_type": "Video/MP4"}), ".mp4"),
        (json!({"content_type": "image/jpeg"}), ".jpg"),
        (json!({"ext": "jpeg", "filename": "a.jpeg", "content_type": "image/jpeg"}), ".jpeg"),
    ] {
        let answer = stack.issue(&asked).await;
        let object_key = answer.data(201)["key"].as_str().unwrap().to_owned();
        assert!(object_key.ends_with(ext) && !object_key.contains("oliday"), "{asked}: {object_key}");
    }
}

#[tokio::test]
async fn invalid_field_is_rejected_by_name_and_records_nothing() {
    let stack = TestStack::start().await;
    let many: Value = (0..17).map(|n| (format!("n{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    let large: Value =
        (0..8).map(|n| (format!("n{n}"), json!("v".repeat(250)))).collect::<serde_json::Map<_, _>>().into();
    for (asked, field) in [
        (json!({}), "ext"),
        (json!({"ext": "jpg", "filename": "a.png"}), "filename"),
        (json!({"filename": format!("{}.jpg", "a".repeat(300))}), "filename"),
        (json!({"ext": "jpg", "content_type": "text/html"}), "content_type"),
        (json!({"ext": "jpg", "width": 0}), "width"),
        (json!({"ext": "jpg", "width": 640.5}), "width"),
        (json!({"ext": "jpg", "width": 2_147_483_648_u32}), "width"),
        (json!({"ext": "jpg", "height": -1}), "height"),
        (json!({"ext": "jpg", "height": 1.5}), "height"),
        (json!({"ext": "jpg", "duration": -0.1}), "duration"),
        (json!({"ext": "jpg", "duration": 1e10}), "duration"),
        (json!({"ext": "jpg", "size": 5_368_709_121_u64}), "size"),
        (json!({"ext": "jpg", "size": -1}), "size"),
        (json!({"ext": "jpg", "sha256": "abc"}), "sha256"),
        (json!({"ext": "jpg", "expires_in": 0}), "expires_in"),
        (json!({"ext": "jpg", "expires_in": 3601}), "expires_in"),
        (json!({"ext": "jpg", "bucket": "other"}), "bucket"),
        (json!({"ext": "jpg", "bucket": "../other"}), "bucket"),
        (json!({"ext": "jpg", "metadata": {"Album": "x"}}), "metadata"),
        (json!({"ext": "jpg", "metadata": {"width": "x"}}), "metadata"),
        (json!({"ext": "jpg", "metadata": {"a": "line\nline"}}), "metadata"),
        (json!({"ext": "jpg", "metadata": {"a": "v".repeat(257)}}), "metadata"),
        (json!({"ext": "jpg", "metadata": many}), "metadata"),
        (json!({"ext": "jpg", "metadata": large}), "metadata"),
        (json!({"ext": "jpg", "metadata": {"a": 1}}), "metadata.a"),
        (json!({"ext": "jpg", "write_once": "yes"}), "write_once"),
    ] {
        stack.issue(&asked).await.assert_field(400, "invalid_field", field);
    }
    let one_and_a_half = json!({"ext": "jpg", "size": 1.5});
    for (asked, told) in [
        (json!({"ext": "jpg", "width": 2_147_483_648_u32}), "width must be a whole number from 1 to 2147483647"),
        (json!({"ext": "jpg", "height": 1e30}), "height must be a whole number from 1 to 2147483647"),
        (json!({"ext": "jpg", "height": "9"}), "height must be a whole number from 1 to 2147483647"),
        (json!({"ext": "jpg", "size": 5_368_709_121_u64}), "size must be a whole number from 0 to 5368709120"),
        (one_and_a_half, "size must be a whole number from 0 to 5368709120"),
        (json!({"ext": "jpg", "expires_in": 99_999_999_999_u64}), "expires_in must be 1 to 3600 seconds"),
        (json!({"ext": "jpg", "expires_in": 1e30}), "expires_in must be 1 to 3600 seconds"),
        (json!({"ext": "jpg", "expires_in": -1}), "expires_in must be 1 to 3600 seconds"),
        (json!({"ext": "jpg", "expires_in": 1.5}), "expires_in must be a whole number of seconds"),
    ] {
        let answer = stack.issue(&asked).await;
        assert!(answer.message().contains(told), "{asked}: {}", answer.text);
    }
    stack
        .issue(&json!({"ext": "jpg", "width": null, "size": null, "expires_in": null, "bucket": "other"}))
        .await
        .assert_field(400, "invalid_field", "bucket");
    for (asked, field) in [
        (json!({"ext": "exe"}), "ext"),
        (json!({"filename": "jpg"}), "filename"),
        (json!({"content_type": "text/html"}), "content_type"),
    ] {
        let answer = stack.issue(&asked).await;
        assert_eq!(
            (answer.status.as_u16(), answer.reason(), &answer.body["field"]),
            (400, "invalid_ext", &json!(field))
        );
    }
    let unknown = stack.issue(&json!({"ext": "jpg", "key": "mine.jpg"})).await;
    unknown.assert_field(400, "unknown_field", "key");
    assert_eq!(stack.recorded().await, 0);
}

#[tokio::test]
async fn a_whole_number_may_be_written_with_a_point() {
    let stack = TestStack::start().await;
    let answer = stack.issue(&json!({"ext": "jpg", "width": 640.0, "size": 12.0, "expires_in": 60.0})).await;
    let issued = answer.data(201);
    assert!(issued["url"].as_str().unwrap().contains("X-Amz-Expires=60&"));
    assert_eq!(issued["headers"]["content-length"], "12");
}

#[tokio::test]
async fn a_body_over_64_kib_is_413() {
    let stack = TestStack::start().await;
    let asked = json!({"ext": "jpg", "filename": "a".repeat(65_536)});
    stack.issue(&asked).await.assert_error(413, "body_too_large");
}

#[test]
fn no_content_type_that_a_browser_would_run_is_ever_bound() {
    for ext in Extension::ALL {
        let media_type = ext.content_type();
        assert!(media_type.starts_with("image/") || media_type.starts_with("video/"), "{media_type}");
        assert!(!["svg", "xml", "html", "script"].iter().any(|bad| media_type.contains(bad)), "{media_type}");
    }
}

#[tokio::test]
async fn what_policy_demands_must_be_named_and_bare_urls_are_refused() {
    let stack = TestStack::start().await;
    let required = BindingSet::default().with(Binding::Size).with(Binding::Sha256);
    policy(&stack, PolicyChanges { required_bindings: Some(required), ..PolicyChanges::default() }).await;
    let refused = stack.issue(&json!({"ext": "jpg", "size": 3})).await;
    refused.assert_error(400, "binding_required");
    assert!(refused.message().contains("sha256") && !refused.message().contains("size,"), "{}", refused.message());
    stack.presign("ext=jpg").await.assert_error(400, "binding_required");
    assert_eq!(stack.recorded().await, 0);
    stack.issue(&json!({"ext": "jpg", "size": 3, "sha256": "0".repeat(64)})).await.data(201);
}

#[tokio::test]
async fn policy_caps_the_size() {
    let stack = TestStack::start().await;
    policy(&stack, PolicyChanges { max_size_bytes: Some(Some(10)), ..PolicyChanges::default() }).await;
    stack.issue(&json!({"ext": "jpg", "size": 11})).await.assert_field(400, "invalid_field", "size");
    stack.issue(&json!({"ext": "jpg", "size": 10})).await.data(201);
}
