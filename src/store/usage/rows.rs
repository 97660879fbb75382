//! Rows of usage, and how figures stand in them.

use std::ops::Range;
use std::time::Duration;

use rusqlite::{Connection, Row, Statement};

use super::Tier;
use crate::domain::usage::Figures;

/// What is read of a row, in the order in which [`Found`] has it.
macro_rules! columns {
    () => {
        "start, owner, series, requests, latency_sum, latency_max, latencies, bytes_in, bytes_out, prompt_tokens,
         completion_tokens, estimated"
    };
}

/// A row as it was found.
pub(super) struct Found<'a>(&'a Row<'a>);

impl<'a> Found<'a> {
    pub(super) fn start(&self) -> rusqlite::Result<i64> {
        self.0.get(0)
    }

    pub(super) fn owner(&self) -> rusqlite::Result<i64> {
        self.0.get(1)
    }

    pub(super) fn series(&self) -> rusqlite::Result<i64> {
        self.0.get(2)
    }

    /// Returns the numbers behind the histogram's column and before it, in their order.
    pub(super) fn numbers(&self) -> rusqlite::Result<[u64; 8]> {
        let mut numbers = [0; 8];
        for (number, column) in numbers.iter_mut().zip([3, 4, 5, 7, 8, 9, 10, 11]) {
            *number = self.0.get::<_, i64>(column)?.cast_unsigned();
        }
        Ok(numbers)
    }

    pub(super) fn histogram(&self) -> rusqlite::Result<&'a [u8]> {
        Ok(self.0.get_ref(6)?.as_blob()?)
    }

    /// Adds the row's figures to others.
    pub(super) fn add_to(&self, figures: &mut Figures) -> rusqlite::Result<()> {
        let [requests, latency_sum, latency_max, bytes_in, bytes_out, prompt, completion, estimated] =
            self.numbers()?;
        figures.requests += requests;
        figures.latency_sum += Duration::from_micros(latency_sum);
        figures.latency_max = figures.latency_max.max(Duration::from_micros(latency_max));
        figures.latencies.merge_bytes(self.histogram()?);
        figures.bytes_in += bytes_in;
        figures.bytes_out += bytes_out;
        figures.tokens.prompt += prompt;
        figures.tokens.completion += completion;
        figures.estimated += estimated;
        Ok(())
    }
}

/// Hands out the rows of every key in a tier from one start to before another, by start, owner and series. The
/// rows of all keys together are left out unless they are asked for.
pub(super) fn of_keys(
    connection: &Connection,
    tier: Tier,
    starts: &Range<i64>,
    owners: Range<i64>,
    mut each: impl FnMut(Found<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM usage
          WHERE step = ?1 AND start >= ?2 AND start < ?3 AND owner >= ?4 AND owner < ?5
          ORDER BY step, start, owner, series"
    ))?;
    let mut rows = statement.query((tier.seconds(), starts.start, starts.end, owners.start, owners.end))?;
    while let Some(row) = rows.next()? {
        each(Found(row))?;
    }
    Ok(())
}

/// Hands out the rows of one owner likewise. They are sought start by start: what others did is not read.
pub(super) fn of_owner(
    connection: &Connection,
    tier: Tier,
    starts: &Range<i64>,
    owner: i64,
    mut each: impl FnMut(Found<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let Some(there) = starts_of(connection, tier)? else { return Ok(()) };
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM usage WHERE step = ?1 AND start = ?2 AND owner = ?3 ORDER BY step, start, owner, series"
    ))?;
    // The first that a step may start at.
    let mut start = tier.start_of(starts.start.max(there.start) + tier.seconds() - 1);
    while start < starts.end.min(there.end) {
        let mut rows = statement.query((tier.seconds(), start, owner))?;
        while let Some(row) = rows.next()? {
            each(Found(row))?;
        }
        start += tier.seconds();
    }
    Ok(())
}

/// Returns the range of the starts that a tier has rows of, if it has any.
pub(super) fn starts_of(connection: &Connection, tier: Tier) -> rusqlite::Result<Option<Range<i64>>> {
    let one = |mut statement: Statement<'_>| -> rusqlite::Result<Option<i64>> {
        let mut rows = statement.query([tier.seconds()])?;
        rows.next()?.map(|row| row.get(0)).transpose()
    };
    let first =
        one(connection.prepare("SELECT start FROM usage WHERE step = ?1 ORDER BY step, start LIMIT 1")?)?;
    let last = one(connection
        .prepare("SELECT start FROM usage WHERE step = ?1 ORDER BY step DESC, start DESC LIMIT 1")?)?;
    Ok(first.zip(last).map(|(first, last)| first..last + 1))
}

/// SQLite's integers are signed; a count past 2^63 would take longer than the machine lasts.
pub(super) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
