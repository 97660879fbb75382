//! Where each key is used from, learnt from the requests that were let through.

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::Connection;

use super::tally::Spot;
use crate::clock::Now;
use crate::domain::id::KeyId;
use crate::domain::place::Place;
use crate::domain::time::Timestamp;
use crate::store::networks::{self, Known};
use crate::store::{Store, StoreError};

/// How long a place is remembered after a key's last use of it.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);
/// How much later a use must be to be written down.
const WRITTEN_EVERY: Duration = Duration::from_secs(3_600);
/// How many keys' places are in memory, and how many of each key.
const MOST_KEYS: usize = 10_000;
const MOST_PLACES: usize = 256;

/// Where keys are used from.
#[derive(Debug, Default)]
pub(super) struct Places {
    sets: HashMap<KeyId, Set>,
    unwritten: HashMap<(KeyId, Place), Known>,
}

#[derive(Debug)]
struct Set {
    /// When the key was first used.
    since: Timestamp,
    /// When it was last used from where, as it was written down.
    places: HashMap<Place, Timestamp>,
    /// Steady time of its last use.
    used: Duration,
}

/// A place that a key was not used from lately.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewPlace {
    /// When the key was first used at all.
    pub since: Timestamp,
    /// How many others it was used from lately.
    pub known: usize,
}

impl Places {
    /// Notes that a key was used from a place; tells if that is new.
    pub(super) fn see(
        &mut self,
        store: &Store,
        (key, place): (KeyId, Place),
        spot: &Spot<'_>,
        now: Now,
    ) -> Result<Option<NewPlace>, StoreError> {
        if !self.sets.contains_key(&key) {
            self.make_room(now.steady);
            let known = store.read(|connection| networks::of(connection, key))?;
            let set = self.load(key, known, spot.first, now);
            self.sets.insert(key, set);
        }
        let set = self.sets.get_mut(&key).expect("it was put in if it was not there");
        set.used = now.steady;
        let last = set.places.get(&place).copied();
        if last.is_some_and(|last| spot.last.since(last) < WRITTEN_EVERY) {
            return Ok(None);
        }
        let is_known = last.is_some_and(|last| spot.last.since(last) < REMEMBERED);
        if !is_known {
            set.places.retain(|_, last| spot.last.since(*last) < REMEMBERED);
        }
        let known = set.places.len();
        if known < MOST_PLACES || last.is_some() {
            set.places.insert(place, spot.last);
            let fresh = Known { place, first_at: spot.first, last_at: spot.last };
            let held = self.unwritten.entry((key, place)).or_insert(fresh);
            held.last_at = held.last_at.max(spot.last);
        }
        Ok((!is_known).then_some(NewPlace { since: set.since, known }))
    }

    /// Tells whether there is nothing to write.
    pub(super) fn is_written(&self) -> bool {
        self.unwritten.is_empty()
    }

    /// Writes what is new.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        self.unwritten.iter().try_for_each(|((key, _), known)| networks::save(connection, *key, known))
    }

    /// Forgets what was new: it is written.
    pub(super) fn written(&mut self) {
        self.unwritten.clear();
    }

    fn load(&self, key: KeyId, known: Vec<Known>, first: Timestamp, now: Now) -> Set {
        let unwritten = self.unwritten.iter().filter(|((of, _), _)| *of == key).map(|(_, known)| *known);
        let known: Vec<Known> = known.into_iter().chain(unwritten).collect();
        let since = known.iter().map(|known| known.first_at).min().unwrap_or(first);
        let places = known.iter().map(|known| (known.place, known.last_at)).collect();
        Set { since, places, used: now.steady }
    }

    fn make_room(&mut self, now: Duration) {
        if self.sets.len() < MOST_KEYS {
            return;
        }
        self.sets.retain(|_, set| now.saturating_sub(set.used) < WRITTEN_EVERY);
        if self.sets.len() >= MOST_KEYS
            && let Some(any) = self.sets.keys().next().copied()
        {
            self.sets.remove(&any);
        }
    }
}
