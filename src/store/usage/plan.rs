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
    // From this midnight on quarters take over.
    let midnight = if quarters == i64::MIN { quarters } else { Tier::Day.start_of(quarters + DAY - 1) };
    let first = if midnight <= days {
        first_whole_step(query, quarters)
    } else if days == i64::MIN {
        query.from
    } else {
        query.offset.floor(Timestamp::from_seconds(days + DAY / 2), query.step.length())
    };
    let from = clamp(query, first);
    let (start, end) = (from.as_seconds(), query.to.as_seconds());
    let of_days = start - DAY / 2..(end - DAY / 2).min(midnight);
    let of_quarters = start.max(midnight)..end;
    let parts =
        [(Tier::Day, of_days), (Tier::Quarter, of_quarters)].map(|(tier, starts)| Part { tier, starts });
    Plan { from, parts: parts.into_iter().filter(|part| !part.starts.is_empty()).collect() }
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
