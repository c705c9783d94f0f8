//! What a URL can be bound to.

use std::collections::BTreeMap;

use presign_gateway::domain::binding::{Binding, BindingSet, Metadata, Sha256};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_digest_is_read_in_hex_and_in_base64(bytes: [u8; 32]) {
        let digest = Sha256::from(bytes);
        prop_assert_eq!(Sha256::parse(&digest.hex()), Ok(digest));
        prop_assert_eq!(Sha256::parse(&digest.hex().to_uppercase()), Ok(digest));
        prop_assert_eq!(Sha256::parse(&digest.base64()), Ok(digest));
    }

    #[test]
    fn what_is_no_digest_is_refused(text in "\\PC{0,70}") {
        if let Ok(digest) = Sha256::parse(&text) {
            prop_assert!(text.eq_ignore_ascii_case(&digest.hex()) || text == digest.base64());
        }
    }

    #[test]
    fn metadata_that_is_taken_is_short_plain_ascii(pairs in prop::collection::btree_map("[a-zA-Z0-9_é-]{0,70}", "\\PC{0,120}", 0..20)) {
        let Ok(metadata) = Metadata::parse(pairs.clone()) else { return Ok(()) };
        prop_assert_eq!(metadata.pairs().len(), pairs.len());
        for (name, value) in metadata.pairs() {
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte)));
            prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{value:?}");
            prop_assert!(value.len() <= Metadata::MAX_VALUE);
            prop_assert!(pairs[name] == *value || value.starts_with("=?UTF-8?B?"));
        }
    }
}

#[test]
fn a_set_of_bindings_is_read_from_its_words() {
    let parse =
        |texts: &[&'static str]| BindingSet::parse("enforced_bindings", &Binding::OPTIONAL, texts.iter().copied());
    assert_eq!(parse(&[]), Ok(BindingSet::default()));
    let both = parse(&["write_once", "sha256", "write_once"]).unwrap();
    assert_eq!(both.texts().collect::<Vec<_>>(), ["sha256", "write_once"]);
    let refused = parse(&["size"]).unwrap_err();
    assert_eq!((refused.field, refused.expected.contains("sha256, write_once")), ("enforced_bindings", true));
}

#[test]
fn what_looks_like_an_encoded_word_is_encoded() {
    let pairs = BTreeMap::from([("a".to_owned(), "=?UTF-8?B?w6k=?=".to_owned())]);
    let metadata = Metadata::parse(pairs).unwrap();
    assert_eq!(metadata.pairs()["a"], "=?UTF-8?B?PT9VVEYtOD9CP3c2az0/PQ==?=");
}
