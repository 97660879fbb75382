//! Proves that what is kept of usage agrees with itself: keys with the whole, finer steps with coarser ones, and
//! histograms with counts.

mod figures;
mod ledger;
mod pass;

use rusqlite::Connection;

use super::since::Since;
use super::{EVERYBODY, Tier, rows};
use crate::domain::time::Timestamp;
use ledger::Ledger;
use pass::Pass;

/// What was found.
#[derive(Debug)]
pub struct Verification {
    /// Every check.
    pub checks: Vec<Check>,
    /// The first difference, if there is one.
    pub first_difference: Option<Difference>,
}

/// One thing that must be so.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// What must be so.
    pub what: &'static str,
    /// How many rows were looked at.
    pub rows: u64,
    /// How many sums are not as they must be.
    pub differences: u64,
}

/// A sum that is not as it must be.
#[derive(Debug)]
pub struct Difference {
    /// What should be so.
    pub what: &'static str,
    /// The start of its step.
    pub start: Timestamp,
    /// The key; empty for requests without one, none where it is all keys together.
    pub key: Option<String>,
    /// The route's pattern.
    pub endpoint: String,
    /// The status.
    pub status: u16,
    /// The model; empty for requests without one.
    pub model: String,
    /// Which figure.
    pub figure: &'static str,
    /// What it should be.
    pub expected: u64,
    /// What it is.
    pub found: u64,
}

/// Looks at every row, as of one moment.
pub fn verify(connection: &Connection) -> rusqlite::Result<Verification> {
    let snapshot = connection.unchecked_transaction()?;
    let since = Since::read(&snapshot)?;
    let mut ledger = Ledger::new();
    for tier in Tier::ALL {
        let mut pass = Pass::new(&snapshot, tier, since);
        rows::of_keys(&snapshot, tier, &(i64::MIN..i64::MAX), EVERYBODY..i64::MAX, |row| {
            pass.look_at(&row, &mut ledger)
        })?;
        pass.finish(&mut ledger)?;
    }
    ledger.finish(&snapshot)
}
