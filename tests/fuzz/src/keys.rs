//! What an issuer's signatures are checked with, as an operator writes it or a URL gives it: JWKS and PEM.

use presign_gateway::auth::jwt::keys::{KeyMaterial, KeySet, Keys};
use presign_gateway::domain::jwt_issuer::JwtAlgorithm;
use serde_json::Value;

use super::told::MARK;

/// The first byte chooses the algorithm, the rest is both.
pub fn judge(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let algorithms =
        [JwtAlgorithm::Rs256, JwtAlgorithm::Ps256, JwtAlgorithm::Es256, JwtAlgorithm::EdDsa, JwtAlgorithm::Hs256];
    let algorithm = algorithms[usize::from(*first) % algorithms.len()];
    match KeySet::parse(algorithm, rest) {
        Err(error) => assert!(!error.to_string().contains(MARK)),
        Ok(keys) => {
            assert!(algorithm != JwtAlgorithm::Hs256, "a public key is no secret");
            let kids: Vec<&str> = keys.kids().collect();
            assert!((1..=100).contains(&kids.len()) && kids.iter().all(|kid| keys.find(kid).is_some()));
            let jwks: Value = serde_json::from_slice(rest).unwrap();
            for jwk in jwks["keys"].as_array().unwrap() {
                assert!(["d", "p", "q", "k"].iter().all(|part| jwk.get(part).is_none()), "nobody's private key");
            }
        }
    }
    let Ok(text) = str::from_utf8(rest) else { return };
    match Keys::new(algorithm, &KeyMaterial::PublicKeyPem(text)) {
        Err(error) => assert!(!error.to_string().contains(MARK)),
        Ok(keys) => assert!(keys.find(None).is_some() && !text.contains("PRIVATE") && algorithm != JwtAlgorithm::Hs256),
    }
}
