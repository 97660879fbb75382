//! The same request sent twice is done once.

use rusqlite::Transaction;

use super::{Idempotency, Keys, KeysError, Order};
use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;
use crate::store::StoreError;
use crate::store::idempotency::{self, KEPT, Used};

impl Keys {
    /// Returns the key that the same request made or changed before; fails if it was another request. Asked
    /// before all else: what was right then may be wrong by now.
    pub(super) fn done_before(&self, order: Order, now: Timestamp) -> Result<Option<KeyId>, KeysError> {
        let Some(wanted) = order.idempotency else { return Ok(None) };
        let since = now.before(KEPT);
        match self.store.read(|connection| idempotency::find(connection, &wanted.digest, since))? {
            Some(used) if used.fingerprint != wanted.fingerprint => Err(KeysError::IdempotencyMismatch),
            // What no key's id reads as was made by a request of another kind, whose fingerprint differs.
            Some(used) => used.made.parse().map(Some).map_err(|_| KeysError::IdempotencyMismatch),
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
    let used = Used { fingerprint, made: key.to_string() };
    idempotency::insert(transaction, &digest, &used, now).map_err(StoreError::from)?;
    Ok(())
}
