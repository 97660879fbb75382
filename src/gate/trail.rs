//! Recent refusals, so that one can be explained by its request's id. In memory only.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::keyring::Entry;
use super::{Demand, Refused, Step};
use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;

/// Requests that are refused at once take turns, each shard's lock being held for one of them.
const SHARDS: usize = 64;
/// Refusals that may wait in a shard until they are sorted; more are counted and forgotten.
const MOST_WAITING: usize = 500;
/// How many are remembered of one key, and of requests without a key that is known.
const MOST_OF_KEY: usize = 100;
const MOST_WITHOUT_KEY: usize = 1_000;
/// How many of the latter may wait: twice as many as are remembered, so that a flood of them costs little.
const MOST_WAITING_WITHOUT_KEY: usize = 2 * MOST_WITHOUT_KEY / SHARDS;
/// How many are remembered of all; the oldest make room.
const MOST: usize = 20_000;
/// How many keys are remembered; the one that was refused the longest ago makes room.
const MOST_KEYS: usize = 2_000;

/// Remembers refusals.
#[derive(Debug)]
pub struct Trail {
    shards: Box<[Mutex<Shard>]>,
    next: AtomicU64,
    sorted: Mutex<Sorted>,
}

/// A refused request.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The request's id.
    pub id: String,
    /// When it came in.
    pub at: Timestamp,
    /// Its method, any key blanked out.
    pub method: String,
    /// Its path, any key blanked out.
    pub path: String,
    /// The client's address; none where it could not be read.
    pub client: Option<IpAddr>,
    /// What the client calls itself, any key blanked out; empty where it does not.
    pub user_agent: String,
    /// What its route asks for, if it has one that asks for a key.
    pub demand: Option<Demand>,
}

/// A refusal that is remembered.
#[derive(Debug)]
pub struct Remembered {
    /// What was refused.
    pub asker: Asker,
    /// Why.
    pub refused: Refused,
    number: u64,
}

/// Requests with a key that does not work any more.
#[derive(Debug)]
pub struct DeadUse {
    /// The key.
    pub entry: Arc<Entry>,
    /// How many requests.
    pub requests: u64,
    /// One of them.
    pub asker: Asker,
}

#[derive(Debug, Default)]
struct Shard {
    waiting: Vec<Remembered>,
    /// How many of those came without a key that is known.
    without_key: usize,
    dead: HashMap<KeyId, DeadUse>,
    dropped: u64,
}

#[derive(Debug, Default)]
struct Sorted {
    keys: HashMap<Option<KeyId>, VecDeque<Arc<Remembered>>>,
    dead: HashMap<KeyId, DeadUse>,
    dropped: u64,
}

impl Trail {
    /// Returns a trail without refusals.
    pub fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, next: AtomicU64::new(0), sorted: Mutex::default() }
    }

    /// Remembers a refusal. Who asked is looked at only if there is room for it.
    pub(super) fn note(&self, refused: Refused, asker: impl FnOnce() -> Asker) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let at = usize::try_from(number % SHARDS as u64).expect("below the shards");
        lock(&self.shards[at]).note(number, refused, asker);
    }

    /// Returns the newest refusal of a request with this id.
    pub fn find(&self, id: &str) -> Option<Arc<Remembered>> {
        let sorted = self.sort();
        let all = sorted.keys.values().flatten().filter(|remembered| remembered.asker.id == id);
        all.max_by_key(|remembered| remembered.number).cloned()
    }

    /// Returns what was tried since the last time with keys that do not work any more.
    pub fn take_dead(&self) -> Vec<DeadUse> {
        std::mem::take(&mut self.sort().dead).into_values().collect()
    }

    /// Returns how many refusals came too fast to be remembered.
    pub fn dropped(&self) -> u64 {
        self.sort().dropped
    }

    /// Sorts by key what has waited for it.
    fn sort(&self) -> MutexGuard<'_, Sorted> {
        let mut sorted = lock(&self.sorted);
        let mut waiting = Vec::new();
        for shard in &self.shards {
            let shard = std::mem::take(&mut *lock(shard));
            waiting.extend(shard.waiting);
            sorted.dropped += shard.dropped;
            shard.dead.into_values().for_each(|dead| note_dead(&mut sorted.dead, dead));
        }
        waiting.sort_unstable_by_key(|remembered| remembered.number);
        for remembered in waiting {
            sorted.remember(remembered);
        }
        sorted.forget_keys();
        sorted.forget_oldest();
        sorted
    }
}

impl Default for Trail {
    fn default() -> Self {
        Self::new()
    }
}

impl Shard {
    fn note(&mut self, number: u64, refused: Refused, asker: impl FnOnce() -> Asker) {
        let dead = refused.entry.clone().filter(|_| refused.step == Step::Status);
        let known = dead.as_ref().and_then(|entry| self.dead.get_mut(&entry.key.id));
        let is_counted = known.map(|known| known.requests += 1).is_some();
        let is_without_key = refused.entry.is_none();
        let has_room = self.waiting.len() < MOST_WAITING
            && (!is_without_key || self.without_key < MOST_WAITING_WITHOUT_KEY);
        if !has_room {
            self.dropped += 1;
        }
        if !has_room && (is_counted || dead.is_none()) {
            return;
        }
        let asker = asker();
        if let Some(entry) = dead.filter(|_| !is_counted) {
            self.dead.insert(entry.key.id, DeadUse { entry, requests: 1, asker: asker.clone() });
        }
        if has_room {
            self.without_key += usize::from(is_without_key);
            self.waiting.push(Remembered { asker, refused, number });
        }
    }
}

impl Sorted {
    fn remember(&mut self, remembered: Remembered) {
        let key = remembered.refused.entry.as_ref().map(|entry| entry.key.id);
        let most = if key.is_some() { MOST_OF_KEY } else { MOST_WITHOUT_KEY };
        let of_key = self.keys.entry(key).or_default();
        if of_key.len() >= most {
            of_key.pop_front();
        }
        of_key.push_back(Arc::new(remembered));
    }

    fn forget_keys(&mut self) {
        let too_many = self.keys.len().saturating_sub(MOST_KEYS);
        if too_many == 0 {
            return;
        }
        let last = |of_key: &VecDeque<Arc<Remembered>>| of_key.back().map(|remembered| remembered.number);
        let mut by_age: Vec<_> = self.keys.iter().map(|(key, of_key)| (last(of_key), *key)).collect();
        by_age.sort_unstable_by_key(|(last, _)| *last);
        for (_, key) in by_age.into_iter().take(too_many) {
            self.keys.remove(&key);
        }
    }

    fn forget_oldest(&mut self) {
        let too_many = self.keys.values().map(VecDeque::len).sum::<usize>().saturating_sub(MOST);
        if too_many == 0 {
            return;
        }
        let mut numbers: Vec<u64> =
            self.keys.values().flatten().map(|remembered| remembered.number).collect();
        let (.., oldest, _) = numbers.select_nth_unstable(too_many);
        let oldest = *oldest;
        self.keys.retain(|_, of_key| {
            of_key.retain(|remembered| remembered.number >= oldest);
            !of_key.is_empty()
        });
    }
}

fn note_dead(all: &mut HashMap<KeyId, DeadUse>, dead: DeadUse) {
    match all.get_mut(&dead.entry.key.id) {
        Some(known) => *known = DeadUse { requests: known.requests + dead.requests, ..dead },
        None => drop(all.insert(dead.entry.key.id, dead)),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each step leaves it whole, whatever panicked around it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Refusal;
    use crate::gate::keyring::tests::{entry, id_of};

    fn asker(id: &str) -> Asker {
        Asker {
            id: id.to_owned(),
            at: Timestamp::from_seconds(0),
            method: "GET".to_owned(),
            path: "/v1/key".to_owned(),
            client: None,
            user_agent: String::new(),
            demand: Some(Demand::AnyKey),
        }
    }

    fn of(entry: &Arc<Entry>, refusal: Refusal) -> Refused {
        Refused::of(Arc::clone(entry), refusal, None)
    }

    #[test]
    fn the_last_hundred_refusals_of_each_key_are_remembered_and_the_newest_of_an_id() {
        let (trail, one) = (Trail::new(), entry(1));
        for number in 0..150 {
            trail.note(of(&one, Refusal::TooManyConcurrent), || asker(&format!("req_{number}")));
            trail.note(Refusal::MissingKey.into(), || asker("req_twice"));
        }
        trail.note(of(&one, Refusal::ExpiredKey), || asker("req_twice"));
        assert!(trail.find("req_49").is_none());
        assert!(trail.find("req_149").is_some());
        assert_eq!(trail.find("req_twice").unwrap().refused.refusal, Refusal::ExpiredKey);
        assert!(trail.find("req_50").is_none(), "the hundredth but one has made room");
        assert!(trail.find("req_nothing").is_none());
    }

    #[test]
    fn the_key_that_was_refused_the_longest_ago_makes_room() {
        let trail = Trail::new();
        for number in 0..2_100 {
            trail.note(of(&entry(number), Refusal::ExpiredKey), || asker(&format!("req_{number}")));
        }
        assert!(trail.find("req_99").is_none());
        assert!(trail.find("req_100").is_some() && trail.find("req_2099").is_some());
    }

    #[test]
    fn of_all_refusals_the_oldest_make_room() {
        let trail = Trail::new();
        let entries: Vec<_> = (0..250).map(entry).collect();
        for number in 0..25_000 {
            let entry = &entries[number % entries.len()];
            trail.note(of(entry, Refusal::TooManyConcurrent), || asker(&format!("req_{number}")));
        }
        let kept = |trail: &Trail| trail.sort().keys.values().map(VecDeque::len).sum::<usize>();
        assert_eq!(kept(&trail), MOST);
        let oldest = 25_000 - MOST;
        assert!(trail.find(&format!("req_{}", oldest - 1)).is_none());
        assert!(trail.find(&format!("req_{oldest}")).is_some() && trail.find("req_24999").is_some());
        // Another one makes room for itself.
        trail.note(Refusal::MissingKey.into(), || asker("req_last"));
        assert!(trail.find("req_last").is_some() && trail.find(&format!("req_{oldest}")).is_none());
        assert_eq!(kept(&trail), MOST);
    }

    #[test]
    fn a_flood_is_counted_and_costs_no_more_memory() {
        let (trail, dead) = (Trail::new(), entry(7));
        let most = u64::try_from(SHARDS * MOST_WAITING).unwrap();
        for _ in 0..most + 1_000 {
            trail.note(of(&dead, Refusal::InvalidKey), || asker("req_flood"));
        }
        assert_eq!(trail.dropped(), 1_000);
        let tried = trail.take_dead();
        assert_eq!(tried.iter().map(|dead| dead.requests).collect::<Vec<_>>(), [most + 1_000]);
        assert_eq!(tried[0].entry.key.id, id_of(7));
        assert!(trail.take_dead().is_empty());
    }

    #[test]
    fn a_flood_without_a_key_takes_no_room_from_keys() {
        let (trail, looked_at) = (Trail::new(), std::cell::Cell::new(0));
        for _ in 0..100_000 {
            trail.note(Refusal::InvalidKey.into(), || {
                looked_at.set(looked_at.get() + 1);
                asker("req_flood")
            });
        }
        assert!((MOST_WITHOUT_KEY..=2 * MOST_WITHOUT_KEY).contains(&looked_at.get()), "{looked_at:?}");
        trail.note(of(&entry(1), Refusal::TooManyConcurrent), || asker("req_mine"));
        assert!(trail.find("req_mine").is_some());
        trail.note(Refusal::InvalidKey.into(), || asker("req_later"));
        assert!(trail.find("req_later").is_some());
    }

    #[test]
    fn a_live_key_that_is_refused_is_not_dead() {
        let trail = Trail::new();
        trail.note(of(&entry(1), Refusal::TooManyConcurrent), || asker("req_1"));
        trail.note(Refusal::InvalidKey.into(), || asker("req_2"));
        assert!(trail.take_dead().is_empty());
    }
}
