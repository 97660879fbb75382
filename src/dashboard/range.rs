//! How far back usage is looked at, and in which steps.

use std::time::Duration;

use crate::admin::usage::UsageQuery;
use crate::domain::offset::Offset;
use crate::domain::time::Timestamp;

/// How far back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Range {
    pub(super) const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// Returns the range that a query string names; the day where it names none.
    pub(super) fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|range| range.name() == name).unwrap_or(Self::Day)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Hour => "Last hour",
            Self::Day => "Last 24 hours",
            Self::Week => "Last 7 days",
            Self::Month => "Last 30 days",
            Self::Year => "Last year",
        }
    }

    /// Returns how long one step is.
    pub(super) const fn step(self) -> Duration {
        Duration::from_secs(match self {
            Self::Hour => 60,
            Self::Day | Self::Week => 3_600,
            Self::Month | Self::Year => 86_400,
        })
    }

    const fn step_name(self) -> &'static str {
        match self {
            Self::Hour => "minute",
            Self::Day | Self::Week => "hour",
            Self::Month | Self::Year => "day",
        }
    }

    /// Returns how many steps there are.
    pub(super) const fn steps(self) -> u32 {
        match self {
            Self::Hour => 60,
            Self::Day => 24,
            Self::Week => 168,
            Self::Month => 30,
            Self::Year => 365,
        }
    }

    /// Returns the question for usage in it: as many whole steps as it has, the one that is not over yet among them.
    pub(super) fn query(self, zone: Offset, now: Timestamp) -> UsageQuery {
        let first = zone.floor(now, self.step()).before(self.step() * (self.steps() - 1));
        UsageQuery {
            from: Some(first.to_string()),
            to: Some(now.to_string()),
            step: Some(self.step_name().to_owned()),
            tz: Some(zone.to_string()),
            ..UsageQuery::default()
        }
    }

    /// Writes where a step is on the axis.
    pub(super) fn label_of(self, step: Timestamp, zone: Offset) -> String {
        match self {
            Self::Hour | Self::Day => zone.write_time_of_day(step),
            Self::Week | Self::Month | Self::Year => zone.write_day(step),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_with_the_step_that_is_not_over_yet() {
        let now = Timestamp::parse("2026-10-03T07:05:30Z").unwrap();
        let zone: Offset = "+05:30".parse().unwrap();
        let from = |range: Range| range.query(zone, now).from.unwrap();
        assert_eq!(from(Range::Hour), "2026-10-03T06:06:00Z");
        assert_eq!(from(Range::Day), "2026-10-02T07:30:00Z");
        assert_eq!(from(Range::Month), "2026-09-03T18:30:00Z");
        assert_eq!(Range::named("month"), Range::Month);
        assert_eq!(Range::named("century"), Range::Day);
    }
}
