//! Whether what takes long shall go on.

use std::fmt;
use std::sync::Arc;

use rusqlite::Connection;

/// How many of its steps SQLite takes before it asks.
const STEPS: i32 = 10_000;

/// Asked again and again by what takes long: a sign that it goes on, and whether it shall.
#[derive(Clone)]
pub struct GoOn(Arc<dyn Fn() -> bool + Send + Sync>);

impl GoOn {
    /// Returns what answers as this does.
    pub fn new(ask: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    /// Tells whether to go on.
    pub fn ask(&self) -> bool {
        (self.0)()
    }

    /// Makes statements on this connection fail, with nothing done, once they shall not go on.
    pub(super) fn watch(&self, connection: &Connection) -> rusqlite::Result<()> {
        let own = self.clone();
        connection.progress_handler(STEPS, Some(move || !own.ask()))
    }
}

impl Default for GoOn {
    /// Goes on to the end.
    fn default() -> Self {
        Self::new(|| true)
    }
}

impl fmt::Debug for GoOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GoOn")
    }
}
