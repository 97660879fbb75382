//! Points in time, as they are named on the command line.

use std::str::FromStr;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::time::{Timestamp, parse_duration};

/// A point in time: RFC 3339, or so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    At(Timestamp),
    Ago(Duration),
}

/// Text that is neither.
#[derive(Debug, thiserror::Error)]
#[error("neither a time such as 2027-01-31T12:00:00Z nor a length of time ago such as 7d, 24h or 15m")]
pub(super) struct NoMoment;

impl FromStr for Moment {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        let ago = parse_duration(text).map(Self::Ago);
        ago.or_else(|_| Timestamp::parse(text).map(Self::At)).map_err(|_| NoMoment)
    }
}

impl Moment {
    /// Returns the point in time.
    pub(super) fn resolve(self) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(length) => Clock::System.now().wall.before(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_so_long_ago() {
        let week = Duration::from_secs(7 * 86_400);
        assert_eq!("7d".parse::<Moment>().unwrap(), Moment::Ago(week));
        let time = Timestamp::parse("2026-05-01T10:00:00Z").unwrap();
        assert_eq!("2026-05-01T12:00:00+02:00".parse::<Moment>().unwrap().resolve(), time);
        for text in ["", "yesterday", "7", "2026-05-01", "-7d"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
