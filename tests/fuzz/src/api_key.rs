//! API keys: what is taken for one is written in one way only, and any other letter in it is noticed.

use presign_gateway::auth::Presented;
use presign_gateway::auth::api_key::{PresentedApiKey, generate, take_apart};
use presign_gateway::domain::randomness::Randomness;
use secrecy::{ExposeSecret, SecretString};

use super::told::MARK;

pub fn judge(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        anything(text);
    }
    changed(data);
}

fn anything(text: &str) {
    let presented = Presented::bearer(text);
    assert_eq!(presented.method() == "api_key", text.starts_with("pgw_"));
    let taken = take_apart(&SecretString::from(text));
    match PresentedApiKey::parse(text) {
        None => assert!(!taken.unwrap_err().to_string().contains(MARK)),
        Some(known) => {
            let (public_id, hash) = taken.unwrap();
            assert_eq!(known.public_id, public_id);
            assert!(known.matches(&hash) && !known.matches(&[0; 32]));
            assert_eq!(text.len(), "pgw_".len() + 12 + 1 + 32 + 6);
            assert!(
                text.strip_prefix(&format!("pgw_{public_id}_"))
                    .unwrap()
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric())
            );
        }
    }
}

/// The bytes choose a seed, a place and a letter.
fn changed(data: &[u8]) {
    let [seed, at, letter, ..] = *data else { return };
    let generated = generate(&Randomness::seeded(seed.into()));
    let whole = generated.text.expose_secret();
    let known = PresentedApiKey::parse(whole).unwrap();
    assert!(known.public_id == generated.public_id && known.matches(&generated.secret_sha256));
    assert!(!format!("{generated:?}").contains(whole), "it can be printed");

    let at = usize::from(at) % whole.len();
    let mut altered = whole.to_owned();
    altered.replace_range(at..=at, char::from(letter % 128).encode_utf8(&mut [0; 4]));
    assert!(altered == whole || PresentedApiKey::parse(&altered).is_none(), "a letter was changed, and nobody noticed");
}
