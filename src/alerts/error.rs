//! What can keep a rule or an alert from being changed.

use ring::error::Unspecified;

use crate::store::StoreError;

/// Why a rule or an alert was not changed. Nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum AlertsError {
    /// There is no such alert.
    #[error("There is no alert with this id")]
    NoAlert,
    /// There is no such rule.
    #[error("There is no alert rule with this id")]
    NoRule,
    /// An alert that is over needs nobody to look at it.
    #[error("this alert is resolved: there is nothing to acknowledge any more")]
    Resolved,
    /// There are as many rules as there may be.
    #[error("there are {0} alert rules, and no more are taken: delete some first")]
    TooManyRules(usize),
    /// The rule that the same request made has been deleted since.
    #[error("the rule that this request made was deleted: take a new Idempotency-Key to make another")]
    DeletedSince,
    /// The `Idempotency-Key` belongs to another request.
    #[error("this Idempotency-Key was used for another request: take a new one")]
    IdempotencyMismatch,
    /// The system has no randomness to give.
    #[error("the system has no randomness to give")]
    Randomness,
    /// The database could not keep the change.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Unspecified> for AlertsError {
    fn from(_: Unspecified) -> Self {
        Self::Randomness
    }
}

impl From<rusqlite::Error> for AlertsError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}
