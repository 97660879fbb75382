//! Offsets from UTC, in which hours and days may begin.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::time::Timestamp;

const QUARTER: i64 = 900;
const MOST: i64 = 14 * 3_600;

/// An offset from UTC of whole quarter hours, at most 14 hours either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offset {
    seconds: i64,
}

/// Text that is no such offset.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be Z, UTC or an offset of whole quarter hours from -14:00 to +14:00, such as +05:30")]
pub struct InvalidOffset;

impl Offset {
    /// No offset.
    pub const UTC: Self = Self { seconds: 0 };

    /// Tells whether there is no offset.
    pub const fn is_utc(self) -> bool {
        self.seconds == 0
    }

    /// Returns the start of the step (whole seconds) that the point lies in, steps beginning at the offset's midnight.
    #[must_use]
    pub const fn floor(self, time: Timestamp, step: Duration) -> Timestamp {
        let shift = self.seconds * 1_000;
        let local = Timestamp::from_millis(time.as_millis().saturating_add(shift)).floor(step);
        Timestamp::from_millis(local.as_millis() - shift)
    }

    /// Returns the start of the first such step that begins at the point or later.
    #[must_use]
    pub const fn ceil(self, time: Timestamp, step: Duration) -> Timestamp {
        let almost = (step.as_secs() * 1_000).cast_signed() - 1;
        self.floor(Timestamp::from_millis(time.as_millis().saturating_add(almost)), step)
    }

    /// Writes a point in time to the minute, as it is on a clock with this offset: `3 Oct 2026, 07:05`.
    pub fn write_minute(self, time: Timestamp) -> String {
        self.on_the_clock(time).strftime("%-d %b %Y, %H:%M").to_string()
    }

    /// Writes the day that a point in time lies in, with this offset: `3 Oct`.
    pub fn write_day(self, time: Timestamp) -> String {
        self.on_the_clock(time).strftime("%-d %b").to_string()
    }

    /// Writes the time of day, with this offset: `07:05`.
    pub fn write_time_of_day(self, time: Timestamp) -> String {
        self.on_the_clock(time).strftime("%H:%M").to_string()
    }

    /// Writes a point in time as a form's field for one holds it, on a clock with this offset: `2026-10-03T07:05`
    /// (HTML, local date and time).
    pub fn write_for_field(self, time: Timestamp) -> String {
        self.on_the_clock(time).strftime("%Y-%m-%dT%H:%M").to_string()
    }

    fn on_the_clock(self, time: Timestamp) -> jiff::civil::DateTime {
        let shifted = time.as_millis().saturating_add(self.seconds * 1_000);
        let end = if shifted < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        let shifted = jiff::Timestamp::from_millisecond(shifted).unwrap_or(end);
        jiff::tz::Offset::UTC.to_datetime(shifted)
    }

    /// Writes a point in time in RFC 3339 with this offset, `Z` where there is none.
    pub fn write(self, time: Timestamp) -> String {
        let offset =
            i32::try_from(self.seconds).ok().and_then(|seconds| jiff::tz::Offset::from_seconds(seconds).ok());
        match (offset, jiff::Timestamp::from_millisecond(time.as_millis())) {
            (Some(offset), Ok(time)) if !self.is_utc() => time.display_with_offset(offset).to_string(),
            _ => time.to_string(),
        }
    }
}

impl fmt::Display for Offset {
    /// Writes `+05:30`, or `Z` where there is no offset.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_utc() {
            return f.write_str("Z");
        }
        let (sign, size) = (if self.seconds < 0 { '-' } else { '+' }, self.seconds.abs());
        write!(f, "{sign}{:02}:{:02}", size / 3_600, size % 3_600 / 60)
    }
}

impl FromStr for Offset {
    type Err = InvalidOffset;

    fn from_str(text: &str) -> Result<Self, InvalidOffset> {
        if matches!(text, "Z" | "UTC") {
            return Ok(Self::UTC);
        }
        let (sign, digits) = match text.split_at_checked(1) {
            Some(("+", digits)) => (1, digits),
            Some(("-", digits)) => (-1, digits),
            _ => return Err(InvalidOffset),
        };
        let two = |digits: &str| {
            let plain = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
            plain.then(|| digits.parse::<i64>().ok()).flatten().ok_or(InvalidOffset)
        };
        let (hours, minutes) = digits.split_once(':').ok_or(InvalidOffset)?;
        let (hours, minutes) = (two(hours)?, two(minutes)?);
        let seconds = hours * 3_600 + minutes * 60;
        let fits = minutes < 60 && seconds % QUARTER == 0 && seconds <= MOST;
        if fits { Ok(Self { seconds: sign * seconds }) } else { Err(InvalidOffset) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn times_are_written_as_a_clock_there_shows_them() {
        let at = time("2026-10-02T20:05:59Z");
        let cases =
            [("Z", "2 Oct 2026, 20:05"), ("+05:30", "3 Oct 2026, 01:35"), ("-03:30", "2 Oct 2026, 16:35")];
        for (offset, written) in cases {
            let parsed: Offset = offset.parse().unwrap();
            assert_eq!((parsed.write_minute(at).as_str(), parsed.to_string().as_str()), (written, offset));
        }
        let east: Offset = "+05:30".parse().unwrap();
        assert_eq!((east.write_day(at), east.write_time_of_day(at)), ("3 Oct".into(), "01:35".into()));
        assert_eq!(east.write_for_field(at), "2026-10-03T01:35");
        east.write_minute(Timestamp::from_millis(i64::MAX));
        east.write_minute(Timestamp::from_millis(i64::MIN));
    }

    #[test]
    fn offsets_are_whole_quarter_hours_within_fourteen_hours() {
        let cases = [
            ("Z", Some(0)),
            ("UTC", Some(0)),
            ("+00:00", Some(0)),
            ("-00:00", Some(0)),
            ("+05:30", Some(19_800)),
            ("+05:45", Some(20_700)),
            ("-03:30", Some(-12_600)),
            ("+14:00", Some(50_400)),
            ("-14:00", Some(-50_400)),
            ("+14:15", None),
            ("+05:31", None),
            ("+05:60", None),
            ("+5:30", None),
            ("+0530", None),
            ("05:30", None),
            ("++5:30", None),
            ("+05:+0", None),
            ("Europe/Berlin", None),
            ("z", None),
            ("", None),
            ("ä", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(text.parse::<Offset>().ok().map(|offset| offset.seconds), seconds, "{text}");
        }
    }

    #[test]
    fn days_begin_at_the_midnight_of_the_offset() {
        let cases = [
            // offset   time                    start of its day             and of the next one
            ("Z", "2026-05-01T10:17:00Z", "2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z"),
            ("+05:30", "2026-05-01T18:29:59Z", "2026-05-01T00:00:00+05:30", "2026-05-02T00:00:00+05:30"),
            ("+05:30", "2026-05-01T18:30:00Z", "2026-05-02T00:00:00+05:30", "2026-05-02T00:00:00+05:30"),
            ("-08:00", "2026-05-01T07:59:00Z", "2026-04-30T00:00:00-08:00", "2026-05-01T00:00:00-08:00"),
            ("+12:45", "1969-12-31T00:00:00Z", "1969-12-31T00:00:00+12:45", "1970-01-01T00:00:00+12:45"),
        ];
        for (offset, at, start, next) in cases {
            let offset: Offset = offset.parse().unwrap();
            assert_eq!(offset.write(offset.floor(time(at), DAY)), start, "{at}");
            assert_eq!(offset.write(offset.ceil(time(at), DAY)), next, "{at}");
        }
    }
}
