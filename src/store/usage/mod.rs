//! Usage in buckets: added to by minute, quarter of an hour and day at once, read by any of them.
//!
//! Whose usage it is, and what else it is told apart by, stand as numbers in its rows; owner 0 is all of it
//! together, so that what all keys did is read from few rows.

mod add;
mod histograms;
mod journal;
mod plan;
mod prune;
mod query;
mod rows;
mod since;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::Arc;
use std::time::Duration;

pub use add::add;
pub(super) use histograms::{register_for_migration, register_functions};
pub use journal::{clear, note, recover};
pub use prune::delete_before;
pub use query::{MOST_ROWS, models_of, sum};
pub use verify::{Check, Difference, Verification, verify};

use crate::domain::id::KeyId;
use crate::domain::offset::Offset;
use crate::domain::time::Timestamp;
use crate::domain::usage::Figures;

/// How finely usage is told apart in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's name is its meaning")]
pub enum Step {
    Minute,
    Hour,
    Day,
}

/// How finely usage is kept apart in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// By the minute.
    Minute,
    /// By the quarter of an hour, so that hours and days of any time zone add up.
    Quarter,
    /// By the UTC day.
    Day,
}

/// What usage may be grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's name is its meaning")]
pub enum Group {
    Key,
    Endpoint,
    Status,
    Model,
}

/// Which usage to sum up.
#[derive(Clone, Debug)]
pub struct Query {
    /// Only this key's.
    pub key: Option<KeyId>,
    /// From the start of this step on.
    pub from: Timestamp,
    /// Up to, and without, the step that starts here.
    pub to: Timestamp,
    /// How finely to tell it apart in time.
    pub step: Step,
    /// Where hours and days begin.
    pub offset: Offset,
    /// What else to tell it apart by.
    pub groups: Vec<Group>,
}

/// What was used.
#[derive(Debug)]
pub struct Sums {
    /// From when on: later than was asked for where what was before may be forgotten.
    pub from: Timestamp,
    /// By time and then by group.
    pub rows: Vec<Sum>,
}

/// The sums of one step and group; what was not grouped by is empty.
#[derive(Debug)]
pub struct Sum {
    /// The start of the step.
    pub start: Timestamp,
    /// The key; empty for requests without one.
    pub key: Arc<str>,
    /// The route's pattern.
    pub endpoint: Arc<str>,
    /// The status.
    pub status: u16,
    /// The model; empty for requests without one.
    pub model: Arc<str>,
    /// What was counted.
    pub figures: Figures,
    /// How many of the requests were errors.
    pub errors: u64,
}

/// The owner that stands for all keys together, and requests without one.
const EVERYBODY: i64 = 0;

impl Step {
    /// Every step.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Returns how long a step is.
    pub const fn length(self) -> Duration {
        match self {
            Self::Minute => Duration::from_secs(60),
            Self::Hour => Duration::from_secs(3_600),
            Self::Day => Duration::from_secs(86_400),
        }
    }

    /// Returns the tier that it is read from.
    pub const fn tier(self) -> Tier {
        match self {
            Self::Minute => Tier::Minute,
            Self::Hour => Tier::Quarter,
            Self::Day => Tier::Day,
        }
    }
}

impl Tier {
    /// Every tier, the finest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Quarter, Self::Day];

    /// Returns how long each of its steps is, in seconds.
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Quarter => 900,
            Self::Day => 86_400,
        }
    }

    /// Returns the start of the step that the point lies in, in seconds since the epoch.
    const fn start_of(self, seconds: i64) -> i64 {
        seconds.div_euclid(self.seconds()) * self.seconds()
    }
}
