//! Usage that is written down, and still to be added to where it is asked for.
//!
//! A row here costs a fortieth of adding it to its minutes, quarters and days. Who writes keeps the same in memory,
//! adds all of it up now and then, and clears the journal in the same transaction; only after a crash is it read.

use rusqlite::{Connection, Row};

use super::add::{Counted, add_all};
use super::rows::{integer, micros};
use crate::domain::histogram::Histogram;
use crate::domain::usage::{Bucket, Figures, Tokens};
use crate::nice::with_pauses;
use crate::store::column;

/// Writes down what was counted.
pub fn note<'a>(
    connection: &Connection,
    counted: impl IntoIterator<Item = (&'a Bucket, &'a Figures)>,
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO usage_journal VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    for (bucket, figures) in with_pauses(counted) {
        insert.execute((
            bucket.minute,
            bucket.key.map(|key| key.to_string()).unwrap_or_default(),
            bucket.endpoint,
            bucket.status,
            bucket.model.as_deref().unwrap_or_default(),
            integer(figures.requests),
            micros(figures.latency_sum),
            micros(figures.latency_max),
            figures.latencies.to_bytes(),
            integer(figures.bytes_in),
            integer(figures.bytes_out),
            integer(figures.tokens.prompt),
            integer(figures.tokens.completion),
            integer(figures.estimated),
        ))?;
    }
    Ok(())
}

/// Forgets the journal: what is in it was added up.
pub fn clear(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM usage_journal")?.execute([]).map(drop)
}

/// Adds up what a process left that ended without doing so. The caller makes one transaction of it.
pub fn recover(connection: &Connection) -> rusqlite::Result<()> {
    let rows = connection
        .prepare_cached("SELECT * FROM usage_journal")?
        .query_map([], noted)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let counted = rows.iter().map(|(noted, figures)| {
        let Noted { minute, key, endpoint, status, model } = noted;
        (Counted { minute: *minute, key: *key, endpoint, status: *status, model }, figures)
    });
    add_all(connection, counted)?;
    clear(connection)
}

/// What figures were noted for.
struct Noted {
    minute: i64,
    key: Option<crate::domain::id::KeyId>,
    endpoint: String,
    status: u16,
    model: String,
}

fn noted(row: &Row<'_>) -> rusqlite::Result<(Noted, Figures)> {
    let key: String = row.get("key_id")?;
    let key = (!key.is_empty()).then(|| column::text(row, "key_id")).transpose()?;
    let noted = Noted {
        minute: row.get("minute")?,
        key,
        endpoint: row.get("endpoint")?,
        status: row.get("status")?,
        model: row.get("model")?,
    };
    let time = |name| column::count(row, name).map(std::time::Duration::from_micros);
    let figures = Figures {
        requests: column::count(row, "requests")?,
        latency_sum: time("latency_sum")?,
        latency_max: time("latency_max")?,
        latencies: Histogram::from_bytes(row.get_ref("latencies")?.as_blob()?),
        bytes_in: column::count(row, "bytes_in")?,
        bytes_out: column::count(row, "bytes_out")?,
        tokens: Tokens {
            prompt: column::count(row, "prompt_tokens")?,
            completion: column::count(row, "completion_tokens")?,
        },
        estimated: column::count(row, "estimated")?,
    };
    Ok((noted, figures))
}
