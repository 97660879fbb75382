//! What a batch of sightings comes to, by key and by where it came from.

use std::collections::HashMap;

use crate::domain::id::KeyId;
use crate::domain::place::Place;
use crate::domain::sighting::{Seen, Sighting};
use crate::domain::time::Timestamp;

/// A batch, summed up.
#[derive(Debug, Default)]
pub(super) struct Tallies<'a> {
    /// By key.
    pub keys: HashMap<KeyId, Tally<'a>>,
    /// Admitted requests by key and place.
    pub admitted: HashMap<(KeyId, Place), Spot<'a>>,
    /// Attempts without a valid key, by the key that is none any more, if mcpd knew it, and by place.
    pub guesses: HashMap<(Option<KeyId>, Option<Place>), Spot<'a>>,
}

/// What was seen of one key.
#[derive(Debug)]
pub(super) struct Tally<'a> {
    /// Those that were let through.
    pub admitted: Spot<'a>,
    /// Those that went well, or failed by somebody's fault.
    pub judged: u64,
    /// Those that failed.
    pub failures: Spot<'a>,
    /// Those that its limits refused.
    pub limited: Spot<'a>,
    /// Those that came when it had a successor already.
    pub superseded: Spot<'a>,
}

/// So many requests of one sort, and an example of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot<'a> {
    /// How many.
    pub count: u64,
    /// When the first was, at the earliest.
    pub first: Timestamp,
    /// When the last was, at the latest.
    pub last: Timestamp,
    /// The latest of them.
    pub example: &'a Sighting,
}

impl<'a> Tallies<'a> {
    pub(super) fn of(fresh: impl Iterator<Item = (&'a Sighting, &'a Seen)>) -> Self {
        let mut tallies = Self::default();
        for (sighting, seen) in fresh {
            tallies.add(sighting, seen);
        }
        tallies
    }

    fn add(&mut self, sighting: &'a Sighting, seen: &'a Seen) {
        let place = sighting.client.map(Place::from);
        let spot = |count| Spot { count, first: seen.first, last: seen.last, example: sighting };
        let add = |to: &mut Spot<'a>, count| to.merge(spot(count));
        if seen.failed_auth > 0 {
            let held = self.guesses.entry((sighting.key, place)).or_insert_with(|| spot(0));
            add(held, seen.failed_auth);
        }
        let Some(key) = sighting.key else { return };
        if let Some(place) = place.filter(|_| seen.admitted > 0) {
            add(self.admitted.entry((key, place)).or_insert_with(|| spot(0)), seen.admitted);
        }
        let tally = self.keys.entry(key).or_insert_with(|| Tally {
            admitted: spot(0),
            judged: 0,
            failures: spot(0),
            limited: spot(0),
            superseded: spot(0),
        });
        tally.judged += seen.requests.saturating_sub(seen.errors.saturating_sub(seen.failures));
        add(&mut tally.admitted, seen.admitted);
        add(&mut tally.failures, seen.failures);
        add(&mut tally.limited, seen.rate_limited);
        add(&mut tally.superseded, if sighting.superseded { seen.requests } else { 0 });
    }
}

impl Spot<'_> {
    fn merge(&mut self, other: Self) {
        if other.count == 0 {
            return;
        }
        let is_first = self.count == 0;
        *self = Self {
            count: self.count + other.count,
            first: if is_first { other.first } else { self.first.min(other.first) },
            last: if is_first { other.last } else { self.last.max(other.last) },
            example: if is_first || other.last >= self.last { other.example } else { self.example },
        };
    }
}
