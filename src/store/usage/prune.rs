//! Forgets what is past its time.

use rusqlite::Connection;

use super::{Step, since};
use crate::domain::time::Timestamp;

/// Forgets at most so many rows of usage told apart by the step that ended before the given time, the oldest first;
/// returns how many. From when on the rest is whole is noted with it.
pub fn delete_before(
    connection: &Connection,
    step: Step,
    time: Timestamp,
    most: usize,
) -> rusqlite::Result<usize> {
    let tier = step.tier();
    let (mut count, mut last) = (0, None);
    {
        let mut statement = connection.prepare_cached(
            "DELETE FROM usage WHERE (step, start, owner, series) IN (
                 SELECT step, start, owner, series FROM usage
                 WHERE step = ?1 AND start < ?2 ORDER BY step, start, owner, series LIMIT ?3)
             RETURNING start",
        )?;
        let before = time.as_seconds() - tier.seconds();
        let mut rows = statement.query((tier.seconds(), before, super::super::rows(most)))?;
        while let Some(row) = rows.next()? {
            (count, last) = (count + 1, last.max(Some(row.get::<_, i64>(0)?)));
        }
    }
    // Rows of the last start may be left: what is told of it would not be all.
    last.map_or(Ok(()), |last| since::forget(connection, tier, last + tier.seconds()))?;
    Ok(count)
}
