//! All keys in memory, by the first bytes of their digest, each verified whole.
//!
//! No cache: there is no time-to-live and no refill to race with. Dead keys stay until they are deleted, so
//! that what they still try can be told by name.
//!
//! There may be a million keys, of which few are in use: a key is one allocation and two pointers to it, and what only
//! its use calls for is made when it is first used.

mod entry;
mod tables;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::allowance::Allowance;
use crate::domain::digest::{Digest, Digester};
use crate::domain::id::KeyId;
use crate::domain::key::{Key, Status};
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::domain::window::Window;
pub use entry::Entry;
pub(super) use entry::Use;
use tables::{ByDigest, ById, Table};

/// Enough shards that readers and a writer hardly meet; a lock is held for one look-up.
const SHARDS: usize = 256;

/// All keys, by digest.
#[derive(Debug)]
pub struct Keyring {
    digester: Digester,
    shards: Box<[Shard]>,
    /// The keys by id, and what is known of several. Only changes come here.
    index: Mutex<Index>,
    /// Moves on with each change.
    edition: AtomicU64,
}

type Shard = RwLock<Table<ByDigest>>;

#[derive(Debug, Default)]
struct Index {
    entries: Table<ById>,
    /// The lines that keys are or were linked in, by the first key of each.
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
        Self::with_room(digester, 0)
    }

    /// Returns an empty keyring with room for so many keys.
    pub fn with_room(digester: Digester, keys: usize) -> Self {
        // Digests are random: some shards get more than others.
        let fair = keys / SHARDS;
        let shards = (0..SHARDS).map(|_| RwLock::new(tables::with_room(fair + fair / 16))).collect();
        let index = Mutex::new(Index { entries: tables::with_room(keys), ..Index::default() });
        Self { digester, shards, index, edition: AtomicU64::new(0) }
    }

    /// Returns the key that the token belongs to.
    pub fn find(&self, token: &Token) -> Option<Arc<Entry>> {
        let digest = self.digester.digest(token);
        let shard = self.shard(&digest).read().unwrap_or_else(PoisonError::into_inner);
        let ByDigest(entry) = shard.get(tables::slot(&digest))?;
        let entry = Arc::clone(entry);
        drop(shard);
        self.digester.verify(token, entry.digest()).then_some(entry)
    }

    /// Returns the key with the id.
    pub fn get(&self, id: KeyId) -> Option<Arc<Entry>> {
        self.index().get(id).map(Arc::clone)
    }

    /// Tells whether there is a key with the id.
    pub fn has(&self, id: KeyId) -> bool {
        self.index().entries.contains(&id)
    }

    /// Tells whether there is any key.
    pub fn has_any(&self) -> bool {
        !self.index().entries.is_empty()
    }

    /// Returns the digest of a token.
    pub fn digest(&self, token: &Token) -> Digest {
        self.digester.digest(token)
    }

    /// Puts a key in, new or changed; the next look-up sees it.
    pub fn put(&self, key: Key, digest: Digest, requests_per_minute: u32) {
        let mut index = self.index();
        let before = index.get(key.id).map(Arc::clone);
        let entry = Arc::new(match &before {
            Some(before) => before.changed_to(key, digest, requests_per_minute),
            None => {
                let shared = index.join(&key);
                Entry::new(key, digest, requests_per_minute, shared)
            }
        });
        index.note_end(before.as_ref().map(|before| &before.key), Some(&entry.key));
        index.entries.replace(ById(Arc::clone(&entry)));
        let mut shard = self.shard(&digest).write().unwrap_or_else(PoisonError::into_inner);
        shard.replace(ByDigest(entry));
        self.edition.fetch_add(1, Ordering::Release);
    }

    /// Sets the limit in force of each key. What they have used of it stays.
    pub fn set_limits(&self, limit: impl Fn(&Key) -> u32) {
        // No key changes meanwhile.
        for ById(entry) in &self.index().entries {
            entry.limit_to(limit(&entry.key));
        }
    }

    /// Takes a key out; the next look-up finds nothing.
    pub fn remove(&self, id: KeyId) {
        let mut index = self.index();
        let Some(ById(entry)) = index.entries.take(&id) else { return };
        let digest = entry.digest();
        self.shard(digest).write().unwrap_or_else(PoisonError::into_inner).remove(tables::slot(digest));
        entry.end();
        index.leave(entry.key.line());
        index.note_end(Some(&entry.key), None);
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
        if let Some(allowance) = self.index().allowance(line) {
            allowance.restore(window);
        }
    }

    /// Looks at each key.
    pub fn for_each(&self, mut look: impl FnMut(&Key)) {
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.iter().for_each(|ByDigest(entry)| look(&entry.key));
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

    fn shard(&self, digest: &Digest) -> &Shard {
        &self.shards[usize::from(digest[8]) % SHARDS]
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn get(&self, id: KeyId) -> Option<&Arc<Entry>> {
        self.entries.get(&id).map(|ById(entry)| entry)
    }

    /// Returns the allowance that others hold with a new key, whose line it joins; `None` where it is alone.
    fn join(&mut self, key: &Key) -> Option<Arc<Allowance>> {
        let line = key.line();
        if line != key.id && !self.lines.contains_key(&line) {
            // The first key was alone until now.
            let first = self.get(line).map(|first| Arc::clone(first.allowance()));
            let keys = usize::from(first.is_some());
            let allowance = first.unwrap_or_else(|| Allowance::new(line));
            self.lines.insert(line, Line { allowance, keys });
        }
        let line = self.lines.get_mut(&line)?;
        line.keys += 1;
        Some(Arc::clone(&line.allowance))
    }

    /// Takes a key from its line. Requests in flight may hold the allowance for longer; nobody else finds it.
    fn leave(&mut self, line: KeyId) {
        let Some(left) = self.lines.get_mut(&line) else { return };
        left.keys -= 1;
        if left.keys == 0 {
            self.lines.remove(&line);
        }
    }

    /// Returns the allowance of a line, which may be that of one key alone.
    fn allowance(&self, line: KeyId) -> Option<&Arc<Allowance>> {
        let shared = self.lines.get(&line).map(|line| &line.allowance);
        shared.or_else(|| self.get(line).map(|entry| entry.allowance()))
    }

    /// Notes when a key ends that was changed.
    fn note_end(&mut self, before: Option<&Key>, after: Option<&Key>) {
        let end = |key: &Key| key.settings.expires_at.map(|end| (end, key.id));
        if let Some(end) = before.and_then(end) {
            self.ends.remove(&end);
        }
        self.ends.extend(after.and_then(end));
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
        let mut key = Key::new(id, token.hint(), settings, created_at);
        key.change_succession(|succession| succession.first = line);
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
            keyring.put(key, *entry.digest(), 60);
        }
        let before = keyring.edition();
        assert_eq!(keyring.ending(time(10), time(30)), [id('2'), id('3')]);
        assert_eq!(keyring.ending(time(30), time(10)), []);
        let entry = keyring.get(id('2')).unwrap();
        let mut key = entry.key.clone();
        key.settings.expires_at = Some(time(25));
        keyring.put(key, *entry.digest(), 60);
        assert_eq!(keyring.ending(time(0), time(24)), [id('1')]);
        keyring.remove(id('1'));
        assert_eq!(keyring.ending(time(0), time(30)), [id('2'), id('3')]);
        assert_eq!(keyring.edition(), before + 2);
    }

    #[test]
    fn an_allowance_goes_with_the_last_key_of_its_line_whatever_is_in_flight() {
        let keyring = Keyring::new(Digester::new(b"secret"));
        let (old, new) = (put(&keyring, id('1'), id('1')), put(&keyring, id('2'), id('1')));
        let in_flight = old.allowance().enter(None).unwrap();
        assert!(Arc::ptr_eq(old.allowance(), new.allowance()));
        // A change is no other key.
        keyring.put(new.key.clone(), *new.digest(), 30);
        keyring.remove(id('1'));
        assert_eq!(keyring.index().lines[&id('1')].keys, 1);
        keyring.remove(id('2'));
        assert!(keyring.index().lines.is_empty());
        drop(in_flight);
        assert_eq!(new.allowance().in_flight(), 0);
    }
}
