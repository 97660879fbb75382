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
}

impl Pruning {
    /// Returns a pruning that is due at once.
    pub(super) fn new() -> Self {
        Self { next: Instant::now(), under_way: false }
    }

    /// Forgets one slice, if it is time to.
    pub(super) fn step(&mut self, rooms: &Rooms) {
        let now = Instant::now();
        if !std::mem::take(&mut self.under_way) && now < self.next {
            return;
        }
        self.next = now + PAUSE;
        let pruned = rooms.store.write(|transaction| prune(rooms, transaction));
        self.under_way = matches!(pruned, Ok(SLICE..));
        if let Err(error) = pruned.and_then(|_| rooms.store.give_back()) {
            self.under_way = false;
            tracing::warn!("the database stays as large as it is for {PAUSE:?} more: {error}");
        }
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
    pruned += store::networks::delete_before(transaction, sightings, SLICE - pruned)?;
    pruned += store::alerts::delete_before(transaction, now.before(ALERTS_KEPT), SLICE - pruned)?;
    pruned += rooms.keys.prune(transaction, SLICE - pruned)?;
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU32;
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::alerts::{Alerts, Watch};
    use crate::clock::Clock;
    use crate::domain::offset::Offset;
    use crate::domain::plan::Plans;
    use crate::domain::time::Timestamp;
    use crate::domain::usage::{Bucket, Figures};
    use crate::files::{Files, Limits};
    use crate::keeper::Retention;
    use crate::keys::Keys;
    use crate::meter::Meter;
    use crate::store::Store;
    use crate::store::usage::{Query, Step};

    const HOUR: Duration = Duration::from_secs(3_600);

    fn rooms(folder: &std::path::Path) -> Rooms {
        let (clock, _) = Clock::manual();
        let store = Arc::new(Store::open(&folder.join("mcpd.db")).unwrap());
        let plans = BTreeMap::from([("standard".to_owned(), NonZeroU32::new(60))]);
        let plans = Plans::new(plans, "standard".to_owned()).unwrap();
        let keys = Arc::new(Keys::load(Arc::clone(&store), plans, clock.clone()).unwrap());
        let retention = Retention([(Step::Minute, Some(HOUR)), (Step::Hour, None), (Step::Day, None)]);
        let (meter, changed) = (Arc::new(Meter::new()), channel().1);
        let files =
            Files::open(Arc::clone(&store), clock.clone(), Limits { max_bytes: 0, total_bytes: 0 }).unwrap();
        let alerts = Arc::new(Alerts::load(Arc::clone(&store), clock.clone()).unwrap());
        let watch = Watch::new(alerts, Arc::clone(&store), keys.keyring(), clock.now()).unwrap();
        let (trail, flush) = (Arc::default(), Duration::from_millis(200));
        Rooms { store, meter, changed, keys, trail, files, watch, clock, flush, retention }
    }

    /// Counts a request in each of so many minutes, the last of them two hours ago.
    fn fill(rooms: &Rooms, minutes: i64) {
        let last = rooms.clock.now().wall.as_seconds() / 60 - 120;
        let figures = Figures { requests: 1, ..Figures::default() };
        let filled = rooms.store.write(|transaction| {
            for minute in last - minutes..last {
                let bucket = Bucket { minute, key: None, endpoint: "/v1/key", status: 401, model: None };
                store::usage::add(transaction, [(&bucket, &figures)])?;
            }
            Ok::<_, StoreError>(())
        });
        filled.unwrap();
    }

    fn count(rooms: &Rooms, step: Step) -> u64 {
        let (from, to) = (Timestamp::from_seconds(0), rooms.clock.now().wall);
        let query = Query { key: None, from, to, step, offset: Offset::UTC, groups: Vec::new() };
        let sums = rooms.store.read(|connection| store::usage::sum(connection, &query)).unwrap();
        sums.rows.iter().map(|sum| sum.figures.requests).sum()
    }

    #[test]
    fn much_that_is_past_its_time_goes_slice_by_slice() {
        let folder = std::env::temp_dir().join(format!("mcpd-pruning-{}", std::process::id()));
        let rooms = rooms(&folder);
        let all = 2 * SLICE as u64 + 1_000;
        fill(&rooms, all.cast_signed());
        let mut pruning = Pruning::new();
        for left in [SLICE as u64 + 1_000, 1_000] {
            pruning.step(&rooms);
            assert_eq!((count(&rooms, Step::Minute), pruning.under_way), (left, true));
        }
        pruning.step(&rooms);
        assert_eq!((count(&rooms, Step::Minute), pruning.under_way), (0, false));
        assert_eq!(count(&rooms, Step::Day), all);
        // The next time is not yet.
        fill(&rooms, 1);
        pruning.step(&rooms);
        assert_eq!((count(&rooms, Step::Minute), pruning.under_way), (1, false));
        drop(rooms);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
