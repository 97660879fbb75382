//! What can keep a key from being made or changed.

use ring::error::Unspecified;

use crate::domain::id::KeyId;
use crate::store::StoreError;

/// Why a key was not made or changed. Nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// There is no such key.
    #[error("there is no such key")]
    NotFound,
    /// The key that the same request made has been deleted since.
    #[error("the key that this request made was deleted: take a new Idempotency-Key to make another")]
    DeletedSince,
    /// The key was revoked, which nothing takes back.
    #[error("key {0} is revoked for good: make a new one")]
    Revoked(KeyId),
    /// The key has a successor already.
    #[error("this key was already rotated to {0}: rotate that one")]
    AlreadyRotated(KeyId),
    /// An expired key has nothing to hand over.
    #[error("this key has expired: give it a later `expires_at` first, or make a new key")]
    Expired,
    /// A disabled key has nothing to hand over.
    #[error("this key is disabled: enable it first, or make a new key")]
    Disabled,
    /// The `Idempotency-Key` belongs to another request.
    #[error("this Idempotency-Key was used for another request: take a new one")]
    IdempotencyMismatch,
    /// The default key could not be brought to the operator.
    #[error("the key could not be handed over")]
    NotHandedOver,
    /// The system has no randomness to give.
    #[error("the system has no randomness to give")]
    Randomness,
    /// The database could not keep the change.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Unspecified> for KeysError {
    fn from(_: Unspecified) -> Self {
        Self::Randomness
    }
}
