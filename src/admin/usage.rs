//! What was used, by time and by key, endpoint, status or model.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize, Serializer};

use super::{Call, Desk, Rooms};
use crate::domain::offset::Offset;
use crate::domain::time::Timestamp;
use crate::domain::usage::Figures;
use crate::http::block::gently;
use crate::http::{ApiError, JSON};
use crate::store;
use crate::store::usage::{Group, MOST_ROWS, Query, Step, Sum, Sums};

/// About what a row takes as JSON, in bytes.
const ROOM_FOR_A_ROW: usize = 384;

/// Which usage is asked for.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UsageQuery {
    pub(crate) key: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) step: Option<String>,
    pub(crate) group_by: Option<String>,
    pub(crate) tz: Option<String>,
}

/// Usage by step and group. `from` and `to` are widened to whole steps, so that totals agree however they
/// are grouped.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Usage")]
pub(crate) struct UsageView<Data = Vec<RowView>> {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) step: &'static str,
    pub(crate) group_by: Vec<&'static str>,
    pub(crate) data: Data,
    pub(crate) totals: FiguresView,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "UsageRow")]
pub(crate) struct RowView {
    pub(crate) start: String,
    /// `null` for requests without a key that the server knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// `null` for requests that name no model, or none that the server has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<Option<String>>,
    #[serde(flatten)]
    pub(crate) figures: FiguresView,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Figures")]
pub(crate) struct FiguresView {
    pub(crate) requests: u64,
    /// Answers with a status of 400 and more, clients that left (499) included.
    pub(crate) errors: u64,
    pub(crate) error_rate: f64,
    pub(crate) latency_ms: LatencyView,
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    /// Requests whose tokens are an estimate.
    pub(crate) estimated: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// Milliseconds from a request's head to its answer's end; percentiles may be up to a quarter too high.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Latency")]
pub(crate) struct LatencyView {
    pub(crate) mean: f64,
    pub(crate) max: f64,
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
}

pub(super) async fn answer(call: Call) -> Result<HttpResponse, ApiError> {
    let query = parse(&call.query()?, call.desk.now())?;
    call.desk.flush().await;
    // A long answer is written down there too, so that the thread goes on with others.
    let rooms = Arc::clone(&call.desk.rooms);
    let json = gently(move || to_json(&query, &sums(&rooms, &query)?)).await?;
    Ok(HttpResponse::Ok().insert_header(JSON).body(json))
}

/// Tells what was used.
pub(crate) async fn sum(desk: &Desk, asked: &UsageQuery) -> Result<UsageView, ApiError> {
    let query = parse(asked, desk.now())?;
    desk.flush().await;
    let rooms = Arc::clone(&desk.rooms);
    gently(move || {
        let sums = sums(&rooms, &query)?;
        Ok::<_, ApiError>(UsageView::of(&query, &sums, Rows::new(&query, &sums).views().collect()))
    })
    .await
}

/// Writes row by row: thousands of views at once would take several times as much memory as what is written.
fn to_json(query: &Query, sums: &Sums) -> Result<Vec<u8>, ApiError> {
    let mut json = Vec::with_capacity((sums.rows.len() + 2) * ROOM_FOR_A_ROW);
    let view = UsageView::of(query, sums, Rows::new(query, sums));
    serde_json::to_writer(&mut json, &view).map_err(|error| {
        tracing::error!("usage cannot be written down: {error}");
        ApiError::Internal
    })?;
    Ok(json)
}

fn sums(rooms: &Rooms, query: &Query) -> Result<Sums, ApiError> {
    // Much of it takes long to read: others that read have their own connections.
    let sums = rooms.store.read_apart(|db| store::usage::sum(db, query))?;
    if sums.rows.len() > MOST_ROWS {
        return Err(ApiError::bad_request(format!(
            "the query string: the answer would have more than {MOST_ROWS} rows: ask for a shorter time, a longer \
             `step`, or fewer groups in `group_by`"
        )));
    }
    Ok(sums)
}

fn parse(asked: &UsageQuery, now: Timestamp) -> Result<Query, ApiError> {
    let wrong = |what: String| ApiError::bad_request(format!("the query string: {what}"));
    let time =
        |name: &str, text: &str| Timestamp::parse(text).map_err(|error| wrong(format!("`{name}`: {error}")));
    let step = match asked.step.as_deref() {
        None => Step::Hour,
        Some(name) => Step::ALL
            .into_iter()
            .find(|step| step_name(*step) == name)
            .ok_or_else(|| wrong("`step` must be minute, hour or day".to_owned()))?,
    };
    let to = asked.to.as_deref().map_or(Ok(now), |text| time("to", text))?;
    let from = match &asked.from {
        Some(text) => time("from", text)?,
        None => to.before(Duration::from_secs(86_400)),
    };
    if from > to {
        return Err(wrong("`from` is after `to`".to_owned()));
    }
    let key = asked.key.as_deref().map(|key| key.parse().map_err(|error| wrong(format!("`key`: {error}"))));
    let mut groups = Vec::new();
    for name in asked.group_by.iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty()) {
        let group = GROUPS.into_iter().find(|group| group_name(*group) == name);
        let group =
            group.ok_or_else(|| wrong("`group_by` takes key, endpoint, status and model".to_owned()))?;
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    // A `+` in a URL stands for a blank.
    let tz = asked.tz.as_deref().map_or("Z".into(), |tz| tz.replacen(' ', "+", 1));
    let offset: Offset = tz.parse().map_err(|error| wrong(format!("`tz` {error}")))?;
    // The step that `to` lies in is counted whole, and so is the one that `from` lies in.
    let (from, to) = (offset.floor(from, step.length()), offset.ceil(to, step.length()));
    Ok(Query { key: key.transpose()?, from, to, step, offset, groups })
}

const GROUPS: [Group; 4] = [Group::Key, Group::Endpoint, Group::Status, Group::Model];

const fn group_name(group: Group) -> &'static str {
    match group {
        Group::Key => "key",
        Group::Endpoint => "endpoint",
        Group::Status => "status",
        Group::Model => "model",
    }
}

const fn step_name(step: Step) -> &'static str {
    match step {
        Step::Minute => "minute",
        Step::Hour => "hour",
        Step::Day => "day",
    }
}

impl<Data> UsageView<Data> {
    fn of(query: &Query, sums: &Sums, data: Data) -> Self {
        let (mut total, mut errors) = (Figures::default(), 0);
        for row in &sums.rows {
            total.merge(&row.figures);
            errors += row.errors;
        }
        Self {
            from: query.offset.write(sums.from),
            to: query.offset.write(query.to),
            step: step_name(query.step),
            group_by: query.groups.iter().copied().map(group_name).collect(),
            data,
            totals: FiguresView::new(&total, errors),
        }
    }
}

/// Rows that become views one after the other, as they are written.
struct Rows<'a> {
    query: &'a Query,
    rows: &'a [Sum],
}

impl<'a> Rows<'a> {
    fn new(query: &'a Query, sums: &'a Sums) -> Self {
        Self { query, rows: &sums.rows }
    }

    fn views(&self) -> impl Iterator<Item = RowView> {
        self.rows.iter().map(|row| RowView::new(row, self.query))
    }
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.views())
    }
}

impl RowView {
    fn new(row: &Sum, query: &Query) -> Self {
        let named = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let grouped = |group| query.groups.contains(&group);
        Self {
            start: query.offset.write(row.start),
            key: grouped(Group::Key).then(|| named(&row.key)),
            endpoint: grouped(Group::Endpoint).then(|| row.endpoint.as_ref().to_owned()),
            status: grouped(Group::Status).then_some(row.status),
            model: grouped(Group::Model).then(|| named(&row.model)),
            figures: FiguresView::new(&row.figures, row.errors),
        }
    }
}

impl FiguresView {
    fn new(figures: &Figures, errors: u64) -> Self {
        // To the microsecond: more would be dust.
        let round = |millis: f64| (millis * 1_000.0).round() / 1_000.0;
        let millis = |duration: Duration| round(duration.as_secs_f64() * 1_000.0);
        let requests = figures.requests.max(1) as f64;
        // A bucket's upper edge may lie beyond what was ever seen.
        let percentile = |share| millis(figures.latencies.percentile(share).min(figures.latency_max));
        Self {
            requests: figures.requests,
            errors,
            error_rate: errors as f64 / requests,
            latency_ms: LatencyView {
                mean: round(millis(figures.latency_sum) / requests),
                max: millis(figures.latency_max),
                p50: percentile(0.50),
                p95: percentile(0.95),
                p99: percentile(0.99),
            },
            prompt_tokens: figures.tokens.prompt,
            completion_tokens: figures.tokens.completion,
            estimated: figures.estimated,
            bytes_in: figures.bytes_in,
            bytes_out: figures.bytes_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: &str, to: &str, step: &str, tz: &str) -> Option<(String, String)> {
        let [from, to, step, tz] = [from, to, step, tz].map(|text| Some(text.to_owned()));
        let asked = UsageQuery { key: None, from, to, step, group_by: None, tz };
        let query = parse(&asked, Timestamp::from_millis(0)).ok()?;
        Some((query.offset.write(query.from), query.offset.write(query.to)))
    }

    #[test]
    fn a_range_is_widened_to_whole_steps() {
        let cases = [
            (
                "2026-05-01T10:17:30Z",
                "2026-05-01T10:18:00Z",
                "minute Z",
                "2026-05-01T10:17:00Z",
                "2026-05-01T10:18:00Z",
            ),
            (
                "2026-05-01T10:17:30Z",
                "2026-05-01T10:18:00Z",
                "hour UTC",
                "2026-05-01T10:00:00Z",
                "2026-05-01T11:00:00Z",
            ),
            (
                "2026-05-01T10:17:30Z",
                "2026-05-01T10:18:00Z",
                "hour +05:45",
                "2026-05-01T16:00:00+05:45",
                "2026-05-01T17:00:00+05:45",
            ),
            (
                "2026-05-01T10:17:30Z",
                "2026-05-01T19:00:00Z",
                // As an unescaped `+` of a URL comes in.
                "day  05:30",
                "2026-05-01T00:00:00+05:30",
                "2026-05-03T00:00:00+05:30",
            ),
            (
                "2026-05-01T10:17:30+02:00",
                "2026-05-01T23:00:01Z",
                "day Z",
                "2026-05-01T00:00:00Z",
                "2026-05-02T00:00:00Z",
            ),
        ];
        for (from, to, step_and_tz, whole_from, whole_to) in cases {
            let (step, tz) = step_and_tz.split_once(' ').unwrap();
            assert_eq!(
                range(from, to, step, tz),
                Some((whole_from.to_owned(), whole_to.to_owned())),
                "{from} {to}"
            );
        }
        let (first, second) = ("2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z");
        assert_eq!(range(second, first, "day", "Z"), None);
        assert_eq!(range(first, second, "week", "Z"), None);
        assert_eq!(range(first, second, "day", "+05:31"), None);
    }
}
