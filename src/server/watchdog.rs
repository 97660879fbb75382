//! Signs of life for the service manager, as long as all threads that answer and write go on.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::supervisor::Supervisor;
use crate::pulse::Pulse;

/// A slow disk, or a database that another program holds, may keep the writer silent for this long.
const SLOW_DISK: Duration = Duration::from_secs(60);

/// The threads that must go on.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// How long a worker may be silent; `None` where nobody watches.
    patience: Option<Duration>,
    keeper: Arc<Pulse>,
    /// A worker's pulse goes with the worker. One that is lost is replaced; all of them are never.
    workers: Mutex<Vec<Weak<Pulse>>>,
}

impl Watchdog {
    /// Returns the watch over the keeper, for a supervisor that waits so long for a sign of life.
    pub(super) fn new(patience: Option<Duration>, keeper: Arc<Pulse>) -> Self {
        Self { patience, keeper, workers: Mutex::default() }
    }

    /// Watches over the worker that calls, for as long as its event loop runs.
    pub(super) fn join(&self) {
        let Some(patience) = self.patience else { return };
        let pulse = Arc::new(Pulse::new());
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.push(Arc::downgrade(&pulse));
        actix_web::rt::spawn(async move {
            loop {
                pulse.beat();
                tokio::time::sleep(patience / 4).await;
            }
        });
    }

    /// Tells the supervisor that all is well, twice as often as it asks for, while it is.
    pub(super) async fn run(&self, supervisor: &Supervisor) {
        let Some(patience) = self.patience else { return };
        let mut was_alive = true;
        loop {
            let is_alive = self.are_alive(patience);
            if is_alive {
                supervisor.alive();
            } else if was_alive {
                tracing::error!(
                    "a thread of mcpd hangs: unless it goes on, the service manager will end this process"
                );
            }
            was_alive = is_alive;
            tokio::time::sleep(patience / 2).await;
        }
    }

    fn are_alive(&self, patience: Duration) -> bool {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let pulses: Vec<_> = workers.iter().filter_map(Weak::upgrade).collect();
        // Before the first has begun there is nobody to hang.
        let is_any = !pulses.is_empty() || workers.is_empty();
        if !pulses.is_empty() {
            workers.retain(|worker| worker.strong_count() > 0);
        }
        let go_on = is_any && pulses.iter().all(|pulse| pulse.silence() < patience);
        go_on && self.keeper.silence() < patience.max(SLOW_DISK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn all_is_well_while_every_thread_goes_on_in_its_own_time() {
        let cases = [
            // worker  keeper  alive
            (0, 0, true),
            (9, 59, true),
            (11, 0, false),
            (0, 61, false),
        ];
        for (worker, keeper, alive) in cases {
            let [worker, keeper] =
                [worker, keeper].map(|seconds| Arc::new(Pulse::silent_for(Duration::from_secs(seconds))));
            let watchdog = Watchdog::new(Some(PATIENCE), keeper);
            let keeper_goes_on = watchdog.keeper.silence() < SLOW_DISK;
            assert_eq!(watchdog.are_alive(PATIENCE), keeper_goes_on, "before the first worker");
            let other = Arc::new(Pulse::new());
            watchdog.workers.lock().unwrap().extend([&worker, &other].map(Arc::downgrade));
            assert_eq!(watchdog.are_alive(PATIENCE), alive, "{worker:?}");
            // One that has ended is no one that hangs, as long as there are others.
            drop(worker);
            assert_eq!(watchdog.are_alive(PATIENCE), keeper_goes_on);
            drop(other);
            assert!(!watchdog.are_alive(PATIENCE) && !watchdog.are_alive(PATIENCE), "without any worker");
        }
    }
}
