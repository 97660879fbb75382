//! What the server made for itself at first start.

use rusqlite::{Connection, OptionalExtension as _};

/// Returns the secret with the name, if there is one.
pub fn find(connection: &Connection, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT value FROM secrets WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

/// Keeps a new secret.
pub fn insert(connection: &Connection, name: &str, value: &[u8]) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO secrets (name, value) VALUES (?1, ?2)")?
        .execute((name, value))
        .map(drop)
}
