//! What was counted between two drains.

use std::collections::HashMap;

use super::{Record, Reports};
use crate::domain::id::KeyId;
use crate::domain::key::LastUse;
use crate::domain::usage::{Bucket, Figures};

/// Answers counted but not yet kept.
#[derive(Debug, Default)]
pub struct Batch {
    /// Figures by bucket.
    pub figures: HashMap<Bucket, Figures>,
    /// When each key was last used.
    pub last_uses: HashMap<KeyId, LastUse>,
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

    pub(super) fn add(&mut self, record: Record) {
        if let (Some(key), Some(last)) = (record.bucket.key, record.last_use) {
            self.note_use(key, last);
        }
        if let Some(key) = record.bucket.key {
            self.reports.note(key, record.findings, record.at);
        }
        if let Some(code) = record.code {
            *self.refusals.entry(code).or_default() += 1;
        }
        self.figures.entry(record.bucket).or_default().merge(&record.figures);
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (key, last) in other.last_uses {
            self.note_use(key, last);
        }
        self.reports.merge(other.reports);
        for (code, count) in other.refusals {
            *self.refusals.entry(code).or_default() += count;
        }
        for (bucket, figures) in other.figures {
            self.figures.entry(bucket).or_default().merge(&figures);
        }
    }

    fn note_use(&mut self, key: KeyId, last: LastUse) {
        let latest = self.last_uses.entry(key).or_insert(last);
        if latest.at <= last.at {
            *latest = last;
        }
    }
}
