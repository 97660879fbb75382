//! What an `Idempotency-Key` was used for.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};

use crate::domain::time::Timestamp;

/// How long an `Idempotency-Key` is remembered.
pub const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// A request that an `Idempotency-Key` was used for.
#[derive(Debug)]
pub struct Used {
    /// The SHA-256 of what was asked.
    pub fingerprint: [u8; 32],
    /// The id of what was made or changed.
    pub made: String,
}

/// Returns what the `Idempotency-Key` with this digest was used for since the given time.
pub fn find(connection: &Connection, digest: &[u8; 32], since: Timestamp) -> rusqlite::Result<Option<Used>> {
    connection
        .prepare_cached("SELECT fingerprint, made FROM idempotency WHERE digest = ?1 AND created_at >= ?2")?
        .query_row((digest, since.as_millis()), |row| {
            Ok(Used { fingerprint: row.get("fingerprint")?, made: row.get("made")? })
        })
        .optional()
}

/// Notes what an `Idempotency-Key` was used for.
pub fn insert(
    connection: &Connection,
    digest: &[u8; 32],
    used: &Used,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO idempotency (digest, fingerprint, made, created_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((digest, used.fingerprint, &used.made, now.as_millis()))
        .map(drop)
}

/// Forgets at most so many that were used before the given time; returns how many.
pub fn delete_before(connection: &Connection, time: Timestamp, most: usize) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM idempotency WHERE digest IN (
                 SELECT digest FROM idempotency WHERE created_at < ?1 LIMIT ?2)",
        )?
        .execute((time.as_millis(), super::rows(most)))
}
