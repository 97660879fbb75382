//! What a verification has found so far.

use rusqlite::Connection;

use super::super::{EVERYBODY, Tier};
use super::figures::Unequal;
use super::{Check, Difference, Verification};
use crate::domain::time::Timestamp;

/// What was found so far.
pub(super) struct Ledger {
    checks: [Check; 6],
    first: Option<(Place, Kind, Unequal)>,
}

/// What is checked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Keys add up to the whole.
    Keys(Tier),
    /// The tier adds up to the next coarser one.
    Steps(Tier),
    /// Histograms count every request.
    Histograms,
}

/// Which sum it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub start: i64,
    pub owner: i64,
    pub series: i64,
}

const CHECKS: [&str; 6] = [
    "keys add up to the whole, by the minute",
    "keys add up to the whole, by the quarter of an hour",
    "keys add up to the whole, by the day",
    "minutes add up to quarters of an hour",
    "quarters of an hour add up to days",
    "histograms count every request",
];

impl Ledger {
    pub(super) fn new() -> Self {
        Self { checks: CHECKS.map(|what| Check { what, rows: 0, differences: 0 }), first: None }
    }

    /// Notes that a row was looked at.
    pub(super) fn note(&mut self, kind: Kind) {
        self.checks[kind.place()].rows += 1;
    }

    /// Notes a difference, if there is one.
    pub(super) fn differ(&mut self, kind: Kind, place: Place, difference: Option<Unequal>) {
        if let Some(difference) = difference {
            self.checks[kind.place()].differences += 1;
            self.first.get_or_insert((place, kind, difference));
        }
    }

    pub(super) fn finish(self, connection: &Connection) -> rusqlite::Result<Verification> {
        let Self { checks, first } = self;
        let first_difference = first.map(|(place, kind, unequal)| {
            let what = checks[kind.place()].what;
            describe(connection, what, place, unequal)
        });
        Ok(Verification { checks: checks.into(), first_difference: first_difference.transpose()? })
    }
}

impl Kind {
    const fn place(self) -> usize {
        match self {
            Self::Keys(tier) => tier as usize,
            Self::Steps(finer) => 3 + finer as usize,
            Self::Histograms => 5,
        }
    }
}

/// Puts names in the place of numbers.
fn describe(
    connection: &Connection,
    what: &'static str,
    place: Place,
    unequal: Unequal,
) -> rusqlite::Result<Difference> {
    let key: String = connection.query_row(
        "SELECT coalesce((SELECT key_id FROM usage_owners WHERE number = ?1), '')",
        [place.owner],
        |row| row.get(0),
    )?;
    let series = connection.query_row(
        "SELECT coalesce(max(endpoint), ''), coalesce(max(status), 0), coalesce(max(model), '')
         FROM usage_series WHERE number = ?1",
        [place.series],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    );
    let (endpoint, status, model) = series?;
    let Unequal { figure, expected, found } = unequal;
    Ok(Difference {
        what,
        start: Timestamp::from_seconds(place.start),
        key: (place.owner != EVERYBODY).then_some(key),
        endpoint,
        status,
        model,
        figure,
        expected,
        found,
    })
}
