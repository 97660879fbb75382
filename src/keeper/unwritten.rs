//! Usage on its way to the disk.
//!
//! What few keys used is added to its minutes, quarters and days at each flush. Where many keys are used at once, that
//! would take a good part of a core: then each flush writes it into a journal, so that a crash loses no more than
//! before, and it is added up every few seconds.

use std::time::{Duration, Instant};

use rusqlite::Transaction;

use super::watching;
use crate::meter::Batch;
use crate::nice::with_pauses;
use crate::store::{self, StoreError};

/// As many buckets are added up at each flush.
const FEW: usize = 64;
/// How long more may wait in the journal.
const LONGEST: Duration = Duration::from_secs(5);

/// Usage that was counted, and is not where it is asked for yet.
pub(super) struct Unwritten {
    /// In no journal either.
    fresh: Batch,
    noted: Batch,
    /// When it was last added up.
    added_at: Instant,
}

/// What to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// Write it into the journal.
    Note,
    /// Add it up.
    Add,
}

impl Unwritten {
    pub(super) fn new() -> Self {
        Self { fresh: Batch::default(), noted: Batch::default(), added_at: Instant::now() }
    }

    /// Takes what was just counted.
    pub(super) fn take(&mut self, fresh: Batch) {
        self.fresh.merge(fresh);
    }

    /// Tells whether all of it is on the disk.
    pub(super) fn is_on_disk(&self) -> bool {
        self.fresh.is_empty()
    }

    /// Returns what to do at a flush; somebody may wait to ask for it.
    pub(super) fn step(&self, is_waited_for: bool) -> Step {
        let buckets = self.fresh.figures.len() + self.noted.figures.len();
        if buckets == 0 {
            Step::Nothing
        } else if is_waited_for || buckets <= FEW || self.added_at.elapsed() >= LONGEST {
            Step::Add
        } else if self.fresh.is_empty() {
            Step::Nothing
        } else {
            Step::Note
        }
    }

    /// Takes a step; the caller says once it is committed.
    pub(super) fn write(&self, transaction: &Transaction<'_>, step: Step) -> Result<(), StoreError> {
        match step {
            Step::Nothing => Ok(()),
            Step::Note => Ok(store::usage::note(transaction, &self.fresh.figures)?),
            Step::Add => self.add_up(transaction),
        }
    }

    fn add_up(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let both = [&self.noted, &self.fresh];
        store::usage::add(transaction, both.iter().flat_map(|batch| &batch.figures))?;
        if !self.noted.is_empty() {
            store::usage::clear(transaction)?;
        }
        for batch in both {
            for (key, activity) in with_pauses(&batch.activities) {
                store::keys::note_use(transaction, *key, activity.last)?;
            }
            watching::write(transaction, batch)?;
        }
        Ok(())
    }

    /// A step was taken, and is committed.
    pub(super) fn written(&mut self, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Note => self.noted.merge(std::mem::take(&mut self.fresh)),
            Step::Add => *self = Self::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report_only::Findings;
    use crate::domain::sighting::Seen;
    use crate::domain::time::Timestamp;
    use crate::domain::usage::{Bucket, Measured};
    use crate::meter::{Meter, Record, Who};

    /// Usage of so many keys.
    fn batch(keys: usize) -> Batch {
        let meter = Meter::new();
        for number in 0..keys {
            let key = format!("key_{number:024}").parse().ok();
            let bucket = Bucket { minute: 0, key, endpoint: "/v1/key", status: 200, model: None };
            let measured = Measured::default();
            let who = Who { key, superseded: false, client: None, user_agent: b"", endpoint: "/v1/key" };
            let seen = Seen::once(Timestamp::from_seconds(0));
            let findings = Findings::default();
            meter.count(Record { bucket, measured, code: None, activity: None, findings, who, seen });
        }
        meter.drain()
    }

    #[test]
    fn what_few_keys_used_is_added_up_at_once_and_what_many_used_waits_in_the_journal() {
        let mut unwritten = Unwritten::new();
        assert_eq!(unwritten.step(true), Step::Nothing);
        unwritten.take(batch(FEW));
        assert_eq!(unwritten.step(false), Step::Add);
        unwritten.take(batch(FEW + 1));
        assert_eq!((unwritten.step(false), unwritten.step(true)), (Step::Note, Step::Add));
        unwritten.written(Step::Note);
        assert!(unwritten.is_on_disk());
        assert_eq!((unwritten.step(false), unwritten.step(true)), (Step::Nothing, Step::Add));
        unwritten.added_at = Instant::now().checked_sub(LONGEST).expect("the machine runs for longer");
        assert_eq!(unwritten.step(false), Step::Add);
        unwritten.written(Step::Add);
        assert_eq!(unwritten.step(true), Step::Nothing);
    }
}
