//! Values that parse.

use chrono::DateTime;
use presign_gateway::auth::api_key::{PresentedApiKey, generate};
use presign_gateway::domain::bucket::{Addressing, BucketName, Endpoint, Location, Provider, Region};
use presign_gateway::domain::extension::Extension;
use presign_gateway::domain::ids::UploadId;
use presign_gateway::domain::object_key::{LONGEST_OBJECT_KEY_BYTES, Template};
use presign_gateway::domain::outbound::AllowedHosts;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::tenant::{Expiry, RateLimit, Slug};
use presign_gateway::domain::upload::{Pixels, Seconds};
use proptest::prelude::*;
use secrecy::ExposeSecret;

proptest! {
    #[test]
    fn a_template_that_parses_makes_sound_object_keys(
        text in "([a-z./_-]|\\{yyyy\\}|\\{mm\\}|\\{dd\\}|\\{ext\\}|\\{uuid\\}){0,20}",
        milliseconds in 0..4_000_000_000_000i64,
    ) {
        let Ok(template) = Template::parse(&text) else { return Ok(()) };
        let issued_at = DateTime::from_timestamp_millis(milliseconds).unwrap();
        let id = UploadId::generate(issued_at, &Randomness::System);
        for ext in Extension::ALL {
            let object_key = template.object_key(id, *ext, issued_at, chrono_tz::UTC);
            prop_assert!(object_key.contains(&id.to_string()));
            prop_assert!(object_key.len() <= LONGEST_OBJECT_KEY_BYTES);
            prop_assert!(!object_key.split('/').any(|segment| matches!(segment, "" | "." | "..")), "{}", object_key);
        }
    }

    #[test]
    fn nothing_that_is_parsed_panics(text in "\\PC{0,60}") {
        let _ = (Template::parse(&text), Endpoint::parse(&text, &AllowedHosts::any()), BucketName::parse(&text), Region::parse(&text));
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
    let long = format!("{}{{uuid}}", "x".repeat(LONGEST_OBJECT_KEY_BYTES - 35));
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
        assert!(Template::parse(text).is_err(), "{text}");
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
    let r2 = "https://account.r2.cloudflarestorage.com";
    assert!(location(r2, "auto", Addressing::VirtualHosted, Provider::R2).is_ok());
    assert_eq!(location(r2, "eu-central-1", Addressing::Path, Provider::R2).unwrap_err().field, "region");
    assert_eq!(
        location("https://10.0.0.1", "x", Addressing::VirtualHosted, Provider::Generic).unwrap_err().field,
        "addressing"
    );
}

#[test]
fn bucket_names_are_those_that_s3_allows() {
    for text in ["abc", "a.b-c", "1234567890", &"x".repeat(63)] {
        assert!(BucketName::parse(text).is_ok(), "{text}");
    }
    for text in ["ab", "-abc", "abc-", "a..b", "ABC", "a_b", "a/b", "", &"x".repeat(64)] {
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
