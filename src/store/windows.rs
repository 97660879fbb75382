//! What each allowance let through in its last 60 seconds.

use std::time::Duration;

use rusqlite::{Connection, Row};

use super::column;
use crate::clock::Now;
use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;
use crate::domain::window::Slice;

/// A window as it was kept.
#[derive(Debug)]
pub struct SavedWindow {
    /// The allowance, named after the first key of its line.
    pub allowance: KeyId,
    /// The boot that the steady times count from.
    pub boot: String,
    /// When it was kept.
    pub saved: Now,
    /// What was in it, oldest first.
    pub slices: Vec<Slice>,
}

const SLICE_BYTES: usize = 20;

/// Keeps a window, in place of what was kept of it before.
pub fn save(connection: &Connection, window: &SavedWindow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO windows (allowance, boot, saved_at, saved_steady, slices)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            window.allowance.to_string(),
            &window.boot,
            window.saved.wall.as_millis(),
            nanos(window.saved.steady),
            window.slices.iter().flat_map(slice_to_bytes).collect::<Vec<u8>>(),
        ))
        .map(drop)
}

/// Returns every window kept.
pub fn all(connection: &Connection) -> rusqlite::Result<Vec<SavedWindow>> {
    connection
        .prepare_cached("SELECT allowance, boot, saved_at, saved_steady, slices FROM windows")?
        .query_map([], saved_window)?
        .collect()
}

/// Forgets at most so many windows that were kept before the given time; returns how many. Nothing in them
/// counts any more.
pub fn delete_before(connection: &Connection, time: Timestamp, most: usize) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM windows WHERE allowance IN (
                 SELECT allowance FROM windows WHERE saved_at < ?1 LIMIT ?2)",
        )?
        .execute((time.as_millis(), super::rows(most)))
}

fn saved_window(row: &Row<'_>) -> rusqlite::Result<SavedWindow> {
    let slices: Vec<u8> = row.get("slices")?;
    Ok(SavedWindow {
        allowance: column::text(row, "allowance")?,
        boot: row.get("boot")?,
        saved: Now {
            wall: column::time(row, "saved_at")?,
            steady: Duration::from_nanos(row.get::<_, i64>("saved_steady")?.cast_unsigned()),
        },
        slices: slices.chunks_exact(SLICE_BYTES).map(slice_from_bytes).collect(),
    })
}

fn slice_to_bytes(slice: &Slice) -> Vec<u8> {
    [
        &nanos(slice.first).to_le_bytes()[..],
        &nanos(slice.last).to_le_bytes()[..],
        &slice.count.to_le_bytes()[..],
    ]
    .concat()
}

fn slice_from_bytes(bytes: &[u8]) -> Slice {
    let nanos = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    Slice {
        first: Duration::from_nanos(nanos(0)),
        last: Duration::from_nanos(nanos(8)),
        count: u32::from_le_bytes(bytes[16..].try_into().expect("the last four of twenty")),
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).expect("292 years after boot")
}
