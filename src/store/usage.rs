//! Usage in buckets: added to by minute, hour and day at once, read by any of them.

use std::time::Duration;

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::{Connection, Row, named_params};

use crate::domain::histogram::Histogram;
use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;
use crate::domain::usage::{Bucket, Figures, Tokens};

/// How finely usage is told apart in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's name is its meaning")]
pub enum Step {
    Minute,
    Hour,
    Day,
}

/// What usage may be grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's name is its meaning")]
pub enum Group {
    Key,
    Endpoint,
    Status,
    Model,
}

/// Which usage to sum up.
#[derive(Debug)]
pub struct Query {
    /// Only this key's.
    pub key: Option<KeyId>,
    /// From the start of this step on.
    pub from: Timestamp,
    /// Up to, and without, the step that starts here.
    pub to: Timestamp,
    /// How finely to tell it apart in time.
    pub step: Step,
    /// What else to tell it apart by.
    pub groups: Vec<Group>,
}

/// The sums of one step and group; what was not grouped by is empty.
#[derive(Debug)]
pub struct Sum {
    /// The start of the step.
    pub start: Timestamp,
    /// The key; empty for requests without one.
    pub key: String,
    /// The route's pattern.
    pub endpoint: String,
    /// The status.
    pub status: u16,
    /// The model; empty for requests without one.
    pub model: String,
    /// What was counted.
    pub figures: Figures,
    /// How many of the requests were errors.
    pub errors: u64,
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Returns how long a step is.
    pub const fn length(self) -> Duration {
        Duration::from_secs(self.seconds().cast_unsigned())
    }

    const fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

/// Adds figures to their minute, hour and day.
pub fn add(connection: &Connection, bucket: &Bucket, figures: &Figures) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO usage (step, start, key_id, endpoint, status, model, requests, latency_sum, latency_max,
             latencies, bytes_in, bytes_out, prompt_tokens, completion_tokens, estimated)
         VALUES (:step, :start, :key, :endpoint, :status, :model, :requests, :latency_sum, :latency_max,
             :latencies, :bytes_in, :bytes_out, :prompt_tokens, :completion_tokens, :estimated)
         ON CONFLICT DO UPDATE SET
             requests = requests + excluded.requests,
             latency_sum = latency_sum + excluded.latency_sum,
             latency_max = max(latency_max, excluded.latency_max),
             latencies = add_histograms(latencies, excluded.latencies),
             bytes_in = bytes_in + excluded.bytes_in,
             bytes_out = bytes_out + excluded.bytes_out,
             prompt_tokens = prompt_tokens + excluded.prompt_tokens,
             completion_tokens = completion_tokens + excluded.completion_tokens,
             estimated = estimated + excluded.estimated",
    )?;
    let key = bucket.key.map(|key| key.to_string()).unwrap_or_default();
    let latencies = figures.latencies.to_bytes();
    for step in Step::ALL {
        let seconds = bucket.minute * Step::Minute.seconds();
        statement.execute(named_params! {
            ":step": step.seconds(),
            ":start": seconds.div_euclid(step.seconds()) * step.seconds(),
            ":key": key,
            ":endpoint": bucket.endpoint,
            ":status": bucket.status,
            ":model": bucket.model.as_deref().unwrap_or_default(),
            ":requests": integer(figures.requests),
            ":latency_sum": micros(figures.latency_sum),
            ":latency_max": micros(figures.latency_max),
            ":latencies": latencies,
            ":bytes_in": integer(figures.bytes_in),
            ":bytes_out": integer(figures.bytes_out),
            ":prompt_tokens": integer(figures.tokens.prompt),
            ":completion_tokens": integer(figures.tokens.completion),
            ":estimated": integer(figures.estimated),
        })?;
    }
    Ok(())
}

/// Returns the sums, by time and then by group.
pub fn sum(connection: &Connection, query: &Query) -> rusqlite::Result<Vec<Sum>> {
    let column = |group, name| if query.groups.contains(&group) { name } else { "NULL" };
    let sql = format!(
        "SELECT start,
                {key} AS key_id, {endpoint} AS endpoint, {status} AS status, {model} AS model,
                sum(requests) AS requests,
                sum(CASE WHEN usage.status >= 400 THEN requests ELSE 0 END) AS errors,
                sum(latency_sum) AS latency_sum, max(latency_max) AS latency_max,
                sum_histograms(latencies) AS latencies,
                sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out,
                sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
                sum(estimated) AS estimated
         FROM usage
         WHERE step = :step AND start >= :from AND start < :to AND (:key IS NULL OR key_id = :key)
         GROUP BY 1, 2, 3, 4, 5
         ORDER BY 1, 2, 3, 4, 5",
        key = column(Group::Key, "usage.key_id"),
        endpoint = column(Group::Endpoint, "usage.endpoint"),
        status = column(Group::Status, "usage.status"),
        model = column(Group::Model, "usage.model"),
    );
    connection
        .prepare_cached(&sql)?
        .query_map(
            named_params! {
                ":step": query.step.seconds(),
                ":from": query.from.as_seconds(),
                ":to": query.to.as_seconds(),
                ":key": query.key,
            },
            read_sum,
        )?
        .collect()
}

/// Returns how many requests a key made in the quarter of an hour that starts then.
pub fn requests_in_quarter(connection: &Connection, key: KeyId, start: Timestamp) -> rusqlite::Result<u64> {
    let start = start.as_seconds();
    connection
        .prepare_cached(
            "SELECT coalesce(sum(requests), 0)
             FROM usage
             WHERE step = 60 AND start >= ?2 AND start < ?3 AND key_id = ?1",
        )?
        .query_row((key, start, start + 900), |row| row.get::<_, i64>(0).map(i64::cast_unsigned))
}

/// Forgets at most so many rows of usage told apart by the step that ended before the given time; returns how
/// many.
pub fn delete_before(
    connection: &Connection,
    step: Step,
    time: Timestamp,
    most: usize,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM usage WHERE (step, start, key_id, endpoint, status, model) IN (
                 SELECT step, start, key_id, endpoint, status, model FROM usage
                 WHERE step = ?1 AND start < ?2 LIMIT ?3)",
        )?
        .execute((step.seconds(), time.as_seconds() - step.seconds(), super::rows(most)))
}

/// Teaches a connection to add histograms up.
pub(super) fn register_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("add_histograms", 2, flags, |context| {
        let mut sum = histogram(context, 0)?;
        sum.merge(&histogram(context, 1)?);
        Ok(sum.to_bytes())
    })?;
    connection.create_aggregate_function("sum_histograms", 1, flags, SumHistograms)
}

struct SumHistograms;

impl Aggregate<Histogram, Vec<u8>> for SumHistograms {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Histogram> {
        Ok(Histogram::default())
    }

    fn step(&self, context: &mut Context<'_>, sum: &mut Histogram) -> rusqlite::Result<()> {
        sum.merge(&histogram(context, 0)?);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<Histogram>) -> rusqlite::Result<Vec<u8>> {
        Ok(sum.unwrap_or_default().to_bytes())
    }
}

fn histogram(context: &Context<'_>, argument: usize) -> rusqlite::Result<Histogram> {
    let bytes = context.get_raw(argument).as_blob()?;
    Ok(Histogram::from_bytes(bytes))
}

fn read_sum(row: &Row<'_>) -> rusqlite::Result<Sum> {
    let count = |column: &str| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let latencies: Vec<u8> = row.get("latencies")?;
    Ok(Sum {
        start: Timestamp::from_seconds(row.get("start")?),
        key: row.get::<_, Option<_>>("key_id")?.unwrap_or_default(),
        endpoint: row.get::<_, Option<_>>("endpoint")?.unwrap_or_default(),
        status: row.get::<_, Option<_>>("status")?.unwrap_or_default(),
        model: row.get::<_, Option<_>>("model")?.unwrap_or_default(),
        errors: count("errors")?,
        figures: Figures {
            requests: count("requests")?,
            latency_sum: Duration::from_micros(count("latency_sum")?),
            latency_max: Duration::from_micros(count("latency_max")?),
            latencies: Histogram::from_bytes(&latencies),
            bytes_in: count("bytes_in")?,
            bytes_out: count("bytes_out")?,
            tokens: Tokens { prompt: count("prompt_tokens")?, completion: count("completion_tokens")? },
            estimated: count("estimated")?,
        },
    })
}

/// SQLite's integers are signed; a count past 2^63 would take longer than the machine lasts.
fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
