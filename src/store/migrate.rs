//! Brings a database to the schema of this binary.

use rusqlite::{Connection, Transaction};

use super::usage;

/// The schema versions, oldest first. A shipped file is never edited.
const MIGRATIONS: [&str; 5] = [
    include_str!("../../sql/0001_init.sql"),
    include_str!("../../sql/0002_contexts_and_files.sql"),
    include_str!("../../sql/0003_usage.sql"),
    include_str!("../../sql/0004_watching.sql"),
    include_str!("../../sql/0005_usage_journal.sql"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_were_rotated_before_it_was_noted_when_still_tell_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        for migration in &MIGRATIONS[..2] {
            connection.execute_batch(migration).unwrap();
        }
        connection.pragma_update(None, "user_version", 2).unwrap();
        // Handed over: 1 as the audit log has it, though 2 is deleted; 3 when 4 was made; 5 to a key unknown.
        for (id, created_at, rotated_to) in [(1, 5, Some(2)), (3, 6, Some(4)), (4, 70, None), (5, 7, Some(9))]
        {
            connection
                .execute(
                    "INSERT INTO keys (id, digest, hint, name, enabled, scopes, plan, allowed_ips,
                         allowed_models, metadata, require_signature, created_at, rotated_to, allowance)
                     VALUES (?1, randomblob(32), '', '', 1, '', '', '[]', '[]', '{}', 0, ?2, ?3, '')",
                    (id.to_string(), created_at, rotated_to.map(|id: u32| id.to_string())),
                )
                .unwrap();
        }
        connection
            .execute(
                "INSERT INTO audit (id, at, via, action, target, previous_digest, digest)
                 VALUES ('a', 50, 'token', 'key.rotate', '1', zeroblob(32), zeroblob(32))",
                [],
            )
            .unwrap();
        run(&mut connection).unwrap();
        let mut statement = connection.prepare("SELECT rotated_at FROM keys ORDER BY id").unwrap();
        let times = statement.query_map([], |row| row.get(0)).unwrap();
        let times: Vec<Option<i64>> = times.map(Result::unwrap).collect();
        assert_eq!(times, [Some(50), Some(70), None, None]);
    }
}
