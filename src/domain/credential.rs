//! What signs in a bucket's name.

use secrecy::SecretString;

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

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}
