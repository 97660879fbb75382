//! The audit log: append-only, each row with the digest of the one before.

mod reading;

use rusqlite::{Connection, OptionalExtension as _};

use self::reading::Reading;
use super::column;
use crate::domain::audit::{ACTIONS, Change, Row};
use crate::domain::time::Timestamp;

/// A row with its place in the chain.
#[derive(Debug)]
pub struct Chained {
    /// Its number, from 1 on.
    pub number: i64,
    /// The row; where somebody else wrote it, as far as it can be read.
    pub row: Row,
    /// What was kept as its digest.
    pub digest: Vec<u8>,
    /// Whether each column has something such as the server writes.
    pub is_sound: bool,
}

/// Which rows to list.
#[derive(Debug, Default)]
pub struct Filter {
    /// Only rows before the one with this id.
    pub after: Option<String>,
    /// Only changes of this kind.
    pub action: Option<String>,
    /// Only changes to this.
    pub target: Option<String>,
    /// At most this many.
    pub limit: u32,
}

/// Appends a change to the chain, under the given id.
pub fn append(connection: &Connection, id: String, change: Change) -> rusqlite::Result<()> {
    debug_assert!(ACTIONS.contains(&change.action), "{} can be asked for", change.action);
    // Whoever spoilt the last row's digest cannot keep changes from being noted: zeros stand for it.
    let previous_digest = connection
        .prepare_cached("SELECT digest FROM audit ORDER BY sequence DESC LIMIT 1")?
        .query_row([], |row| Reading::of(row).value("digest"))
        .optional()?
        .unwrap_or_default();
    let (uid, pid) = change.actor.process();
    let row = Row {
        id,
        at: change.at,
        via: change.actor.via().to_owned(),
        uid,
        pid,
        action: change.action.to_owned(),
        target: change.target,
        before: change.before.map(|value| value.to_string()),
        after: change.after.map(|value| value.to_string()),
        previous_digest,
    };
    insert(connection, &row)
}

fn insert(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO audit (id, at, via, uid, pid, action, target, before, after, previous_digest, digest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute((
            &row.id,
            row.at.as_millis(),
            &row.via,
            row.uid,
            row.pid,
            &row.action,
            &row.target,
            &row.before,
            &row.after,
            row.previous_digest,
            row.digest(),
        ))
        .map(drop)
}

/// Returns the newest rows that the filter lets through, newest first.
pub fn list(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<Chained>> {
    // Said so, it is found by its index.
    let target = if filter.target.is_some() { "target = ?3" } else { "?3 IS NULL" };
    let sql = format!(
        "SELECT *
         FROM audit
         WHERE (?1 IS NULL OR sequence < (SELECT sequence FROM audit WHERE id = ?1))
           AND (?2 IS NULL OR action = ?2)
           AND {target}
         ORDER BY sequence DESC
         LIMIT ?4"
    );
    connection
        .prepare_cached(&sql)?
        .query_map((&filter.after, &filter.action, &filter.target, filter.limit), chained)?
        .collect()
}

/// Returns the oldest rows from one number up to another, both included, oldest first.
pub fn slice(connection: &Connection, from: i64, until: i64, most: u32) -> rusqlite::Result<Vec<Chained>> {
    connection
        .prepare_cached(
            "SELECT *
             FROM audit
             WHERE sequence >= ?1 AND sequence <= ?2
             ORDER BY sequence
             LIMIT ?3",
        )?
        .query_map((from, until, most), chained)?
        .collect()
}

/// Returns the number of the last row, and how many rows there are.
pub fn extent(connection: &Connection) -> rusqlite::Result<(i64, u64)> {
    connection
        .prepare_cached("SELECT coalesce(max(sequence), 0) AS last, count(*) AS count FROM audit")?
        .query_row([], |row| Ok((row.get("last")?, column::count(row, "count")?)))
}

/// Returns the last row, and the number of the last one that was ever written.
pub fn head(connection: &Connection) -> rusqlite::Result<(Option<Chained>, i64)> {
    let last = connection
        .prepare_cached("SELECT * FROM audit ORDER BY sequence DESC LIMIT 1")?
        .query_row([], chained)
        .optional()?;
    // SQLite counts them for AUTOINCREMENT, in a table that takes anything.
    let written = connection
        .prepare_cached("SELECT CAST(seq AS INTEGER) FROM sqlite_sequence WHERE name = 'audit'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok((last, written.unwrap_or(0)))
}

/// Tells whether there is a row with the id.
pub fn exists(connection: &Connection, id: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM audit WHERE id = ?1)")?
        .query_row([id], |row| row.get(0))
}

impl Chained {
    /// Returns the row's digest, as it was kept; nothing where that cannot be read, or any other part of the row.
    pub fn seal(&self) -> Option<[u8; 32]> {
        self.digest.as_slice().try_into().ok().filter(|_| self.is_sound)
    }
}

fn chained(row: &rusqlite::Row<'_>) -> rusqlite::Result<Chained> {
    let mut reading = Reading::of(row);
    let kept = Row {
        id: reading.text("id")?,
        at: Timestamp::from_millis(reading.value("at")?),
        via: reading.text("via")?,
        uid: reading.value("uid")?,
        pid: reading.value("pid")?,
        action: reading.text("action")?,
        target: reading.text("target")?,
        before: reading.optional_text("before")?,
        after: reading.optional_text("after")?,
        previous_digest: reading.value("previous_digest")?,
    };
    let digest = reading.value("digest")?;
    Ok(Chained { number: row.get("sequence")?, row: kept, digest, is_sound: reading.is_sound })
}
