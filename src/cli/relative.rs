//! Points in time as seen from now: what people ask of a table.

use std::time::Duration;

use serde_json::Value;

use crate::clock::Clock;
use crate::domain::time::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Returns how long ago a field's time is, or how long it is until then; else what stands for none.
pub(super) fn field(object: &Value, field: &str, none: &str) -> String {
    let time = object[field].as_str().and_then(|text| Timestamp::parse(text).ok());
    time.map_or_else(|| none.to_owned(), |time| tell(time, Clock::System.now().wall))
}

/// Returns `5m ago`, or `in 90d`.
pub(super) fn tell(time: Timestamp, now: Timestamp) -> String {
    if time > now {
        format!("in {}", roughly(time.since(now)))
    } else {
        format!("{} ago", roughly(now.since(time)))
    }
}

/// Returns a length of time in the one unit that tells it best.
fn roughly(length: Duration) -> String {
    // What was to last for 90 days lasts for 90 days a second later too.
    let seconds = length.as_millis().div_ceil(1_000);
    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
    let in_unit = |unit: u64| (seconds + unit / 2) / unit;
    match seconds {
        0..100 => format!("{seconds}s"),
        100..6_000 => format!("{}m", in_unit(MINUTE)),
        6_000..172_800 => format!("{}h", in_unit(HOUR)),
        _ => format!("{}d", in_unit(DAY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_do() {
        let now = Timestamp::from_seconds(1_000_000_000);
        let cases = [
            (0, "0s ago"),
            (-42, "42s ago"),
            (-300, "5m ago"),
            (-3_600, "60m ago"),
            (-7_200, "2h ago"),
            (-86_400, "24h ago"),
            (-90 * 86_400, "90d ago"),
            (3, "in 3s"),
            (90 * 86_400 - 1, "in 90d"),
        ];
        for (seconds, told) in cases {
            let time = Timestamp::from_seconds(now.as_seconds() + seconds);
            assert_eq!(tell(time, now), told);
        }
    }
}
