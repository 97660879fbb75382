//! Signatures that were accepted, each once.

use rusqlite::Connection;

use super::column;
use crate::domain::id::KeyId;
use crate::domain::signature::Seal;
use crate::domain::time::Timestamp;

/// Keeps a signature until it is too old to be accepted again.
pub fn insert(
    connection: &Connection,
    key: KeyId,
    seal: &Seal,
    expires_at: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO seals (key_id, seal, expires_at) VALUES (?1, ?2, ?3)")?
        .execute((key.to_string(), seal, expires_at.as_millis()))
        .map(drop)
}

/// Returns every signature kept, with the key it was made with.
pub fn all(connection: &Connection) -> rusqlite::Result<Vec<(KeyId, Seal)>> {
    connection
        .prepare_cached("SELECT key_id, seal FROM seals")?
        .query_map([], |row| Ok((column::text(row, "key_id")?, row.get("seal")?)))?
        .collect()
}

/// Forgets what is too old to be accepted again.
pub fn delete_expired(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM seals WHERE expires_at < ?1")?.execute([now.as_millis()]).map(drop)
}
