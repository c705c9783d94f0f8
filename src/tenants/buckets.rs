//! A tenant's bucket and its credential.

use crate::domain::Invalid;
use crate::domain::bucket::{Bucket, Location};
use crate::domain::credential::Credential;
use crate::domain::ids::BucketId;
use crate::domain::tenant::Slug;
use crate::store::buckets;
use crate::vault::keyring::Keyring;
use crate::vault::seal_credential;

use super::{Change, ManageError, Tenants, taken};

/// The alias of a tenant's first bucket.
const FIRST_ALIAS: &str = "default";
/// Longer than any access key id or secret of a known provider.
const LONGEST_CREDENTIAL_PART: usize = 256;
/// Session tokens of AWS may be this long, in bytes.
const LONGEST_SESSION_TOKEN: usize = 4096;

/// A tenant's bucket, with its credential in the open.
#[derive(Debug, Clone)]
pub struct NewBucket {
    pub location: Location,
    pub credential: Credential,
}

impl Tenants {
    /// Sets the tenant's default bucket, or changes it and its credential.
    ///
    /// # Errors
    /// There is no such tenant, or the credential cannot be one.
    pub async fn set_bucket(&self, slug: &Slug, new: NewBucket, keyring: &Keyring) -> Result<Bucket, ManageError> {
        check_credential(&new.credential)?;
        let tenant_id = self.get_tenant_id(slug).await?;
        let now = self.clock.now();
        let mut transaction = self.store.begin().await?;
        let existing = buckets::lock_default(&mut transaction, tenant_id).await?;
        let (id, version) = existing.unwrap_or_else(|| (BucketId::generate(now, &self.randomness), 0));
        let bucket = Bucket { id, tenant_id, alias: FIRST_ALIAS.to_owned(), location: new.location };
        let sealed = seal_credential(keyring, bucket.clone(), &new.credential, version + 1);
        buckets::save_default(&mut transaction, &sealed, now)
            .await
            .map_err(|error| taken(error, "bucket", FIRST_ALIAS))?;
        let changed = ["endpoint", "region", "bucket", "addressing", "provider", "credential"];
        let set = Change {
            action: "bucket.set",
            tenant_id: Some(tenant_id),
            id: id.uuid(),
            name: &bucket.alias,
            fields: &changed,
        };
        self.audit(&mut transaction, set).await?;
        self.commit(transaction).await?;
        Ok(bucket)
    }
}

fn check_credential(credential: &Credential) -> Result<(), Invalid> {
    use secrecy::ExposeSecret;

    // These travel in URLs and header lines.
    let visible = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let expected = |length| format!("must be 1 to {length} printable ASCII characters without spaces");
    let id = &credential.access_key_id;
    if !visible(id) || id.len() > LONGEST_CREDENTIAL_PART || id.contains('/') {
        return Err(Invalid::new("access_key_id", format!("{}, and no slash", expected(LONGEST_CREDENTIAL_PART))));
    }
    let secret = credential.secret_access_key.expose_secret();
    if !visible(secret) || secret.len() > LONGEST_CREDENTIAL_PART {
        return Err(Invalid::new("secret_access_key", expected(LONGEST_CREDENTIAL_PART)));
    }
    let token = credential.session_token.as_ref().map(ExposeSecret::expose_secret);
    if token.is_some_and(|token| !visible(token) || token.len() > LONGEST_SESSION_TOKEN) {
        return Err(Invalid::new("session_token", expected(LONGEST_SESSION_TOKEN)));
    }
    Ok(())
}
