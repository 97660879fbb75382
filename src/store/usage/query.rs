//! Sums usage up, by time and by what it is asked to be told apart by.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;

use super::plan::{Part, Plan, plan};
use super::rows::Found;
use super::since::Since;
use super::{EVERYBODY, Group, Query, Step, Sum, Sums, add, rows};
use crate::domain::id::KeyId;
use crate::domain::offset::Offset;
use crate::domain::time::Timestamp;
use crate::domain::usage::Figures;

/// More rows fit in no answer.
pub const MOST_ROWS: usize = 200_000;

/// Returns the sums, by time and then by group, as of one moment. Once there are more than [`MOST_ROWS`], no more is
/// read.
pub fn sum(connection: &Connection, query: &Query) -> rusqlite::Result<Sums> {
    let snapshot = connection.unchecked_transaction()?;
    let Plan { from, parts } = plan(query, Since::read(&snapshot)?);
    let mut tally = Tally::new(&snapshot, query)?;
    for part in parts {
        tally.add(&snapshot, &part)?;
    }
    Ok(Sums { from, rows: tally.finish() })
}

/// Returns how many requests a key made by model and status, on UTC days from one on. The model is empty where a
/// request named none.
pub fn models_of(
    connection: &Connection,
    key: KeyId,
    from: Timestamp,
    to: Timestamp,
) -> rusqlite::Result<Vec<(String, u16, u64)>> {
    let step = Step::Day;
    let (from, to) = (from.floor(step.length()), Offset::UTC.ceil(to, step.length()));
    let groups = vec![Group::Status, Group::Model];
    let sums = sum(connection, &Query { key: Some(key), from, to, step, offset: Offset::UTC, groups })?;
    let mut models: HashMap<(String, u16), u64> = HashMap::new();
    for row in sums.rows {
        *models.entry((row.model.as_ref().to_owned(), row.status)).or_default() += row.figures.requests;
    }
    let mut models: Vec<_> =
        models.into_iter().map(|((model, status), count)| (model, status, count)).collect();
    models.sort_unstable();
    Ok(models)
}

/// The sums on the way.
struct Tally<'a> {
    query: &'a Query,
    /// What is told of each series, by its number.
    series: Vec<Told>,
    sums: Vec<Sum>,
    /// What is told of each owner.
    keys: HashMap<i64, Arc<str>>,
    /// Where among them each cell is.
    places: HashMap<Cell, usize>,
    /// The cell that was added to last: most often it is the next one too.
    last: Option<(Cell, usize)>,
}

/// What is told of a series.
#[derive(Clone, Default)]
struct Told {
    /// The number of a series that is told the same.
    group: usize,
    is_error: bool,
    endpoint: Arc<str>,
    status: u16,
    model: Arc<str>,
}

/// What sums are told apart by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Cell {
    start: i64,
    owner: i64,
    group: usize,
}

impl<'a> Tally<'a> {
    fn new(connection: &Connection, query: &'a Query) -> rusqlite::Result<Self> {
        let series = told(connection, &query.groups)?;
        let keys = HashMap::from([(EVERYBODY, Arc::default())]);
        Ok(Self { query, series, sums: Vec::new(), keys, places: HashMap::new(), last: None })
    }

    fn add(&mut self, connection: &Connection, part: &Part) -> rusqlite::Result<()> {
        let by_key = self.query.groups.contains(&Group::Key);
        let owner = match self.query.key {
            // Whoever was never used has nothing to be summed up.
            Some(key) => add::owner(connection, &key.to_string())?.map(Some),
            None if by_key => Some(None),
            None => Some(Some(EVERYBODY)),
        };
        let Some(owner) = owner else { return Ok(()) };
        let half = part.tier.seconds() / 2;
        let each = |row: Found<'_>| {
            if self.sums.len() > MOST_ROWS {
                return Ok(());
            }
            let middle = Timestamp::from_seconds(row.start()? + half);
            let start = self.query.offset.floor(middle, self.query.step.length()).as_seconds();
            let series = usize::try_from(row.series()?).ok().and_then(|number| self.series.get(number));
            let Some(&Told { group, is_error, .. }) = series else { return Ok(()) };
            let owner = if by_key { row.owner()? } else { EVERYBODY };
            let sum = self.at(connection, Cell { start, owner, group })?;
            let before = sum.figures.requests;
            row.add_to(&mut sum.figures)?;
            sum.errors += if is_error { sum.figures.requests - before } else { 0 };
            Ok(())
        };
        match owner {
            Some(owner) => rows::of_owner(connection, part.tier, &part.starts, owner, each),
            None => rows::of_keys(connection, part.tier, &part.starts, EVERYBODY + 1..i64::MAX, each),
        }
    }

    /// Returns the sums of a cell.
    fn at(&mut self, connection: &Connection, cell: Cell) -> rusqlite::Result<&mut Sum> {
        let known = match self.last {
            Some((last, place)) if last == cell => Some(place),
            _ => self.places.get(&cell).copied(),
        };
        let place = if let Some(place) = known {
            place
        } else {
            let sum = self.empty(connection, cell)?;
            self.places.insert(cell, self.sums.len());
            self.sums.push(sum);
            self.sums.len() - 1
        };
        self.last = Some((cell, place));
        Ok(&mut self.sums[place])
    }

    fn empty(&mut self, connection: &Connection, cell: Cell) -> rusqlite::Result<Sum> {
        let key = match self.keys.get(&cell.owner) {
            Some(key) => Arc::clone(key),
            None => Arc::clone(self.keys.entry(cell.owner).or_insert(key_of(connection, cell.owner)?)),
        };
        let Told { endpoint, status, model, .. } = self.series[cell.group].clone();
        let start = Timestamp::from_seconds(cell.start);
        Ok(Sum { start, key, endpoint, status, model, figures: Figures::default(), errors: 0 })
    }

    fn finish(mut self) -> Vec<Sum> {
        self.sums.sort_unstable_by(|a, b| {
            let one = (a.start, &a.key, &a.endpoint, a.status, &a.model);
            one.cmp(&(b.start, &b.key, &b.endpoint, b.status, &b.model))
        });
        self.sums
    }
}

/// Returns what is told of each series, by its number.
fn told(connection: &Connection, groups: &[Group]) -> rusqlite::Result<Vec<Told>> {
    let has = |group| groups.contains(&group);
    let mut statement = connection
        .prepare_cached("SELECT number, endpoint, status, model FROM usage_series ORDER BY number")?;
    let mut rows = statement.query([])?;
    let (mut all, mut first) = (Vec::new(), HashMap::<(Arc<str>, u16, Arc<str>), usize>::new());
    while let Some(row) = rows.next()? {
        let number = usize::try_from(row.get::<_, i64>(0)?).unwrap_or_default();
        let status: u16 = row.get(2)?;
        let endpoint: Arc<str> = if has(Group::Endpoint) { row.get(1)? } else { Arc::default() };
        let model: Arc<str> = if has(Group::Model) { row.get(3)? } else { Arc::default() };
        let shown = if has(Group::Status) { status } else { 0 };
        let group = *first.entry((endpoint.clone(), shown, model.clone())).or_insert(number);
        all.resize_with(all.len().max(number + 1), Told::default);
        all[number] = Told { group, is_error: status >= 400, endpoint, status: shown, model };
    }
    Ok(all)
}

fn key_of(connection: &Connection, owner: i64) -> rusqlite::Result<Arc<str>> {
    connection
        .prepare_cached("SELECT key_id FROM usage_owners WHERE number = ?1")?
        .query_row([owner], |row| row.get(0))
}
