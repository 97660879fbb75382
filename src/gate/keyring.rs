//! All keys in memory, by the first bytes of their digest, each verified whole.
//!
//! No cache: there is no time-to-live and no refill to race with. Dead keys stay until they are deleted, so
//! that what they still try can be told by name.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::allowance::Allowance;
use super::replay::Seals;
use crate::domain::digest::{Digest, Digester};
use crate::domain::id::KeyId;
use crate::domain::key::{Key, Status};
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::domain::window::Window;

/// Enough shards that readers and a writer hardly meet; a lock is held for one look-up.
const SHARDS: usize = 256;

/// All keys, by digest.
#[derive(Debug)]
pub struct Keyring {
    digester: Digester,
    shards: Box<[Shard]>,
    /// Where each key is, and the allowances that lines of rotations share. Only changes come here.
    index: Mutex<Index>,
}

/// A key as the gate sees it. A change makes a new entry, with the same life.
#[derive(Debug)]
pub struct Entry {
    /// The record.
    pub key: Key,
    /// The limit in force.
    pub requests_per_minute: u32,
    /// The limits' state.
    pub allowance: Arc<Allowance>,
    digest: Digest,
    life: Arc<Life>,
    /// The era of its life that this entry belongs to.
    era: u32,
}

type Shard = RwLock<HashMap<u64, Arc<Entry>>>;

/// What outlives a change of the record.
#[derive(Debug, Default)]
struct Life {
    seals: Mutex<Seals>,
    /// Moves on whenever the key stops working by somebody's decision: streams begun before it end.
    era: AtomicU32,
}

#[derive(Debug, Default)]
struct Index {
    digests: HashMap<KeyId, Digest>,
    allowances: HashMap<KeyId, Arc<Allowance>>,
}

impl Keyring {
    /// Returns an empty keyring.
    pub fn new(digester: Digester) -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { digester, shards, index: Mutex::default() }
    }

    /// Returns the key that the token belongs to.
    pub fn find(&self, token: &Token) -> Option<Arc<Entry>> {
        let digest = self.digester.digest(token);
        let (shard, slot) = self.place(&digest);
        let entry = shard.read().unwrap_or_else(PoisonError::into_inner).get(&slot).cloned()?;
        self.digester.verify(token, &entry.digest).then_some(entry)
    }

    /// Returns the key with the id.
    pub fn get(&self, id: KeyId) -> Option<Arc<Entry>> {
        let digest = *self.index().digests.get(&id)?;
        let (shard, slot) = self.place(&digest);
        shard.read().unwrap_or_else(PoisonError::into_inner).get(&slot).cloned()
    }

    /// Returns the digest of a token.
    pub fn digest(&self, token: &Token) -> Digest {
        self.digester.digest(token)
    }

    /// Puts a key in, new or changed; the next look-up sees it.
    pub fn put(&self, key: Key, digest: Digest, requests_per_minute: u32) {
        let mut index = self.index();
        index.digests.insert(key.id, digest);
        let allowance =
            index.allowances.entry(key.allowance).or_insert_with(|| Allowance::new(key.allowance));
        let allowance = Arc::clone(allowance);
        let (shard, slot) = self.place(&digest);
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        let life = shard.get(&slot).map_or_else(Arc::default, |entry| Arc::clone(&entry.life));
        if key.revoked_at.is_some() || !key.settings.enabled {
            life.era.fetch_add(1, Ordering::AcqRel);
        }
        let era = life.era.load(Ordering::Acquire);
        shard.insert(slot, Arc::new(Entry { key, requests_per_minute, allowance, digest, life, era }));
    }

    /// Takes a key out; the next look-up finds nothing.
    pub fn remove(&self, id: KeyId) {
        let mut index = self.index();
        let Some(digest) = index.digests.remove(&id) else { return };
        let (shard, slot) = self.place(&digest);
        if let Some(entry) = shard.write().unwrap_or_else(PoisonError::into_inner).remove(&slot) {
            entry.life.era.fetch_add(1, Ordering::AcqRel);
            // The last key of its line: nothing else holds the allowance but the index.
            let line = entry.key.allowance;
            drop(entry);
            if index.allowances.get(&line).is_some_and(|allowance| Arc::strong_count(allowance) == 1) {
                index.allowances.remove(&line);
            }
        }
    }

    /// Puts back what a line of keys used before a restart; the line may be gone by now.
    pub fn restore_window(&self, line: KeyId, window: Window) {
        if let Some(allowance) = self.index().allowances.get(&line) {
            allowance.restore(window);
        }
    }

    /// Counts the keys by status.
    pub fn count(&self, now: Timestamp) -> [(Status, usize); 4] {
        let mut counts = Status::ALL.map(|status| (status, 0));
        for shard in &self.shards {
            for entry in shard.read().unwrap_or_else(PoisonError::into_inner).values() {
                let status = entry.key.status(now);
                counts
                    .iter_mut()
                    .filter(|(counted, _)| *counted == status)
                    .for_each(|(_, count)| *count += 1);
            }
        }
        counts
    }

    /// The shard and the slot in it: digests are random, so their first bytes are as good as a hash.
    fn place(&self, digest: &Digest) -> (&Shard, u64) {
        let slot = u64::from_le_bytes(digest[..8].try_into().expect("eight bytes of 32"));
        (&self.shards[usize::from(digest[8]) % SHARDS], slot)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Returns the signatures that the key has used.
    pub fn seals(&self) -> MutexGuard<'_, Seals> {
        self.life.seals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether the key was revoked, disabled or deleted since this entry was found.
    pub fn is_over(&self) -> bool {
        self.life.era.load(Ordering::Acquire) != self.era
    }

    /// Returns the digest of the key's token.
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}
