//! Shows how many secrets each sealing key seals, and re-seals all of them with the first key.

use std::collections::BTreeMap;

use crate::auth::hmac_secret_binding;
use crate::buckets::credentials::{CredentialError, open, seal};
use crate::crypto::cipher::CipherError;
use crate::crypto::keyring::Keyring;
use crate::domain::ids::{BucketId, JwtIssuerId};
use crate::domain::jwt_issuer::Verification;
use crate::store;

use super::{Admin, AdminError, buckets, jwt_issuers};

/// The fields that re-sealing changes.
const CHANGED: [&str; 1] = ["sealing_key_id"];
/// Rows re-sealed in one transaction.
const BATCH: i64 = 100;

/// How many rows are sealed with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyringStatus {
    pub sealing_key_id: String,
    /// The first key seals; the others only open.
    pub seals: bool,
    /// Whether the key is in the keyring. Rows sealed with a missing key cannot be opened.
    pub present: bool,
    pub rows: i64,
}

/// The outcome of a re-sealed batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resealed {
    pub resealed: u64,
    /// Rows that do not open, with the reason. They do not change.
    pub failed: Vec<String>,
    /// Where the next batch starts; `None` at the end.
    next: Option<SealedColumn>,
}

/// The progress of re-sealing: buckets, then issuers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SealedColumn {
    Buckets(Option<BucketId>),
    Issuers(Option<JwtIssuerId>),
}

impl Admin {
    /// Lists every key of the keyring, and every key that seals rows.
    ///
    /// # Errors
    /// The database is unreachable.
    pub async fn keyring_status(&self, keyring: &Keyring) -> Result<Vec<KeyringStatus>, AdminError> {
        let mut rows: BTreeMap<String, i64> =
            store::keyring::count_by_key_any_tenant(&self.store).await?.into_iter().collect();
        let mut status: Vec<KeyringStatus> = keyring
            .key_ids()
            .map(|id| KeyringStatus {
                sealing_key_id: id.to_owned(),
                seals: id == keyring.sealing_key_id(),
                present: true,
                rows: rows.remove(id).unwrap_or(0),
            })
            .collect();
        let missing = |(sealing_key_id, rows)| KeyringStatus { sealing_key_id, seals: false, present: false, rows };
        status.extend(rows.into_iter().map(missing));
        Ok(status)
    }

    /// Re-seals every secret with the first key, one transaction for each batch. It can be
    /// interrupted and repeated while the gateway runs. `progress` is called after each batch.
    ///
    /// # Errors
    /// The database is unreachable. Finished batches remain re-sealed.
    pub async fn rotate_sealing_key(
        &self,
        keyring: &Keyring,
        mut progress: impl FnMut(u64),
    ) -> Result<Resealed, AdminError> {
        let mut whole = Resealed::default();
        let mut place = Some(SealedColumn::Buckets(None));
        while let Some(from) = place {
            let batch = self.reseal_batch(keyring, from).await?;
            progress(batch.resealed + batch.failed.len() as u64);
            whole.resealed += batch.resealed;
            whole.failed.extend(batch.failed);
            place = batch.next;
        }
        Ok(whole)
    }

    async fn reseal_batch(&self, keyring: &Keyring, place: SealedColumn) -> Result<Resealed, AdminError> {
        match place {
            SealedColumn::Buckets(after) => self.reseal_buckets(keyring, after).await,
            SealedColumn::Issuers(after) => self.reseal_issuers(keyring, after).await,
        }
    }

    async fn reseal_buckets(&self, keyring: &Keyring, after: Option<BucketId>) -> Result<Resealed, AdminError> {
        let mut batch = Resealed::default();
        let mut transaction = self.store.begin().await?;
        let rows =
            store::buckets::lock_sealed_otherwise_any_tenant(&mut transaction, keyring.sealing_key_id(), after, BATCH)
                .await?;
        batch.next =
            Some(rows.last().map_or(SealedColumn::Issuers(None), |row| SealedColumn::Buckets(Some(row.bucket.id))));
        for row in rows {
            match open(keyring, row) {
                Ok(open) => {
                    let sealed = seal(keyring, open.bucket, &open.credential);
                    store::buckets::save_resealed_any_tenant(&mut transaction, &sealed).await?;
                    let change = buckets::change_of("bucket.reseal", &sealed.bucket, &CHANGED);
                    self.audit(&mut transaction, change).await?;
                    batch.resealed += 1;
                }
                Err(error) => batch.failed.push(told(&error)),
            }
        }
        self.commit(transaction).await?;
        Ok(batch)
    }

    async fn reseal_issuers(&self, keyring: &Keyring, after: Option<JwtIssuerId>) -> Result<Resealed, AdminError> {
        let mut batch = Resealed::default();
        let mut transaction = self.store.begin().await?;
        let key_id = keyring.sealing_key_id();
        let rows = store::jwt_issuers::lock_sealed_otherwise_any_tenant(&mut transaction, key_id, after, BATCH).await?;
        batch.next = rows.last().map(|row| SealedColumn::Issuers(Some(row.id)));
        for row in rows {
            let Verification::SealedHmacSecret { sealing_key_id, sealed, version } = &row.verification else {
                continue;
            };
            let binding = hmac_secret_binding(row.id, *version);
            match keyring.open(sealing_key_id, binding, sealed) {
                Ok(secret) => {
                    let sealed = keyring.seal(binding, &secret);
                    store::jwt_issuers::save_resealed_any_tenant(&mut transaction, &row, key_id, &sealed).await?;
                    let name = jwt_issuers::name(&row);
                    let change = jwt_issuers::change("jwt_issuer.reseal", &row, &name, &CHANGED);
                    self.audit(&mut transaction, change).await?;
                    batch.resealed += 1;
                }
                Err(error) => batch.failed.push(does_not_open(row.id, &error)),
            }
        }
        self.commit(transaction).await?;
        Ok(batch)
    }
}

fn told(error: &CredentialError) -> String {
    match error {
        CredentialError::Sealed { source, .. } => format!("{error}: {source}"),
        other => other.to_string(),
    }
}

fn does_not_open(id: JwtIssuerId, error: &CipherError) -> String {
    format!("the secret of JWT issuer {id} cannot be decrypted: {error}")
}
