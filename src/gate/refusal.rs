//! Why the gate lets a request not through.

use std::sync::Arc;

use super::Step;
use super::keyring::Entry;
use crate::domain::scope::Scope;
use crate::domain::signature::SignatureError;
use crate::domain::window::Quota;

/// What a request failed at, in the order of the checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The query string carries a key, or a parameter that is there to carry one.
    KeyInQuery,
    /// No bearer token was sent.
    MissingKey,
    /// Malformed, unknown, disabled, revoked or deleted: never told apart.
    InvalidKey,
    /// Too many invalid keys from the client's address; seconds until the next one is looked at.
    TooManyFailedAttempts {
        /// Whole seconds to wait.
        retry_after: u64,
    },
    /// The right key, past its end.
    ExpiredKey,
    /// The client's address is outside the key's networks, or could not be read.
    AddressNotAllowed,
    /// The key may not do this.
    MissingScope(Scope),
    /// As many requests of the key are in flight as it may have.
    TooManyConcurrent,
    /// The window is full.
    RateLimited(Quota),
    /// The request had to be signed.
    MissingSignature,
    /// The signature proves nothing.
    InvalidSignature(SignatureError),
    /// The signature was accepted before.
    ReplayedSignature,
    /// More signatures are remembered than the key may have within their time.
    SignaturesExhausted,
    /// The key may not name this model.
    ModelNotAllowed(String),
}

/// A refusal, and whose key it was if that is known.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The key, dead or alive.
    pub entry: Option<Arc<Entry>>,
    /// What is left of a live key's limit.
    pub quota: Option<Quota>,
    /// The step that decided.
    pub step: Step,
}

impl Refusal {
    /// Returns the step that refuses so. Several find keys invalid: here that one is named that ends a request
    /// which was let through.
    const fn step(&self) -> Step {
        match self {
            Self::KeyInQuery | Self::MissingKey => Step::BearerToken,
            Self::InvalidKey | Self::TooManyFailedAttempts { .. } | Self::ExpiredKey => Step::Status,
            Self::AddressNotAllowed => Step::ClientAddress,
            Self::MissingScope(_) => Step::Scope,
            Self::TooManyConcurrent => Step::Concurrency,
            Self::RateLimited(_) => Step::RateLimit,
            Self::MissingSignature
            | Self::InvalidSignature(_)
            | Self::ReplayedSignature
            | Self::SignaturesExhausted => Step::Signature,
            Self::ModelNotAllowed(_) => Step::Model,
        }
    }
}

impl Refused {
    /// Returns the refusal of a key that is known.
    pub(super) fn of(entry: Arc<Entry>, refusal: Refusal, quota: Option<Quota>) -> Self {
        Self { entry: Some(entry), quota, ..refusal.into() }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { step: refusal.step(), refusal, entry: None, quota: None }
    }
}
