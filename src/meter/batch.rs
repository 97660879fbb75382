//! What was counted between two drains.

use std::collections::hash_map::Entry;

use super::tally::Alike;
use super::{Activity, Record, Reports, Sightings};
use crate::domain::id::KeyId;
use crate::domain::usage::{Bucket, Figures};
use crate::nice::with_pauses;

/// Keys of these maps are the server's own words, or few: nobody outside can choose many that collide.
pub(super) type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// Answers counted but not yet kept.
#[derive(Debug, Default)]
pub struct Batch {
    /// Figures by bucket.
    pub figures: HashMap<Bucket, Figures>,
    /// How each key was used.
    pub activities: HashMap<KeyId, Activity>,
    /// How often each key was let through, by the minute, counted from the epoch.
    pub admitted: HashMap<(KeyId, i64), u64>,
    /// Who was seen.
    pub sightings: Sightings,
    /// What settings that are only tried out would have refused.
    pub reports: Reports,
    /// Refusals and failures by code.
    pub(super) refusals: HashMap<&'static str, u64>,
}

impl Batch {
    /// Tells whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.figures.is_empty()
    }

    /// Adds one answer.
    pub(super) fn add(&mut self, record: Record<'_>) {
        if let Some(key) = record.bucket.key {
            self.reports.note(key, record.findings, record.seen.last);
        }
        let user_agent = record.who.user_agent.into();
        self.add_alike(Alike::of(record, user_agent));
    }

    /// Adds answers that are alike.
    pub(super) fn add_alike(&mut self, alike: Alike) {
        self.sightings.note(alike.who(), &alike.seen);
        let Alike { bucket, figures, code, activity, admitted, .. } = alike;
        if let (Some(key), Some(activity)) = (bucket.key, activity) {
            self.note_use(key, activity);
            *self.admitted.entry((key, bucket.minute)).or_default() += admitted;
        }
        if let Some(code) = code {
            *self.refusals.entry(code).or_default() += figures.requests;
        }
        self.note_figures(bucket, figures);
    }

    /// Adds what was counted elsewhere, or later.
    pub fn merge(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        for (key, activity) in other.activities {
            self.note_use(key, activity);
        }
        for (place, count) in other.admitted {
            *self.admitted.entry(place).or_default() += count;
        }
        self.sightings.merge(other.sightings);
        self.reports.merge(other.reports);
        for (code, count) in other.refusals {
            *self.refusals.entry(code).or_default() += count;
        }
        for (bucket, figures) in with_pauses(other.figures) {
            self.note_figures(bucket, figures);
        }
    }

    fn note_figures(&mut self, bucket: Bucket, figures: Figures) {
        match self.figures.entry(bucket) {
            Entry::Occupied(known) => known.into_mut().merge(&figures),
            Entry::Vacant(room) => drop(room.insert(figures)),
        }
    }

    fn note_use(&mut self, key: KeyId, activity: Activity) {
        self.activities.entry(key).and_modify(|known| *known = known.with(activity)).or_insert(activity);
    }
}
