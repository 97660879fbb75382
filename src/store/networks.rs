//! Where each key was used from.

use rusqlite::Connection;

use super::column;
use crate::domain::id::KeyId;
use crate::domain::place::Place;
use crate::domain::time::Timestamp;

/// Where a key was used from, and when first and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Where.
    pub place: Place,
    /// When first.
    pub first_at: Timestamp,
    /// When last, to the hour.
    pub last_at: Timestamp,
}

/// Returns where the key was used from.
pub fn of(connection: &Connection, key: KeyId) -> rusqlite::Result<Vec<Known>> {
    connection
        .prepare_cached("SELECT network, first_at, last_at FROM networks WHERE key_id = ?1")?
        .query_map([key], |row| {
            Ok(Known {
                place: column::text(row, "network")?,
                first_at: column::time(row, "first_at")?,
                last_at: column::time(row, "last_at")?,
            })
        })?
        .collect()
}

/// Notes that the key was used from there.
pub fn save(connection: &Connection, key: KeyId, known: &Known) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO networks (key_id, network, first_at, last_at)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET last_at = max(last_at, excluded.last_at)",
        )?
        .execute((key, known.place.to_string(), known.first_at.as_millis(), known.last_at.as_millis()))
        .map(drop)
}

/// Forgets at most so many that were last used before the given time; returns how many. The first of each key
/// tells since when it is used, and stays as long as the key.
pub fn delete_before(connection: &Connection, time: Timestamp, most: usize) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM networks WHERE (key_id, network) IN (
                 SELECT key_id, network
                 FROM networks AS old
                 WHERE last_at < ?1
                   AND (first_at > (SELECT min(first_at) FROM networks WHERE key_id = old.key_id)
                        OR NOT EXISTS (SELECT 1 FROM keys WHERE id = old.key_id))
                 LIMIT ?2)",
        )?
        .execute((time.as_millis(), super::rows(most)))
}
