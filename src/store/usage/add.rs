//! Adds what was counted.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension as _, named_params};

use super::rows::{integer, micros};
use super::{EVERYBODY, Tier};
use crate::domain::id::KeyId;
use crate::domain::usage::{Bucket, Figures};
use crate::nice::with_pauses;

/// Where a row stands, in the order in which the rows stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    tier: Tier,
    start: i64,
    owner: i64,
    series: i64,
}

/// Adds figures to their minutes, quarters and days, for their keys and for all keys together. The caller makes one
/// transaction of it.
pub fn add<'a>(
    connection: &Connection,
    counted: impl IntoIterator<Item = (&'a Bucket, &'a Figures)>,
) -> rusqlite::Result<()> {
    let whole = |(bucket, figures)| (Counted::of(bucket), figures);
    add_all(connection, counted.into_iter().map(whole))
}

/// What figures were counted for.
#[derive(Clone, Copy)]
pub(super) struct Counted<'a> {
    pub(super) minute: i64,
    pub(super) key: Option<KeyId>,
    pub(super) endpoint: &'a str,
    pub(super) status: u16,
    /// Empty where there is none.
    pub(super) model: &'a str,
}

impl<'a> Counted<'a> {
    fn of(bucket: &'a Bucket) -> Self {
        let Bucket { minute, key, endpoint, status, model } = bucket;
        Self {
            minute: *minute,
            key: *key,
            endpoint,
            status: *status,
            model: model.as_deref().unwrap_or_default(),
        }
    }
}

pub(super) fn add_all<'a>(
    connection: &Connection,
    counted: impl IntoIterator<Item = (Counted<'a>, &'a Figures)>,
) -> rusqlite::Result<()> {
    let mut numbers = Numbers { connection, owners: HashMap::new(), series: HashMap::new() };
    let mut rows: BTreeMap<Place, Figures> = BTreeMap::new();
    for (counted, figures) in with_pauses(counted) {
        let (own, series) = (numbers.owner(counted.key)?, numbers.series(counted)?);
        for tier in Tier::ALL {
            let start = tier.start_of(counted.minute * Tier::Minute.seconds());
            for owner in [EVERYBODY, own] {
                rows.entry(Place { tier, start, owner, series }).or_default().merge(figures);
            }
        }
    }
    with_pauses(&rows).try_for_each(|(place, figures)| add_row(connection, *place, figures))
}

/// The numbers that stand for keys and series, each looked up once, and given where there is none yet.
struct Numbers<'a> {
    connection: &'a Connection,
    owners: HashMap<Option<KeyId>, i64>,
    series: HashMap<(&'a str, u16, &'a str), i64>,
}

impl<'a> Numbers<'a> {
    fn owner(&mut self, key: Option<KeyId>) -> rusqlite::Result<i64> {
        if let Some(number) = self.owners.get(&key) {
            return Ok(*number);
        }
        let id = key.map(|key| key.to_string()).unwrap_or_default();
        let number = match owner(self.connection, &id)? {
            Some(number) => number,
            None => self
                .connection
                .prepare_cached("INSERT INTO usage_owners (key_id) VALUES (?1) RETURNING number")?
                .query_row([&id], |row| row.get(0))?,
        };
        self.owners.insert(key, number);
        Ok(number)
    }

    fn series(&mut self, counted: Counted<'a>) -> rusqlite::Result<i64> {
        let series = (counted.endpoint, counted.status, counted.model);
        if let Some(number) = self.series.get(&series) {
            return Ok(*number);
        }
        let found = self
            .connection
            .prepare_cached(
                "SELECT number FROM usage_series WHERE endpoint = ?1 AND status = ?2 AND model = ?3",
            )?
            .query_row(series, |row| row.get(0))
            .optional()?;
        let number = match found {
            Some(number) => number,
            None => self
                .connection
                .prepare_cached(
                    "INSERT INTO usage_series (endpoint, status, model) VALUES (?1, ?2, ?3) RETURNING number",
                )?
                .query_row(series, |row| row.get(0))?,
        };
        self.series.insert(series, number);
        Ok(number)
    }
}

/// Returns the number of a key, if it was ever used; the empty id is that of requests without a key.
pub(super) fn owner(connection: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT number FROM usage_owners WHERE key_id = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

fn add_row(connection: &Connection, place: Place, figures: &Figures) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO usage (step, start, owner, series, requests, latency_sum, latency_max, latencies, bytes_in,
             bytes_out, prompt_tokens, completion_tokens, estimated)
         VALUES (:step, :start, :owner, :series, :requests, :latency_sum, :latency_max, :latencies, :bytes_in,
             :bytes_out, :prompt_tokens, :completion_tokens, :estimated)
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
    statement.execute(named_params! {
        ":step": place.tier.seconds(),
        ":start": place.start,
        ":owner": place.owner,
        ":series": place.series,
        ":requests": integer(figures.requests),
        ":latency_sum": micros(figures.latency_sum),
        ":latency_max": micros(figures.latency_max),
        ":latencies": figures.latencies.to_bytes(),
        ":bytes_in": integer(figures.bytes_in),
        ":bytes_out": integer(figures.bytes_out),
        ":prompt_tokens": integer(figures.tokens.prompt),
        ":completion_tokens": integer(figures.tokens.completion),
        ":estimated": integer(figures.estimated),
    })?;
    Ok(())
}
