//! All keys in memory, by the first bytes of their digest, each verified whole.
//!
//! No cache: there is no time-to-live and no refill to race with. Dead keys stay until they are deleted, so
//! that what they still try can be told by name.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
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
    /// Moves on with each change.
    edition: AtomicU64,
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
    in_flight: AtomicU32,
    /// When the latest request was let through or seen in flight, in milliseconds since the epoch; 0 before there
    /// was one.
    last_use: AtomicI64,
}

/// A request of a key in flight, as long as it is held.
#[derive(Debug)]
pub(super) struct Use(Arc<Life>);

#[derive(Debug, Default)]
struct Index {
    digests: HashMap<KeyId, Digest>,
    lines: HashMap<KeyId, Line>,
    /// When keys end that do.
    ends: BTreeSet<(Timestamp, KeyId)>,
}

/// Keys that rotations linked, named after the first of them.
#[derive(Debug)]
struct Line {
    allowance: Arc<Allowance>,
    /// How many of its keys there are; it goes with the last one.
    keys: usize,
}

impl Keyring {
    /// Returns an empty keyring.
    pub fn new(digester: Digester) -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { digester, shards, index: Mutex::default(), edition: AtomicU64::new(0) }
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

    /// Tells whether there is a key with the id.
    pub fn has(&self, id: KeyId) -> bool {
        self.index().digests.contains_key(&id)
    }

    /// Tells whether there is any key.
    pub fn has_any(&self) -> bool {
        !self.index().digests.is_empty()
    }

    /// Returns the digest of a token.
    pub fn digest(&self, token: &Token) -> Digest {
        self.digester.digest(token)
    }

    /// Puts a key in, new or changed; the next look-up sees it.
    pub fn put(&self, key: Key, digest: Digest, requests_per_minute: u32) {
        let mut index = self.index();
        let allowance = index.enter(&key, digest);
        let (shard, slot) = self.place(&digest);
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        index.note_end(shard.get(&slot).map(|entry| &entry.key), Some(&key));
        let life = shard.get(&slot).map_or_else(Arc::default, |entry| Arc::clone(&entry.life));
        if key.revoked_at.is_some() || !key.settings.enabled {
            life.era.fetch_add(1, Ordering::AcqRel);
        }
        let era = life.era.load(Ordering::Acquire);
        shard.insert(slot, Arc::new(Entry { key, requests_per_minute, allowance, digest, life, era }));
        self.edition.fetch_add(1, Ordering::Release);
    }

    /// Sets the limit in force of each key that has another. What they have used of it stays.
    pub fn set_limits(&self, limit: impl Fn(&Key) -> u32) {
        // No key changes meanwhile.
        let _index = self.index();
        for shard in &self.shards {
            for entry in shard.write().unwrap_or_else(PoisonError::into_inner).values_mut() {
                let requests_per_minute = limit(&entry.key);
                if requests_per_minute != entry.requests_per_minute {
                    *entry = Arc::new(entry.limited_to(requests_per_minute));
                }
            }
        }
    }

    /// Takes a key out; the next look-up finds nothing.
    pub fn remove(&self, id: KeyId) {
        let mut index = self.index();
        let Some(digest) = index.digests.remove(&id) else { return };
        let (shard, slot) = self.place(&digest);
        if let Some(entry) = shard.write().unwrap_or_else(PoisonError::into_inner).remove(&slot) {
            entry.life.era.fetch_add(1, Ordering::AcqRel);
            index.leave(entry.key.allowance);
            index.note_end(Some(&entry.key), None);
        }
        self.edition.fetch_add(1, Ordering::Release);
    }

    /// Returns a number that moves on with each change of a key.
    pub fn edition(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    /// Returns the keys that end after the one time and not after the other.
    pub fn ending(&self, after: Timestamp, until: Timestamp) -> Vec<KeyId> {
        if until <= after {
            return Vec::new();
        }
        let [first, last] =
            [after, until].map(|time| (Timestamp::from_millis(time.as_millis() + 1), KeyId::FIRST));
        self.index().ends.range(first..last).map(|(_, id)| *id).collect()
    }

    /// Puts back what a line of keys used before a restart; the line may be gone by now.
    pub fn restore_window(&self, line: KeyId, window: Window) {
        if let Some(line) = self.index().lines.get(&line) {
            line.allowance.restore(window);
        }
    }

    /// Looks at each key.
    pub fn for_each(&self, mut look: impl FnMut(&Key)) {
        for shard in &self.shards {
            shard.read().unwrap_or_else(PoisonError::into_inner).values().for_each(|entry| look(&entry.key));
        }
    }

    /// Counts the keys by status.
    pub fn count(&self, now: Timestamp) -> [(Status, usize); 4] {
        let mut counts = Status::ALL.map(|status| (status, 0));
        self.for_each(|key| {
            let status = key.status(now);
            counts.iter_mut().filter(|(counted, _)| *counted == status).for_each(|(_, count)| *count += 1);
        });
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

impl Drop for Use {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Index {
    /// Notes where a key is, new or changed; returns the allowance of its line.
    fn enter(&mut self, key: &Key, digest: Digest) -> Arc<Allowance> {
        let is_new = self.digests.insert(key.id, digest).is_none();
        let new_line = || Line { allowance: Allowance::new(key.allowance), keys: 0 };
        let line = self.lines.entry(key.allowance).or_insert_with(new_line);
        line.keys += usize::from(is_new);
        Arc::clone(&line.allowance)
    }

    /// Notes when a key ends that was changed.
    fn note_end(&mut self, before: Option<&Key>, after: Option<&Key>) {
        let end = |key: &Key| key.settings.expires_at.map(|end| (end, key.id));
        if let Some(end) = before.and_then(end) {
            self.ends.remove(&end);
        }
        self.ends.extend(after.and_then(end));
    }

    /// Takes a key from its line. Requests in flight may hold the allowance for longer; nobody else finds it.
    fn leave(&mut self, line: KeyId) {
        let Some(left) = self.lines.get_mut(&line) else { return };
        left.keys -= 1;
        if left.keys == 0 {
            self.lines.remove(&line);
        }
    }
}

impl Entry {
    /// Returns the same key with another limit in force.
    fn limited_to(&self, requests_per_minute: u32) -> Self {
        Self {
            key: self.key.clone(),
            requests_per_minute,
            allowance: Arc::clone(&self.allowance),
            digest: self.digest,
            life: Arc::clone(&self.life),
            era: self.era,
        }
    }

    /// Returns the signatures that the key has used.
    pub fn seals(&self) -> MutexGuard<'_, Seals> {
        self.life.seals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether the key was revoked, disabled or deleted since this entry was found.
    pub fn is_over(&self) -> bool {
        self.life.era.load(Ordering::Acquire) != self.era
    }

    /// Counts a request as in flight, and this as the time that the key was last used.
    pub(super) fn enter(&self, now: Timestamp) -> Use {
        // Relaxed will do: whoever sees that the request came, or that it has gone, sees what was noted before it
        // was counted.
        self.life.last_use.fetch_max(now.as_millis(), Ordering::Relaxed);
        self.life.in_flight.fetch_add(1, Ordering::AcqRel);
        Use(Arc::clone(&self.life))
    }

    /// Returns when the key was last used since the start, to the request that is let through just now, written down
    /// or not. A request in flight uses it now.
    pub fn last_use(&self, now: Timestamp) -> Option<Timestamp> {
        // In this order: a request that is not seen in flight any more has left its time behind.
        if self.is_in_use() {
            self.life.last_use.fetch_max(now.as_millis(), Ordering::Relaxed);
        }
        let last = self.life.last_use.load(Ordering::Relaxed);
        (last != 0).then_some(Timestamp::from_millis(last))
    }

    /// Tells whether a request of this very key is in flight, whatever others of its line do.
    pub fn is_in_use(&self) -> bool {
        self.life.in_flight.load(Ordering::Acquire) > 0
    }

    /// Returns the digest of the key's token.
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::key::{Name, Settings};
    use crate::domain::scope::Scopes;

    fn id(last: char) -> KeyId {
        format!("key_00000000000000000000000{last}").parse().unwrap()
    }

    fn put(keyring: &Keyring, id: KeyId, line: KeyId) -> Arc<Entry> {
        let token = Token::random(&ring::rand::SystemRandom::new()).unwrap();
        let settings = Settings::new(Name::parse("test").unwrap(), Scopes::EVERY, "standard");
        let created_at = Timestamp::from_seconds(0);
        let key = Key { allowance: line, ..Key::new(id, token.hint(), settings, created_at) };
        keyring.put(key, keyring.digest(&token), 60);
        keyring.get(id).unwrap()
    }

    /// The id of a made-up key.
    pub(in crate::gate) fn id_of(number: u32) -> KeyId {
        format!("key_{number:024}").parse().unwrap()
    }

    /// A made-up key, live and allowed everything.
    pub(in crate::gate) fn entry(number: u32) -> Arc<Entry> {
        put(&Keyring::new(Digester::new(b"secret")), id_of(number), id_of(number))
    }

    #[test]
    fn keys_are_found_by_when_they_end() {
        let keyring = Keyring::new(Digester::new(b"secret"));
        let time = Timestamp::from_seconds;
        for (last, end) in [('1', Some(10)), ('2', Some(20)), ('3', Some(30)), ('4', None)] {
            let entry = put(&keyring, id(last), id(last));
            let mut key = entry.key.clone();
            key.settings.expires_at = end.map(time);
            keyring.put(key, entry.digest(), 60);
        }
        let before = keyring.edition();
        assert_eq!(keyring.ending(time(10), time(30)), [id('2'), id('3')]);
        assert_eq!(keyring.ending(time(30), time(10)), []);
        let entry = keyring.get(id('2')).unwrap();
        let mut key = entry.key.clone();
        key.settings.expires_at = Some(time(25));
        keyring.put(key, entry.digest(), 60);
        assert_eq!(keyring.ending(time(0), time(24)), [id('1')]);
        keyring.remove(id('1'));
        assert_eq!(keyring.ending(time(0), time(30)), [id('2'), id('3')]);
        assert_eq!(keyring.edition(), before + 2);
    }

    #[test]
    fn an_allowance_goes_with_the_last_key_of_its_line_whatever_is_in_flight() {
        let keyring = Keyring::new(Digester::new(b"secret"));
        let (old, new) = (put(&keyring, id('1'), id('1')), put(&keyring, id('2'), id('1')));
        let in_flight = old.allowance.enter(None).unwrap();
        assert!(Arc::ptr_eq(&old.allowance, &new.allowance));
        // A change is no other key.
        keyring.put(new.key.clone(), new.digest(), 30);
        keyring.remove(id('1'));
        assert_eq!(keyring.index().lines[&id('1')].keys, 1);
        keyring.remove(id('2'));
        assert!(keyring.index().lines.is_empty());
        drop(in_flight);
        assert_eq!(new.allowance.in_flight(), 0);
    }
}
