//! Points in time and lengths of time, as people write them.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use jiff::{SpanRelativeTo, Unit};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(
    /// Counted from before all others, so that none is zero and an optional one takes no more room.
    NonZeroU64,
);

/// Text that is no point in time or no length of time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTime {
    /// Not RFC 3339.
    #[error("`{0}` is no RFC 3339 time such as 2027-01-31T12:00:00Z, up to 9999-12-30")]
    Timestamp(String),
    /// Not a length of time.
    #[error("`{0}` is no length of time such as 90d, 24h or 15m")]
    Duration(String),
}

impl Timestamp {
    /// The first and the last time that can be written as RFC 3339, in the years 0000 and 9999.
    const MIN: i64 = -62_167_219_200_000;
    const MAX: i64 = 253_402_207_200_000;

    /// Returns the point that many milliseconds after the epoch; the very first there could be is the second.
    pub const fn from_millis(millis: i64) -> Self {
        match NonZeroU64::new(millis.wrapping_sub(i64::MIN).cast_unsigned()) {
            Some(since_first) => Self(since_first),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// Returns the point that many seconds after the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self::from_millis(seconds.saturating_mul(1_000))
    }

    /// Returns the milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0.get().cast_signed().wrapping_add(i64::MIN)
    }

    /// Returns the whole seconds since the epoch.
    pub const fn as_seconds(self) -> i64 {
        self.as_millis().div_euclid(1_000)
    }

    /// Returns the point that much later, at most the last one that can be written.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.as_millis().saturating_add(millis).min(Self::MAX))
    }

    /// Returns the point that much earlier, at least the first one that can be written.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.as_millis().saturating_sub(millis).max(Self::MIN))
    }

    /// Returns the time from an earlier point to this one, zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// Returns the start of the step (whole seconds) that the point lies in, counted from the epoch.
    #[must_use]
    pub const fn floor(self, step: Duration) -> Self {
        let step = (step.as_secs() * 1_000).cast_signed();
        Self::from_millis(self.as_millis().div_euclid(step) * step)
    }

    /// Returns the day that the point lies in, counted from the epoch, in UTC.
    pub const fn day(self) -> i64 {
        self.as_seconds().div_euclid(86_400)
    }

    /// Returns the point as it stands in names of files, in UTC: `2026-11-23-181616`.
    pub fn in_file_name(self) -> String {
        let seconds = Self::from_seconds(self.as_seconds()).to_string();
        seconds.trim_end_matches('Z').replace(':', "").replace('T', "-")
    }

    /// Returns the point that an RFC 3339 text names, whatever its offset.
    pub fn parse(text: &str) -> Result<Self, InvalidTime> {
        text.parse::<jiff::Timestamp>()
            .ok()
            .map(jiff::Timestamp::as_millisecond)
            .filter(|millis| (Self::MIN..=Self::MAX).contains(millis))
            .map(Self::from_millis)
            .ok_or_else(|| InvalidTime::Timestamp(super::token::redact(text).into_owned()))
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC, milliseconds only where there are some. A point that no calendar has, which only
    /// somebody else can have put into the database, is written as the first or the last that one has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.as_millis() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        let time = jiff::Timestamp::from_millisecond(self.as_millis()).unwrap_or(end);
        fmt::Display::fmt(&time, f)
    }
}

/// Returns the length of time that the text names: `90d`, `24h`, `1h30m`. A day is 24 hours.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidTime> {
    let invalid = || InvalidTime::Duration(super::token::redact(text).into_owned());
    let span: jiff::Span = text.parse().map_err(|_| invalid())?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(invalid());
    }
    let seconds = span.total((Unit::Second, SpanRelativeTo::days_are_24_hours())).map_err(|_| invalid())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid())
}

/// Returns the length of time as people write it, in whole seconds: `90d`, `24h`, `1h30m`, `0s`.
pub fn format_duration(length: Duration) -> String {
    const DAY: u64 = 86_400;
    let mut left = length.as_secs();
    let mut text = String::new();
    for (unit, seconds) in [("d", DAY), ("h", 3_600), ("m", 60), ("s", 1)] {
        // One day is 24 hours to most.
        let count = if seconds == DAY && left < 2 * DAY { 0 } else { left / seconds };
        left -= count * seconds;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(unit);
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_written_as_they_are_read() {
        for text in ["90d", "24h", "47h", "2d", "1h30m", "5m", "2d1h1m1s", "10s", "0s"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn times_are_read_with_any_offset_and_written_in_utc() {
        let cases = [
            ("2027-01-31T12:00:00Z", Some("2027-01-31T12:00:00Z")),
            ("2027-01-31T12:00:00+05:30", Some("2027-01-31T06:30:00Z")),
            ("2027-01-31t12:00:00.25z", Some("2027-01-31T12:00:00.25Z")),
            ("2027-01-31", None),
            ("2027-01-31T12:00:00", None),
            ("tomorrow", None),
        ];
        for (text, expected) in cases {
            let written = Timestamp::parse(text).ok().map(|time| time.to_string());
            assert_eq!(written.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        let cases = [
            ("90d", Some(90 * 86_400)),
            ("24h", Some(86_400)),
            ("1h30m", Some(5_400)),
            ("15m", Some(900)),
            ("2w", Some(14 * 86_400)),
            ("0s", Some(0)),
            ("-1h", None),
            ("1y", None),
            ("90", None),
            ("soon", None),
            ("", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse_duration(text).ok().map(|d| d.as_secs()), seconds, "{text}");
        }
    }

    #[test]
    fn the_ends_of_time_can_still_be_written() {
        let end = Timestamp::from_millis(0).after(Duration::MAX);
        assert!(end.to_string().starts_with("9999-12-30"), "{end}");
        let start = Timestamp::from_millis(0).before(Duration::MAX);
        assert_eq!(start.floor(Duration::from_secs(86_400)).to_string(), "0000-01-01T00:00:00Z");
        assert!(Timestamp::parse("-000001-12-31T23:59:59Z").is_err());
        assert!(Timestamp::from_millis(i64::MAX).to_string().starts_with("9999-12-30"));
        assert!(Timestamp::from_millis(i64::MIN).to_string().starts_with("-009999-01-02"));
    }

    #[test]
    fn a_name_of_a_file_holds_no_colon() {
        assert_eq!(Timestamp::from_millis(1_795_457_776_500).in_file_name(), "2026-11-23-181616");
    }

    #[test]
    fn times_are_in_their_order_and_an_optional_one_takes_no_more_room() {
        let times = [i64::MIN + 1, -1, 0, 1, i64::MAX].map(Timestamp::from_millis);
        assert!(times.is_sorted());
        assert_eq!(times.map(Timestamp::as_millis), [i64::MIN + 1, -1, 0, 1, i64::MAX]);
        assert_eq!(size_of::<Option<Timestamp>>(), 8);
    }

    #[test]
    fn steps_begin_at_the_epoch_and_before_it_too() {
        let minute = Duration::from_secs(60);
        assert_eq!(Timestamp::from_millis(61_000).floor(minute), Timestamp::from_millis(60_000));
        assert_eq!(Timestamp::from_millis(-1).floor(minute), Timestamp::from_millis(-60_000));
    }
}
