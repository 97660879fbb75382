//! Brings a database to the schema of this binary.

use rusqlite::{Connection, Transaction};

use super::usage;

/// The schema versions, oldest first. A shipped file is never edited.
const MIGRATIONS: [&str; 4] = [
    include_str!("../../sql/0001_init.sql"),
    include_str!("../../sql/0002_contexts_and_files.sql"),
    include_str!("../../sql/0003_usage.sql"),
    include_str!("../../sql/0004_watching.sql"),
];

/// The newest schema that this binary knows.
#[expect(clippy::cast_possible_truncation, reason = "a handful")]
pub(super) const VERSION: u32 = MIGRATIONS.len() as u32;

/// "mcpd" in ASCII: SQLite's mark for the program that a database belongs to.
pub(super) const APPLICATION_ID: u32 = u32::from_be_bytes(*b"mcpd");

/// Returns the schema of a database; 0 for a new one.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Applies what is missing, all of it or nothing.
pub(super) fn run(connection: &mut Connection) -> rusqlite::Result<()> {
    usage::register_for_migration(connection)?;
    let transaction = connection.transaction()?;
    let current = version(&transaction)?;
    for migration in MIGRATIONS.iter().skip(current as usize) {
        transaction.execute_batch(migration)?;
    }
    mark(&transaction)?;
    transaction.commit()
}

fn mark(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)
}
