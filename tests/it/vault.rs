//! Sealing: what opens, and what must not open.

use presign_gateway::crypto::cipher::{AssociatedData, CipherError};
use presign_gateway::crypto::keyring::{Keyring, KeyringError};
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

fn key(id: &str) -> SealingKey {
    SealingKey::parse(SealingKey::generate(id, &Randomness::System).expose_secret()).unwrap()
}

fn keyring(keys: &[&SealingKey]) -> Keyring {
    Keyring::new(&keys.iter().map(|key| (*key).clone()).collect::<Vec<_>>()).unwrap()
}

fn place() -> AssociatedData {
    AssociatedData { table: "buckets", row: Uuid::from_u128(1), column: "sealed_secret_access_key", version: 1 }
}

fn secret() -> SecretString {
    "a very secret text".into()
}

fn refused(result: Result<SecretString, CipherError>) -> CipherError {
    match result {
        Err(error) => error,
        Ok(_) => panic!("it opened"),
    }
}

proptest! {
    #[test]
    fn every_text_opens_as_it_was_sealed(text in ".{0,300}", row in any::<u128>(), version in any::<i32>()) {
        let keyring = keyring(&[&key("a")]);
        let place = AssociatedData { row: Uuid::from_u128(row), version, ..place() };
        let sealed = keyring.seal(place, &text.clone().into());
        let opened = keyring.open("a", place, &sealed).unwrap();
        prop_assert_eq!(opened.expose_secret(), &text);
    }

    #[test]
    fn any_changed_or_cut_byte_is_refused(position in any::<prop::sample::Index>(), flip in 1..=255u8, length in any::<prop::sample::Index>()) {
        let keyring = keyring(&[&key("a")]);
        let sealed = keyring.seal(place(), &secret());
        let mut changed = sealed.clone();
        changed[position.index(sealed.len())] ^= flip;
        prop_assert!(keyring.open("a", place(), &changed).is_err());
        prop_assert!(keyring.open("a", place(), &sealed[..length.index(sealed.len())]).is_err());
    }
}

#[test]
fn a_sealed_secret_opens_in_its_own_place_only() {
    let keyring = keyring(&[&key("a")]);
    let sealed = keyring.seal(place(), &secret());
    for elsewhere in [
        AssociatedData { table: "jwt_issuers", ..place() },
        AssociatedData { row: Uuid::from_u128(2), ..place() },
        AssociatedData { column: "sealed_session_token", ..place() },
        AssociatedData { version: 2, ..place() },
    ] {
        assert_eq!(refused(keyring.open("a", elsewhere, &sealed)), CipherError::Refused, "{elsewhere:?}");
    }
}

#[test]
fn the_first_key_seals_and_all_open() {
    let (old, new) = (key("old"), key("new"));
    let before = keyring(&[&old]);
    let sealed = before.seal(place(), &secret());
    let after = keyring(&[&new, &old]);
    assert_eq!(after.sealing_key_id(), "new");
    assert!(after.open("old", place(), &sealed).is_ok());
    let without = keyring(&[&new]);
    assert_eq!(refused(without.open("old", place(), &sealed)), CipherError::UnknownKey("old".to_owned()));
    let renamed = keyring(&[&key("old")]);
    assert_eq!(refused(renamed.open("old", place(), &sealed)), CipherError::Refused);
}

#[test]
fn the_same_secret_is_never_sealed_to_the_same_bytes() {
    let keyring = keyring(&[&key("a")]);
    assert_ne!(keyring.seal(place(), &secret()), keyring.seal(place(), &secret()));
}

#[test]
fn a_keyring_needs_a_key_and_ids_that_differ() {
    assert_eq!(Keyring::new(&[]).unwrap_err(), KeyringError::Empty);
    assert_eq!(Keyring::new(&[key("a"), key("a")]).unwrap_err(), KeyringError::Repeated("a".to_owned()));
}

#[test]
fn a_malformed_sealing_key_is_refused_without_being_shown() {
    for text in ["", "nocolon", ":AAAA", "id:", "id:not base64!", "id:c2hvcnQtc2VjcmV0", "bad id:AAAA", "id:AAAA=AAAA"]
    {
        let error = SealingKey::parse(text).unwrap_err().to_string();
        assert!(!error.contains("c2hvcnQtc2VjcmV0"), "{error}");
    }
}

#[test]
fn nothing_secret_can_be_printed() {
    let key = key("a");
    let bytes = format!("{:?}", key.bytes);
    let shown = format!("{key:?} {:?} {:?}", keyring(&[&key]), secret());
    assert!(!shown.contains(&bytes) && !shown.contains("very secret"), "{shown}");
}
