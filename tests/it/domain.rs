//! Domain types and how they parse.

mod binding;
mod database_url;
mod encoding;
mod origin;
mod policy;
mod search;
mod upload;

use chrono::DateTime;
use presign_gateway::auth::api_key::{PresentedApiKey, generate};
use presign_gateway::domain::bucket::{Addressing, BucketName, Endpoint, Location, Provider, Region};
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::domain::extension::Extension;
use presign_gateway::domain::ids::UploadId;
use presign_gateway::domain::object_key::{MAX_OBJECT_KEY_BYTES, Naming, Prefix, Template};
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::tenant::{Expiry, RateLimit, Slug};
use presign_gateway::domain::upload::{Pixels, Seconds, UploadKind};
use proptest::prelude::*;
use secrecy::ExposeSecret;

proptest! {
    #[test]
    fn a_template_that_parses_makes_sound_object_keys(
        text in "([a-z./_-]|\\{yyyy\\}|\\{mm\\}|\\{dd\\}|\\{ext\\}|\\{kind\\}|\\{prefix\\}|\\{uuid\\}){0,20}",
        prefix in prop::option::of("[a-z./_-]{0,6}"),
        milliseconds in 0..4_000_000_000_000i64,
    ) {
        let prefix = prefix.and_then(|text| Prefix::parse(&text).ok());
        let Ok(template) = Template::parse(&text, prefix.as_ref()) else { return Ok(()) };
        let issued_at = DateTime::from_timestamp_millis(milliseconds).unwrap();
        let id = UploadId::generate(issued_at, &Randomness::System);
        let kinds = UploadKind::ALL.map(Some).into_iter().chain([None]);
        for (ext, kind) in Extension::ALL.iter().flat_map(|ext| kinds.clone().map(move |kind| (*ext, kind))) {
            let object_key = template.object_key(&Naming { id, ext, kind, issued_at, time_zone: chrono_tz::UTC });
            prop_assert!(object_key.contains(&id.to_string()));
            prop_assert!(object_key.len() <= MAX_OBJECT_KEY_BYTES);
            prop_assert!(!object_key.split('/').any(|segment| matches!(segment, "" | "." | "..")), "{}", object_key);
        }
    }

    #[test]
    fn nothing_that_is_parsed_panics(text in "\\PC{0,60}") {
        let _ = (Template::parse(&text, None), Endpoint::parse(&text, &AllowedHosts::any()), BucketName::parse(&text), Region::parse(&text));
        let _ = (Slug::parse(&text), Pixels::parse(&text), Seconds::parse(&text), PresentedApiKey::parse(&text));
    }

    #[test]
    fn any_mistyped_letter_of_an_api_key_is_noticed(position in 4..55usize, letter in "[A-Za-z0-9_]") {
        let key = generate(&Randomness::System).text.expose_secret().to_owned();
        prop_assert!(PresentedApiKey::parse(&key).is_some());
        let mut mistyped = key.clone();
        mistyped.replace_range(position..=position, &letter);
        prop_assert_eq!(PresentedApiKey::parse(&mistyped).is_some(), mistyped == key);
    }

    #[test]
    fn ids_sort_by_time(earlier in 0..4_000_000_000_000i64, later in 1..1_000_000i64) {
        let id = |milliseconds| UploadId::generate(DateTime::from_timestamp_millis(milliseconds).unwrap(), &Randomness::System);
        prop_assert!(id(earlier) < id(earlier + later));
    }
}

#[test]
fn an_api_key_has_at_least_160_random_bits() {
    let key = generate(&Randomness::System);
    let secret_characters = key.text.expose_secret().split('_').nth(2).unwrap().len() - 6;
    // One of 62 characters has 5.95 bits.
    assert!(secret_characters * 595 >= 160 * 100);
    assert_ne!(generate(&Randomness::System).secret_sha256, key.secret_sha256);
}

#[test]
fn templates_that_would_make_unsound_object_keys_are_refused() {
    let long = format!("{}{{uuid}}", "x".repeat(MAX_OBJECT_KEY_BYTES - 35));
    for text in [
        "",
        "{yyyy}",
        "/{uuid}",
        "{uuid}/",
        "a//{uuid}",
        "./{uuid}",
        "../{uuid}",
        "a/../{uuid}",
        "{uuid}{",
        "{UUID}",
        "{uuid}{x}",
        "{uuid} ",
        "{uuid}?",
        "é{uuid}",
        &long,
    ] {
        assert!(Template::parse(text, None).is_err(), "{text}");
    }
}

#[test]
fn a_prefix_and_its_template_belong_together() {
    let prefix = Prefix::parse("apps/my-app").unwrap();
    let template = Template::parse("{prefix}/{kind}/{uuid}.{ext}", Some(&prefix)).unwrap();
    let issued_at = DateTime::from_timestamp_millis(0).unwrap();
    let id = UploadId::generate(issued_at, &Randomness::System);
    let naming = Naming { id, ext: Extension::ALL[0], kind: None, issued_at, time_zone: chrono_tz::UTC };
    assert_eq!(template.object_key(&naming), format!("apps/my-app/other/{id}.jpg"));
    let thumb = Naming { kind: Some(UploadKind::Thumb), ..naming };
    assert_eq!(template.object_key(&thumb), format!("apps/my-app/thumb/{id}.jpg"));

    assert_eq!(Template::parse("{prefix}/{uuid}", None).unwrap_err().field, "object_key_template");
    assert_eq!(Template::parse("{uuid}", Some(&prefix)).unwrap_err().field, "object_key_prefix");
    let longest = Prefix::parse(&"x".repeat(Prefix::MAX_BYTES)).unwrap();
    assert!(Template::parse("{prefix}/{uuid}", Some(&longest)).is_ok());
    assert!(Template::parse("{prefix}{prefix}/{uuid}", Some(&longest)).is_err(), "over 1,024 bytes");
    for text in ["", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "é", "a b", &"x".repeat(Prefix::MAX_BYTES + 1)] {
        assert!(Prefix::parse(text).is_err(), "{text}");
    }
}

#[test]
fn endpoints_are_a_scheme_and_a_host() {
    let nobody = AllowedHosts::default();
    for text in
        ["https://s3.example.com", "https://s3.example.com:8443", "https://[2606:4700::1]:9000", "https://9.9.9.9"]
    {
        assert_eq!(Endpoint::parse(text, &nobody).unwrap().to_string(), text);
    }
    for text in [
        "http://s3.example.com",
        "s3.example.com",
        "ftp://x",
        "https://u:p@x",
        "https://x/bucket",
        "https://x?q",
        "https://x#f",
        "https://",
    ] {
        assert!(Endpoint::parse(text, &nobody).is_err(), "{text}");
    }
    for text in ["http://127.0.0.1:3002", "http://s3.example.com", "https://[::1]:9000", "https://10.0.0.1"] {
        assert_eq!(Endpoint::parse(text, &AllowedHosts::any()).unwrap().to_string(), text);
        let refused = Endpoint::parse(text, &nobody).unwrap_err().to_string();
        assert!(refused.contains("outbound.allowed_hosts"), "{text}: {refused}");
    }
}

#[test]
fn a_location_is_checked_as_a_whole() {
    let location = |endpoint: &str, region: &str, addressing, provider| {
        let (endpoint, region) =
            (Endpoint::parse(endpoint, &AllowedHosts::any()).unwrap(), Region::parse(region).unwrap());
        Location { endpoint, region, bucket_name: BucketName::parse("bucket").unwrap(), addressing, provider }.check()
    };
    let (r2, aws) = ("https://account.r2.cloudflarestorage.com", "https://s3.eu-central-1.amazonaws.com");
    assert!(location(r2, "auto", Addressing::VirtualHosted, Provider::R2).is_ok());
    assert!(location(aws, "eu-central-1", Addressing::Path, Provider::Aws).is_ok());
    assert!(location("https://s3.example.com", "garage", Addressing::Path, Provider::Generic).is_ok());
    for (endpoint, region, addressing, provider, field) in [
        (r2, "eu-central-1", Addressing::Path, Provider::R2, "region"),
        ("https://cdn.example.com", "auto", Addressing::Path, Provider::R2, "endpoint"),
        ("https://r2.cloudflarestorage.com.example.com", "auto", Addressing::Path, Provider::R2, "endpoint"),
        (aws, "auto", Addressing::Path, Provider::Aws, "region"),
        (aws, "eu-central", Addressing::Path, Provider::Aws, "region"),
        (r2, "us-east-1", Addressing::Path, Provider::Aws, "endpoint"),
        ("https://10.0.0.1", "x", Addressing::VirtualHosted, Provider::Generic, "addressing"),
    ] {
        assert_eq!(location(endpoint, region, addressing, provider).unwrap_err().field, field, "{endpoint} {region}");
    }
}

#[test]
fn a_bucket_name_that_its_provider_cannot_have_is_refused() {
    let named = |name: &str, endpoint: &str, region: &str, addressing, provider| {
        let (endpoint, region) =
            (Endpoint::parse(endpoint, &AllowedHosts::any()).unwrap(), Region::parse(region).unwrap());
        let bucket_name = BucketName::parse(name).unwrap();
        Location { endpoint, region, bucket_name, addressing, provider }.check().map_err(|invalid| invalid.field)
    };
    let r2 = |name| named(name, "https://a.r2.cloudflarestorage.com", "auto", Addressing::Path, Provider::R2);
    let aws = |name| named(name, "https://s3.amazonaws.com", "us-east-1", Addressing::Path, Provider::Aws);
    assert!(r2("my-uploads").is_ok() && aws("my.uploads").is_ok());
    assert_eq!(r2("my.uploads").unwrap_err(), "bucket");
    for reserved in ["xn--uploads", "sthree-uploads", "uploads-s3alias", "uploads--x-s3"] {
        assert_eq!(aws(reserved).unwrap_err(), "bucket", "{reserved}");
    }
    let dotted = named("a.b", "https://s3.example.com", "x1", Addressing::VirtualHosted, Provider::Generic);
    assert_eq!(dotted.unwrap_err(), "addressing", "no certificate covers it");
}

#[test]
fn bucket_names_are_those_that_s3_allows() {
    for text in ["abc", "a.b-c", "1234567890", &"x".repeat(63)] {
        assert!(BucketName::parse(text).is_ok(), "{text}");
    }
    for text in ["ab", "-abc", "abc-", "a..b", "ABC", "a_b", "a/b", "192.168.0.1", "", &"x".repeat(64)] {
        assert!(BucketName::parse(text).is_err(), "{text}");
    }
}

#[test]
fn limits_and_lifetimes_have_bounds() {
    assert!(RateLimit::new(1, 1).is_ok() && RateLimit::new(1_000_000, 1_000_000).is_ok());
    assert!(RateLimit::new(0, 1).is_err() && RateLimit::new(1, 0).is_err() && RateLimit::new(1_000_001, 1).is_err());
    assert!(Expiry::new(1, 604_800).is_ok());
    assert!(Expiry::new(0, 10).is_err() && Expiry::new(11, 10).is_err() && Expiry::new(1, 604_801).is_err());
}
