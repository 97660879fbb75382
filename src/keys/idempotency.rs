//! The same request sent twice is done once.

use std::time::Duration;

use ring::digest::{Context, SHA256, digest};
use rusqlite::Transaction;

use super::{Keys, KeysError, Order};
use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;
use crate::store::StoreError;
use crate::store::idempotency::{self, Used};

/// How long an `Idempotency-Key` is remembered.
pub(super) const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// A request that carried an `Idempotency-Key`. Only digests are kept of either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idempotency {
    digest: [u8; 32],
    fingerprint: [u8; 32],
}

impl Idempotency {
    /// Returns what to tell the request by.
    pub fn new(key: &str, method: &str, path: &str, body: &[u8]) -> Self {
        let mut fingerprint = Context::new(&SHA256);
        for part in [method.as_bytes(), path.as_bytes(), body] {
            fingerprint.update(&(part.len() as u64).to_be_bytes());
            fingerprint.update(part);
        }
        let bytes = |digest: ring::digest::Digest| digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        Self { digest: bytes(digest(&SHA256, key.as_bytes())), fingerprint: bytes(fingerprint.finish()) }
    }
}

impl Keys {
    /// Returns the key that the same request made or changed before; fails if it was another request. Asked
    /// before all else: what was right then may be wrong by now.
    pub(super) fn done_before(&self, order: Order, now: Timestamp) -> Result<Option<KeyId>, KeysError> {
        let Some(wanted) = order.idempotency else { return Ok(None) };
        let since = now.before(KEPT);
        match self.store.read(|connection| idempotency::find(connection, &wanted.digest, since))? {
            Some(used) if used.fingerprint != wanted.fingerprint => Err(KeysError::IdempotencyMismatch),
            Some(used) => Ok(Some(used.key)),
            None => Ok(None),
        }
    }
}

/// Notes what the request made or changed.
pub(super) fn note(
    transaction: &Transaction<'_>,
    idempotency: Option<Idempotency>,
    key: KeyId,
    now: Timestamp,
) -> Result<(), KeysError> {
    let Some(Idempotency { digest, fingerprint }) = idempotency else { return Ok(()) };
    idempotency::insert(transaction, &digest, &Used { fingerprint, key }, now).map_err(StoreError::from)?;
    Ok(())
}
