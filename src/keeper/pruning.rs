//! Forgetting what is past its time: a slice at a time, so that no other write waits for long.

use std::time::{Duration, Instant};

use rusqlite::Transaction;

use super::Rooms;
use crate::gate::replay::STEP_BACK;
use crate::store::{self, StoreError};

/// How often it is looked for what is past its time.
const PAUSE: Duration = Duration::from_secs(600);
/// How many rows go in one transaction.
const SLICE: usize = 5_000;
/// How long other writers have their turn between two slices.
pub(super) const BREATH: Duration = Duration::from_millis(20);
/// A day, though a minute would do: a clock that was stepped must not cost a window its memory.
const WINDOWS_KEPT: Duration = Duration::from_secs(86_400);
/// How long it is known who asked for what with a key, from where, how it was used, and what settings that are only
/// tried out would have refused: longer than the watch and the advisor look back.
const SIGHTINGS_KEPT: Duration = Duration::from_secs(35 * 86_400);
/// How long alerts are kept once they are over.
const ALERTS_KEPT: Duration = Duration::from_secs(400 * 86_400);

/// When to forget, and whether there is more of it.
#[derive(Debug)]
pub(super) struct Pruning {
    next: Instant,
    /// Whether the last slice was not all.
    pub under_way: bool,
    /// Whether the database's file is longer than what is in it.
    is_shrinking: bool,
}

impl Pruning {
    /// Returns a pruning that is due at once.
    pub(super) fn new() -> Self {
        Self { next: Instant::now(), under_way: false, is_shrinking: false }
    }

    /// Forgets one slice, if it is time to.
    pub(super) fn step(&mut self, rooms: &Rooms) {
        let now = Instant::now();
        if !std::mem::take(&mut self.under_way) && now < self.next {
            return;
        }
        self.next = now + PAUSE;
        if let Err(error) = self.prune(rooms) {
            self.under_way = false;
            tracing::warn!("the database stays as large as it is for {PAUSE:?} more: {error}");
        }
    }

    fn prune(&mut self, rooms: &Rooms) -> Result<(), StoreError> {
        let pruned = rooms.store.write(|transaction| prune(rooms, transaction))?;
        self.is_shrinking |= pruned > 0;
        let is_more_free = rooms.store.give_back()?;
        self.under_way = pruned >= SLICE || is_more_free;
        if !self.under_way && std::mem::take(&mut self.is_shrinking) {
            rooms.store.cut()?;
        }
        Ok(())
    }
}

/// Forgets at most a slice of all that is past its time, and deleted keys in memory; returns how many rows.
fn prune(rooms: &Rooms, transaction: &Transaction<'_>) -> Result<usize, StoreError> {
    let (now, keyring) = (rooms.clock.now().wall, rooms.keys.keyring());
    // Where nobody asks for metrics, deleted keys would stay in memory for good.
    rooms.meter.totals().keep_keys(|key| keyring.has(key));
    let mut pruned = 0;
    for (step, kept) in rooms.retention.0 {
        if let Some(kept) = kept {
            pruned += store::usage::delete_before(transaction, step, now.before(kept), SLICE - pruned)?;
        }
    }
    pruned += store::seals::delete_expired(transaction, now.before(STEP_BACK), SLICE - pruned)?;
    pruned += store::windows::delete_before(transaction, now.before(WINDOWS_KEPT), SLICE - pruned)?;
    let sightings = now.before(SIGHTINGS_KEPT);
    pruned += store::reports::delete_before(transaction, sightings, SLICE - pruned)?;
    pruned += store::sightings::delete_before(transaction, sightings, SLICE - pruned)?;
    pruned += store::profiles::delete_before(transaction, sightings, SLICE - pruned)?;
    pruned += store::profiles::delete_quarters_before(transaction, now.before(WINDOWS_KEPT), SLICE - pruned)?;
    pruned += store::networks::delete_before(transaction, sightings, SLICE - pruned)?;
    pruned += store::alerts::delete_before(transaction, now.before(ALERTS_KEPT), SLICE - pruned)?;
    pruned += rooms.keys.prune(transaction, SLICE - pruned)?;
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::usage::{Bucket, Figures};
    use crate::keeper::testing;
    use crate::store::usage::Tier;

    /// Counts a request in each of so many minutes, the last of them two hours ago.
    fn fill(rooms: &Rooms, minutes: i64) {
        let last = rooms.clock.now().wall.as_seconds() / 60 - 120;
        let mut figures = Figures { requests: 1, ..Figures::default() };
        figures.latencies.record(Duration::ZERO);
        let filled = rooms.store.write(|transaction| {
            for minute in last - minutes..last {
                let bucket = Bucket { minute, key: None, endpoint: "/v1/key", status: 401, model: None };
                store::usage::add(transaction, [(&bucket, &figures)])?;
            }
            Ok::<_, StoreError>(())
        });
        filled.unwrap();
    }

    fn count(rooms: &Rooms, tier: Tier) -> u64 {
        let sql = "SELECT coalesce(sum(requests), 0) FROM usage WHERE step = ?1 AND owner = 0";
        let count = rooms.store.read(|db| db.query_row(sql, [tier.seconds()], |row| row.get::<_, i64>(0)));
        count.unwrap().cast_unsigned()
    }

    #[test]
    fn much_that_is_past_its_time_goes_slice_by_slice() {
        let folder = testing::folder("pruning");
        let rooms = testing::rooms(&folder);
        // A row for nobody and one for everybody each.
        let (all, slice) = (SLICE as u64 + 500, SLICE as u64 / 2);
        fill(&rooms, all.cast_signed());
        let mut pruning = Pruning::new();
        for left in [slice + 500, 500] {
            pruning.step(&rooms);
            assert_eq!((count(&rooms, Tier::Minute), pruning.under_way), (left, true));
        }
        pruning.step(&rooms);
        assert_eq!((count(&rooms, Tier::Minute), pruning.under_way), (0, false));
        assert_eq!((count(&rooms, Tier::Quarter), count(&rooms, Tier::Day)), (all, all));
        let verification = rooms.store.read(store::usage::verify).unwrap();
        assert!(verification.first_difference.is_none(), "{verification:?}");
        // The next time is not yet.
        fill(&rooms, 1);
        pruning.step(&rooms);
        assert_eq!((count(&rooms, Tier::Minute), pruning.under_way), (1, false));
        drop(rooms);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
