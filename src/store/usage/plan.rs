//! Which rows make up what was asked for.

use std::ops::Range;

use super::since::Since;
use super::{Query, Step, Tier};
use crate::domain::time::Timestamp;

/// What to read. Each row counts in the step that its middle lies in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// From when on something is read.
    pub from: Timestamp,
    pub parts: Vec<Part>,
}

/// Rows of one tier, from one start to before another.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub tier: Tier,
    pub starts: Range<i64>,
}

const DAY: i64 = Tier::Day.seconds();

/// Returns what to read for a query.
pub(super) fn plan(query: &Query, since: Since) -> Plan {
    if query.step == Step::Day && !query.offset.is_utc() {
        return days_elsewhere(query, since);
    }
    let tier = query.step.tier();
    let from = clamp(query, first_whole_step(query, since.of(tier)));
    Plan { from, parts: vec![Part { tier, starts: from.as_seconds()..query.to.as_seconds() }] }
}

/// Days of another offset are made of quarters as far back as those are whole, and before that of UTC days, each in
/// the local day that holds its noon.
fn days_elsewhere(query: &Query, since: Since) -> Plan {
    let (quarters, days) = (since.of(Tier::Quarter), since.of(Tier::Day));
    let (midnight, first) = if quarters <= days {
        (i64::MIN, first_whole_step(query, quarters))
    } else {
        (Tier::Day.start_of(quarters + DAY - 1), first_local_day(query, days))
    };
    let from = clamp(query, first);
    let (start, end) = (from.as_seconds(), query.to.as_seconds());
    // From this midnight on quarters take over.
    let of_days = start - DAY / 2..(end - DAY / 2).min(midnight);
    let of_quarters = start.max(midnight)..end;
    let parts =
        [(Tier::Day, of_days), (Tier::Quarter, of_quarters)].map(|(tier, starts)| Part { tier, starts });
    Plan { from, parts: parts.into_iter().filter(|part| !part.starts.is_empty()).collect() }
}

/// Returns the start of the local day that holds the noon of the first UTC day that is whole.
fn first_local_day(query: &Query, since: i64) -> Timestamp {
    if since == i64::MIN {
        return query.from;
    }
    query.offset.floor(Timestamp::from_seconds(since + DAY / 2), query.step.length())
}

fn first_whole_step(query: &Query, since: i64) -> Timestamp {
    if since == i64::MIN {
        return query.from;
    }
    query.offset.ceil(Timestamp::from_seconds(since), query.step.length())
}

/// Returns the later one of what was asked for and what is there, within what was asked for.
fn clamp(query: &Query, first: Timestamp) -> Timestamp {
    query.from.max(first).min(query.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: i64 = i64::MIN;
    /// A midnight.
    const ZERO: i64 = 20_000 * DAY;

    #[test]
    fn days_of_another_offset_are_read_from_quarters_as_far_as_those_are_whole() {
        let hour = 3_600;
        let india = DAY - 5 * hour - hour / 2;
        let cases = [
            // offset, since (quarter, day), from what on, days read, quarters read; in seconds from the midnight on
            ("Z", [NEVER, NEVER], -10 * DAY, Some((-10 * DAY, 10 * DAY)), None),
            ("Z", [NEVER, 3 * DAY], 3 * DAY, Some((3 * DAY, 10 * DAY)), None),
            ("+05:30", [NEVER, NEVER], -11 * DAY + india, None, Some((-11 * DAY + india, 9 * DAY + india))),
            // Quarters are whole from some time within the third day on.
            (
                "+05:30",
                [2 * DAY + 900, NEVER],
                -11 * DAY + india,
                Some((-11 * DAY + india - DAY / 2, 3 * DAY)),
                Some((3 * DAY, 9 * DAY + india)),
            ),
            // Days are whole from the second day on, whose noon is in its own local day.
            (
                "+05:30",
                [3 * DAY, DAY],
                india,
                Some((india - DAY / 2, 3 * DAY)),
                Some((3 * DAY, 9 * DAY + india)),
            ),
            // Quarters go back further than days: only they are read, from the first whole local day on.
            ("+05:30", [900, 3 * DAY], india, None, Some((india, 9 * DAY + india))),
            // All that was asked for was before what is whole.
            ("Z", [NEVER, 30 * DAY], 10 * DAY, None, None),
        ];
        for (offset, [quarter, day], from, days, quarters) in cases {
            let offset: crate::domain::offset::Offset = offset.parse().unwrap();
            let at = |seconds: i64| Timestamp::from_seconds(ZERO + seconds);
            let length = Step::Day.length();
            let (start, end) = (offset.floor(at(-10 * DAY), length), offset.floor(at(10 * DAY), length));
            let (key, groups) = (None, Vec::new());
            let query = Query { key, from: start, to: end, step: Step::Day, offset, groups };
            let absolute = |since: i64| if since == NEVER { since } else { ZERO + since };
            let found = plan(&query, Since::new([NEVER, absolute(quarter), absolute(day)]));
            let part = |tier| {
                let part = found.parts.iter().find(|part| part.tier == tier && !part.starts.is_empty());
                part.map(|part| (part.starts.start - ZERO, part.starts.end - ZERO))
            };
            assert_eq!(found.from, at(from), "{found:?}");
            assert_eq!((part(Tier::Day), part(Tier::Quarter)), (days, quarters), "{found:?}");
        }
    }
}
