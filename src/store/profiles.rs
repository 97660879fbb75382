//! How each key was used, day by day.

use rusqlite::Connection;

use super::column;
use crate::domain::id::KeyId;

/// How a key was used on a day on which it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Days since the epoch, in UTC.
    pub day: i64,
    /// Bit 0 is the first hour with a request in it, bit 23 the last.
    pub hours: u32,
    /// The most requests in a quarter of an hour.
    pub busiest_quarter: u64,
}

/// Returns the key's days from `from` on and before `before`, the latest first.
pub fn of(connection: &Connection, key: KeyId, from: i64, before: i64) -> rusqlite::Result<Vec<Profile>> {
    connection
        .prepare_cached(
            "SELECT day, hours, busiest_quarter
             FROM profiles
             WHERE key_id = ?1 AND day >= ?2 AND day < ?3 AND requests > 0
             ORDER BY day DESC",
        )?
        .query_map((key, from, before), |row| {
            Ok(Profile {
                day: row.get("day")?,
                hours: row.get("hours")?,
                busiest_quarter: column::count(row, "busiest_quarter")?,
            })
        })?
        .collect()
}
