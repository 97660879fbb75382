//! Usage, counted in memory where the requests end, and handed over in batches.

mod batch;
mod reports;
mod sightings;
mod tally;
mod totals;

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use batch::Batch;
pub use reports::{Made, Reports};
pub use sightings::{Sightings, Who};
use tally::Tally;
pub use totals::Totals;

use crate::domain::key::LastUse;
use crate::domain::report_only::Findings;
use crate::domain::sighting::Seen;
use crate::domain::usage::{Bucket, Measured};

/// More than there are workers, so that each counts on its own.
const SHARDS: usize = 64;

/// Counts answers.
#[derive(Debug)]
pub struct Meter {
    shards: Box<[Mutex<Tally>]>,
    /// Empty ones that have room, to take the place of one that is looked at.
    spare: Mutex<Vec<Tally>>,
    totals: Mutex<Totals>,
    streams: AtomicI64,
    /// Exchanges that have begun and are not counted yet.
    open: AtomicUsize,
}

/// One answer, as it ended.
#[derive(Debug)]
pub struct Record<'a> {
    /// What it counts under.
    pub bucket: Bucket,
    /// What it counts.
    pub measured: Measured,
    /// The code it was refused or failed with.
    pub code: Option<&'static str>,
    /// The use of its key, if it was let through.
    pub activity: Option<Activity>,
    /// What settings that are only tried out would have refused.
    pub findings: Findings,
    /// Who asked.
    pub who: Who<'a>,
    /// What was seen of them.
    pub seen: Seen,
}

/// The use of a key by a request, or by several: the last of them, and the most of any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// When and from where.
    pub last: LastUse,
    /// Requests let through in 60 seconds.
    pub peak_rate: u32,
    /// Requests in flight.
    pub peak_concurrent: u32,
}

impl Activity {
    /// Returns the use by other requests too.
    #[must_use]
    fn with(self, other: Self) -> Self {
        Self {
            last: if self.last.at <= other.last.at { other.last } else { self.last },
            peak_rate: self.peak_rate.max(other.peak_rate),
            peak_concurrent: self.peak_concurrent.max(other.peak_concurrent),
        }
    }
}

impl Meter {
    /// Returns a meter that has counted nothing.
    pub fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self {
            shards,
            spare: Mutex::default(),
            totals: Mutex::default(),
            streams: AtomicI64::new(0),
            open: AtomicUsize::new(0),
        }
    }

    /// Counts an answer.
    pub fn count(&self, record: Record<'_>) {
        lock(&self.shards[this_thread()]).add(record);
    }

    /// Notes that an exchange has begun, which will be counted.
    pub fn open(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that an exchange was counted.
    pub fn close(&self) {
        self.open.fetch_sub(1, Ordering::Release);
    }

    /// Tells whether every exchange that has begun was counted.
    pub fn is_complete(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    /// Returns what was counted since the last time, to be looked at and kept.
    pub fn drain(&self) -> Batch {
        let mut fresh = Batch::default();
        for shard in &self.shards {
            if lock(shard).is_empty() {
                continue;
            }
            // Adding up takes longer than a worker should wait.
            let spare = lock(&self.spare).pop().unwrap_or_default();
            let mut tally = std::mem::replace(&mut *lock(shard), spare);
            fresh.merge(tally.take());
            lock(&self.spare).push(tally);
        }
        self.totals().add(&fresh);
        fresh
    }

    /// Returns the totals since the start, as of the last drain.
    pub fn totals(&self) -> MutexGuard<'_, Totals> {
        lock(&self.totals)
    }

    /// Counts a stream as begun (1) or ended (-1).
    pub fn stream(&self, change: i64) {
        self.streams.fetch_add(change, Ordering::Relaxed);
    }

    /// Returns how many streams are running.
    pub fn streams(&self) -> i64 {
        self.streams.load(Ordering::Relaxed)
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

/// Each thread counts in a shard of its own as long as there are enough of them.
fn this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    SHARD.with(|shard| *shard)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Sums stay sums, whatever panicked around them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
