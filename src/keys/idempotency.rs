//! The same request sent twice is done once.

use std::time::Duration;

use ring::digest::{Context, SHA256, digest};
use rusqlite::Transaction;

use super::KeysError;
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

/// Returns the key that the same request made or changed before; fails if it was another request.
pub(super) fn find(
    transaction: &Transaction<'_>,
    idempotency: Option<Idempotency>,
    now: Timestamp,
) -> Result<Option<KeyId>, KeysError> {
    let Some(wanted) = idempotency else { return Ok(None) };
    match idempotency::find(transaction, &wanted.digest, now.before(KEPT)).map_err(StoreError::from)? {
        Some(used) if used.fingerprint != wanted.fingerprint => Err(KeysError::IdempotencyMismatch),
        Some(used) => Ok(Some(used.key)),
        None => Ok(None),
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
