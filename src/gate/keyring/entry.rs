//! A key as the gate sees it, and what outlives its changes.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::domain::digest::Digest;
use crate::domain::key::Key;
use crate::domain::time::Timestamp;
use crate::gate::allowance::Allowance;
use crate::gate::replay::Seals;

/// A key as the gate sees it. A change makes a new entry, with the same life.
#[derive(Debug)]
pub struct Entry {
    /// The record.
    pub key: Key,
    digest: Digest,
    requests_per_minute: AtomicU32,
    /// The era of its life that this entry belongs to.
    era: u32,
    /// Begins when the key is first used or changed: most keys of many have none.
    life: OnceLock<Arc<Life>>,
}

/// What outlives a change of the record.
#[derive(Debug)]
struct Life {
    /// The limits' state.
    allowance: Arc<Allowance>,
    /// Made when the key is first used to sign.
    seals: OnceLock<Box<Mutex<Seals>>>,
    /// Moves on whenever the key stops working by somebody's decision: streams begun before it end.
    era: AtomicU32,
    in_flight: AtomicU32,
    /// When the latest request was let through or seen in flight, in milliseconds since the epoch; 0 before there
    /// was one.
    last_use: AtomicI64,
}

/// A request of a key in flight, as long as it is held.
#[derive(Debug)]
pub(in crate::gate) struct Use(Arc<Life>);

impl Drop for Use {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Life {
    fn new(allowance: Arc<Allowance>) -> Arc<Self> {
        Arc::new(Self {
            allowance,
            seals: OnceLock::new(),
            era: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            last_use: AtomicI64::new(0),
        })
    }
}

impl Entry {
    /// Returns a new key's entry, with the allowance that it shares with others, if it does.
    pub(super) fn new(
        key: Key,
        digest: Digest,
        requests_per_minute: u32,
        shared: Option<Arc<Allowance>>,
    ) -> Self {
        let life = shared.map(Life::new).map_or_else(OnceLock::new, OnceLock::from);
        Self { key, digest, requests_per_minute: requests_per_minute.into(), era: 0, life }
    }

    /// Returns the entry that takes this one's place; whoever holds this one shares the life of both.
    pub(super) fn changed_to(&self, key: Key, digest: Digest, requests_per_minute: u32) -> Self {
        if key.revoked_at.is_some() || !key.settings.enabled {
            self.end();
        }
        let life = Arc::clone(self.life());
        let era = life.era.load(Ordering::Acquire);
        Self { key, digest, requests_per_minute: requests_per_minute.into(), era, life: life.into() }
    }

    /// Ends what was begun with this entry or one before it.
    pub(super) fn end(&self) {
        self.life().era.fetch_add(1, Ordering::AcqRel);
    }

    /// Tells whether the key was revoked, disabled or deleted since this entry was found.
    pub fn is_over(&self) -> bool {
        // What has no life was never changed.
        self.life.get().is_some_and(|life| life.era.load(Ordering::Acquire) != self.era)
    }

    /// Returns the limit in force.
    pub fn requests_per_minute(&self) -> u32 {
        self.requests_per_minute.load(Ordering::Relaxed)
    }

    pub(super) fn limit_to(&self, requests_per_minute: u32) {
        self.requests_per_minute.store(requests_per_minute, Ordering::Relaxed);
    }

    /// Returns the limits' state.
    pub fn allowance(&self) -> &Arc<Allowance> {
        &self.life().allowance
    }

    /// Returns the signatures that the key has used.
    pub fn seals(&self) -> MutexGuard<'_, Seals> {
        let seals = self.life().seals.get_or_init(Box::default);
        seals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request as in flight, and this as the time that the key was last used.
    pub(in crate::gate) fn enter(&self, now: Timestamp) -> Use {
        let life = self.life();
        // Relaxed will do: whoever sees that the request came, or that it has gone, sees what was noted before it
        // was counted.
        life.last_use.fetch_max(now.as_millis(), Ordering::Relaxed);
        life.in_flight.fetch_add(1, Ordering::AcqRel);
        Use(Arc::clone(life))
    }

    /// Returns when the key was last used since the start, to the request that is let through just now, written down
    /// or not. A request in flight uses it now.
    pub fn last_use(&self, now: Timestamp) -> Option<Timestamp> {
        let life = self.life.get()?;
        // In this order: a request that is not seen in flight any more has left its time behind.
        if self.is_in_use() {
            life.last_use.fetch_max(now.as_millis(), Ordering::Relaxed);
        }
        let last = life.last_use.load(Ordering::Relaxed);
        (last != 0).then_some(Timestamp::from_millis(last))
    }

    /// Tells whether a request of this very key is in flight, whatever others of its line do.
    pub fn is_in_use(&self) -> bool {
        self.life.get().is_some_and(|life| life.in_flight.load(Ordering::Acquire) > 0)
    }

    /// Returns the digest of the key's token.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    fn life(&self) -> &Arc<Life> {
        self.life.get_or_init(|| Life::new(Allowance::new(self.key.id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::keyring::tests::entry;

    #[test]
    fn an_unused_key_takes_little_room() {
        // With what the allocator adds and two pointers in tables, 256 bytes are not reached.
        assert!(size_of::<Entry>() <= 168, "{} bytes", size_of::<Entry>());
        assert!(entry(1).life.get().is_none());
    }

    #[test]
    fn what_is_begun_before_a_key_s_first_change_shares_its_life() {
        let before = entry(1);
        let mut key = before.key.clone();
        let changed = before.changed_to(key.clone(), *before.digest(), 5);
        let _use = before.enter(Timestamp::from_seconds(1));
        assert!(changed.is_in_use() && !before.is_over());
        assert!(Arc::ptr_eq(before.allowance(), changed.allowance()));
        key.settings.enabled = false;
        let disabled = changed.changed_to(key, *before.digest(), 5);
        assert!(before.is_over() && changed.is_over() && !disabled.is_over());
    }
}
