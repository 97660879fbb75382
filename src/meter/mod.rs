//! Usage, counted in memory where the requests end, and handed over in batches.

mod batch;
mod totals;

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use batch::Batch;
pub use totals::Totals;

use crate::domain::key::LastUse;
use crate::domain::sighting::{Seen, Sighting};
use crate::domain::usage::{Bucket, Figures};

/// More than there are workers, so that each counts on its own.
const SHARDS: usize = 64;

/// Counts answers.
#[derive(Debug)]
pub struct Meter {
    shards: Box<[Mutex<Batch>]>,
    /// Counted in the totals, but not kept yet: the disk was full.
    unkept: Mutex<Batch>,
    totals: Mutex<Totals>,
    streams: AtomicI64,
    /// Exchanges that have begun and are not counted yet.
    open: AtomicUsize,
}

/// One answer, as it ended.
#[derive(Debug)]
pub struct Record {
    /// What it counts under.
    pub bucket: Bucket,
    /// What it counts.
    pub figures: Figures,
    /// The code it was refused or failed with.
    pub code: Option<&'static str>,
    /// The use of its key, if it was let through.
    pub last_use: Option<LastUse>,
    /// Who asked, where anybody could be told.
    pub sighting: Option<(Sighting, Seen)>,
}

impl Meter {
    /// Returns a meter that has counted nothing.
    pub fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self {
            shards,
            unkept: Mutex::default(),
            totals: Mutex::default(),
            streams: AtomicI64::new(0),
            open: AtomicUsize::new(0),
        }
    }

    /// Counts an answer.
    pub fn count(&self, record: Record) {
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

    /// Returns what was counted since the last time, to be kept.
    pub fn drain(&self) -> Batch {
        let mut fresh = Batch::default();
        for shard in &self.shards {
            fresh.merge(std::mem::take(&mut *lock(shard)));
        }
        self.totals().add(&fresh);
        fresh.merge(std::mem::take(&mut *lock(&self.unkept)));
        fresh
    }

    /// Takes back what could not be kept, for the next time.
    pub fn put_back(&self, mut batch: Batch) {
        // They were looked at.
        batch.sightings.clear();
        lock(&self.unkept).merge(batch);
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
