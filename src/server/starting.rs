//! A start: who is told how it goes, and what ends it early.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::{StartError, Supervisor};
use crate::store::{GoOn, Store};

/// What goes along with a start.
#[derive(Debug, Default)]
pub struct Starting {
    supervisor: Arc<Supervisor>,
    stop: Arc<AtomicBool>,
}

impl Starting {
    /// Returns a start that this one is told of, as it is of all that comes then.
    pub fn watched_by(supervisor: Supervisor) -> Self {
        Self { supervisor: Arc::new(supervisor), stop: Arc::default() }
    }

    /// Returns what ends the start early, once it is true: with [`StartError::Stopped`].
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Tells the supervisor that the start goes on, and fails if it shall not.
    pub(super) fn go_on(&self) -> Result<(), StartError> {
        if self.asked().ask() { Ok(()) } else { Err(StartError::Stopped) }
    }

    /// Opens the database, however long that takes.
    pub(super) fn open(&self, path: &Path) -> Result<Store, StartError> {
        let asked = self.asked();
        // What was in the middle of something when it was told to stop has failed in words of its own.
        Store::open_while(path, &asked)
            .map_err(|error| if asked.ask() { error.into() } else { StartError::Stopped })
    }

    /// Returns who is told how the server does from now on.
    pub(super) fn into_supervisor(self) -> Arc<Supervisor> {
        self.supervisor
    }

    fn asked(&self) -> GoOn {
        let (supervisor, stop) = (Arc::clone(&self.supervisor), self.stop());
        GoOn::new(move || {
            supervisor.starting(Instant::now());
            !stop.load(Ordering::Acquire)
        })
    }
}
