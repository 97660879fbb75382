//! What was counted between two drains.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Record;
use crate::domain::id::KeyId;
use crate::domain::key::LastUse;
use crate::domain::sighting::{Seen, Sighting};
use crate::domain::usage::{Bucket, Figures};

/// Answers counted but not yet kept.
#[derive(Debug, Default)]
pub struct Batch {
    /// Figures by bucket.
    pub figures: HashMap<Bucket, Figures>,
    /// When each key was last used.
    pub last_uses: HashMap<KeyId, LastUse>,
    /// Who asked for what, since the last drain.
    pub sightings: HashMap<Sighting, Seen>,
    /// Refusals and failures by code.
    pub(super) refusals: HashMap<&'static str, u64>,
}

impl Batch {
    /// Tells whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.figures.is_empty()
    }

    pub(super) fn add(&mut self, record: Record) {
        if let (Some(key), Some(last)) = (record.bucket.key, record.last_use) {
            self.note_use(key, last);
        }
        if let Some(code) = record.code {
            *self.refusals.entry(code).or_default() += 1;
        }
        self.figures.entry(record.bucket).or_default().merge(&record.figures);
        if let Some((sighting, seen)) = record.sighting {
            self.see(sighting, seen);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (key, last) in other.last_uses {
            self.note_use(key, last);
        }
        for (code, count) in other.refusals {
            *self.refusals.entry(code).or_default() += count;
        }
        for (sighting, seen) in other.sightings {
            self.see(sighting, seen);
        }
        for (bucket, figures) in other.figures {
            self.figures.entry(bucket).or_default().merge(&figures);
        }
    }

    fn see(&mut self, sighting: Sighting, seen: Seen) {
        match self.sightings.entry(sighting) {
            Entry::Occupied(mut held) => held.get_mut().merge(&seen),
            Entry::Vacant(free) => {
                free.insert(seen);
            }
        }
    }

    fn note_use(&mut self, key: KeyId, last: LastUse) {
        let latest = self.last_uses.entry(key).or_insert(last);
        if latest.at <= last.at {
            *latest = last;
        }
    }
}
