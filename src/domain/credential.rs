//! An S3 credential.

use secrecy::{ExposeSecret, SecretString};

use super::Invalid;

/// Longer than any access key id or secret of a known provider.
const MAX_CREDENTIAL_PART: usize = 256;
/// Session tokens of AWS may be this long, in bytes.
const MAX_SESSION_TOKEN: usize = 4096;

/// An S3 access key id, its secret, and perhaps a session token.
///
/// The secrets are wiped when dropped, and `Debug` shows the access key id only.
#[derive(Clone)]
pub struct Credential {
    /// Public half: it stands in every presigned URL.
    pub access_key_id: String,
    /// Secret half.
    pub secret_access_key: SecretString,
    /// Comes with temporary credentials; travels as `X-Amz-Security-Token`.
    pub session_token: Option<SecretString>,
}

impl Credential {
    /// Checks that a store and an HTTP header can carry each part.
    ///
    /// # Errors
    /// Names the field that is empty, too long, or has other characters than printable ASCII.
    pub fn check(&self) -> Result<(), Invalid> {
        // These travel in URLs and header lines.
        let visible = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let expected = |length| format!("must be 1 to {length} printable ASCII characters without spaces");
        let id = &self.access_key_id;
        if !visible(id) || id.len() > MAX_CREDENTIAL_PART || id.contains('/') {
            return Err(Invalid::new("access_key_id", format!("{}, and no slash", expected(MAX_CREDENTIAL_PART))));
        }
        let secret = self.secret_access_key.expose_secret();
        if !visible(secret) || secret.len() > MAX_CREDENTIAL_PART {
            return Err(Invalid::new("secret_access_key", expected(MAX_CREDENTIAL_PART)));
        }
        let token = self.session_token.as_ref().map(ExposeSecret::expose_secret);
        if token.is_some_and(|token| !visible(token) || token.len() > MAX_SESSION_TOKEN) {
            return Err(Invalid::new("session_token", expected(MAX_SESSION_TOKEN)));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}
