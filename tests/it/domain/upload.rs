//! What was promised, compared with what was found.

use std::net::IpAddr;

use presign_gateway::domain::binding::{Bindings, Metadata, Sha256};
use presign_gateway::domain::bucket::Alias;
use presign_gateway::domain::caller::CallerKind;
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::extension::Extension;
use presign_gateway::domain::ids::{BucketId, TenantId, UploadId};
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::tenant::Slug;
use presign_gateway::domain::upload::{
    FileFacts, NewUpload, RequestSource, Seconds, SeenObject, TraceId, Upload, UploadState,
};
use proptest::prelude::*;

fn upload(bindings: Bindings, declared_etag: Option<String>) -> Upload {
    let (now, randomness) = (Clock::System.now(), Randomness::System);
    let issued = NewUpload {
        id: UploadId::generate(now, &randomness),
        tenant_id: TenantId::generate(now, &randomness),
        bucket_id: BucketId::generate(now, &randomness),
        object_key: "a.png".to_owned(),
        file: FileFacts { ext: Extension::Png, kind: None, width: None, height: None, duration: None },
        bindings,
        metadata: Metadata::default(),
        caller_kind: CallerKind::ApiKey,
        caller_id: None,
        caller_subject: None,
        source: RequestSource { client_address: IpAddr::from([127, 0, 0, 1]), trace_id: None },
        access_key_id: "ID".to_owned(),
        issued_at: now,
        url_expires_at: now,
        check_at: None,
    };
    let (tenant, bucket) = (Slug::parse("app").unwrap(), Alias::default_alias());
    Upload { issued, tenant, bucket, api_key: None, state: UploadState::Issued, declared_etag, seen: None }
}

/// A digest of few, so that two are often the same.
fn digest() -> impl Strategy<Value = Option<Sha256>> {
    prop::option::of((0..2u8).prop_map(|byte| Sha256::from([byte; 32])))
}

proptest! {
    #[test]
    fn exactly_what_both_sides_say_and_say_otherwise_is_a_mismatch(
        promised_size in prop::option::of(0..3u64),
        size_bytes in 0..3u64,
        promised_type in prop::option::of(prop::sample::select(vec!["image/png", "image/jpeg"])),
        found_type in prop::option::of(prop::sample::select(vec!["image/png", "IMAGE/PNG; q=1", "image/jpeg ;x", "text/html", ""])),
        promised_sha256 in digest(),
        sha256 in digest(),
        promised_etag in prop::option::of(prop::sample::select(vec!["a", "b"])),
        etag in prop::option::of(prop::sample::select(vec!["a", "\"a\"", "W/\"a\"", "b", "A"])),
    ) {
        let bindings =
            Bindings { size_bytes: promised_size, content_type: promised_type, sha256: promised_sha256, write_once: false };
        let upload = upload(bindings, promised_etag.map(str::to_owned));
        let (etag_text, type_text) = (etag.map(str::to_owned), found_type.map(str::to_owned));
        let seen =
            SeenObject { size_bytes, etag: etag_text, content_type: type_text, sha256, at: upload.issued.issued_at };

        // The same, told plainly.
        let mut expected = Vec::new();
        if promised_size.is_some_and(|promised| promised != size_bytes) {
            expected.push("size");
        }
        let type_of = |text: &str| match text {
            "image/png" | "IMAGE/PNG; q=1" => "png",
            "image/jpeg" | "image/jpeg ;x" => "jpeg",
            _ => "other",
        };
        if let (Some(promised), Some(found)) = (promised_type, found_type) && type_of(promised) != type_of(found) {
            expected.push("content_type");
        }
        if promised_sha256.is_some() && sha256.is_some() && promised_sha256 != sha256 {
            expected.push("sha256");
        }
        let bare = |text: &str| text.replace("W/", "").replace('"', "");
        if let (Some(promised), Some(found)) = (promised_etag, etag) && bare(promised) != bare(found) {
            expected.push("etag");
        }
        let state = if expected.is_empty() { UploadState::Uploaded } else { UploadState::Mismatched };
        prop_assert_eq!(upload.state_when(&seen), state);
        let seen = Upload { seen: Some(seen), ..upload };
        let fields: Vec<&str> = seen.mismatches().iter().map(|mismatch| mismatch.field).collect();
        prop_assert_eq!(fields, expected);
    }
}

#[test]
fn no_seconds_are_shown_without_a_sign() {
    assert!(Seconds::new(-0.0).unwrap().get().is_sign_positive());
    assert_eq!(Seconds::new(-0.1), None);
}

#[test]
fn a_trace_id_is_read_as_it_was_written() {
    let id = TraceId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
    assert_eq!(TraceId::parse(&id.to_string()), Some(id));
    for text in ["", "00", "0x000102030405060708090a0b0c0d0eff", "zz0102030405060708090a0b0c0d0eff"] {
        assert_eq!(TraceId::parse(text), None, "{text}");
    }
}
