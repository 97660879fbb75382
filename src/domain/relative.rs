//! Points in time as seen from now.

use std::time::Duration;

use super::time::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Returns `5m ago`, or `in 90d`.
pub fn tell(time: Timestamp, now: Timestamp) -> String {
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
