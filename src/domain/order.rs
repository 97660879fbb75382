//! Who wants a change, and how to tell the same wish sent twice.

use ring::digest::{Context, SHA256, digest};

use super::audit::Actor;

/// Who wants a change, and how to tell the same wish sent twice.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Who.
    pub actor: Actor,
    /// The request's `Idempotency-Key`, if it had one.
    pub idempotency: Option<Idempotency>,
}

/// A request that carried an `Idempotency-Key`. Only digests are kept of either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The SHA-256 of the `Idempotency-Key`.
    pub digest: [u8; 32],
    /// The SHA-256 of what was asked.
    pub fingerprint: [u8; 32],
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
