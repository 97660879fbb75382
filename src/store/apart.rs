//! The store's own long reads, each on a connection of its own. Each holds the write-ahead log as long as it lasts, so
//! that they are counted, and can be made to wait once until none is left and the log can begin anew.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a read waits for others to end before it goes on beside them: longer than most take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts long reads.
#[derive(Debug, Default)]
pub(super) struct Apart {
    state: Mutex<State>,
    let_go: Condvar,
}

#[derive(Debug, Default)]
struct State {
    reading: usize,
    held_back: bool,
}

/// A long read. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Reading<'a>(&'a Apart);

impl Apart {
    /// Begins a long read; while new ones are held back it waits first, but not without end.
    pub(super) fn begin(&self) -> Reading<'_> {
        self.begin_within(PATIENCE)
    }

    fn begin_within(&self, patience: Duration) -> Reading<'_> {
        let until = Instant::now() + patience;
        let mut state = self.state();
        while state.held_back && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            state = self.let_go.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.reading += 1;
        Reading(self)
    }

    /// Returns how many there are.
    pub(super) fn reading(&self) -> usize {
        self.state().reading
    }

    /// Holds new ones back, or lets them go on.
    pub(super) fn hold_back(&self, hold: bool) {
        let before = std::mem::replace(&mut self.state().held_back, hold);
        if before && !hold {
            self.let_go.notify_all();
        }
    }

    /// A panic in between leaves numbers that are right all the same.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.state().reading -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_read_that_is_held_back_goes_on_once_it_is_let_go() {
        let apart = Apart::default();
        let first = apart.begin();
        apart.hold_back(true);
        std::thread::scope(|scope| {
            let (sender, begun) = channel();
            let apart = &apart;
            scope.spawn(move || {
                let _second = apart.begin_within(Duration::from_secs(600));
                sender.send(apart.reading()).unwrap();
            });
            assert!(begun.recv_timeout(Duration::from_millis(50)).is_err());
            drop(first);
            assert_eq!(apart.reading(), 0);
            apart.hold_back(false);
            assert_eq!(begun.recv(), Ok(1));
        });
        assert_eq!(apart.reading(), 0);
    }

    #[test]
    fn a_read_waits_for_no_other_without_end() {
        let apart = Apart::default();
        let _first = apart.begin();
        apart.hold_back(true);
        let _second = apart.begin_within(Duration::from_millis(5));
        assert_eq!(apart.reading(), 2);
    }
}
