//! Usage as charts: requests, how long they took, tokens.

use std::collections::HashMap;

use super::chart::{Chart, Series, Step, bars, curves, whole};
use super::range::Range;
use super::text;
use crate::admin::usage::{RowView, UsageView};
use crate::domain::offset::Offset;
use crate::domain::time::Timestamp;

/// The charts of a range.
pub(super) struct UsageCharts {
    pub(super) requests: Chart,
    pub(super) latency: Chart,
    pub(super) tokens: Chart,
}

const REQUESTS: [Series; 2] = [
    Series { name: "answered", write: whole, class: "ok" },
    Series { name: "failed", write: whole, class: "failed" },
];
const LATENCY: [Series; 2] = [
    Series { name: "median", write: |time| text::millis(time), class: "curve" },
    Series { name: "95th percentile", write: |time| text::millis(time), class: "curve second" },
];
const TOKENS: [Series; 2] = [
    Series { name: "written", write: whole, class: "ok" },
    Series { name: "read", write: whole, class: "soft" },
];

impl UsageCharts {
    /// Draws usage that was asked for by [`Range::query`], without groups. Steps without usage are drawn too.
    pub(super) fn new(view: &UsageView, range: Range, zone: Offset) -> Self {
        let rows: HashMap<_, _> =
            view.data.iter().filter_map(|row| Some((Timestamp::parse(&row.start).ok()?, row))).collect();
        let first = Timestamp::parse(&view.from).unwrap_or(Timestamp::from_millis(0));
        let starts: Vec<_> = (0..range.steps()).map(|nth| first.after(range.step() * nth)).collect();
        let steps = |values: fn(&RowView) -> [f64; 2]| -> Vec<Step> {
            let step = |start: &Timestamp| Step {
                label: range.label_of(*start, zone),
                when: zone.write_minute(*start),
                values: rows.get(start).map_or([None; 2], |row| values(row).map(Some)).into(),
            };
            starts.iter().map(step).collect()
        };
        let requests =
            steps(|row| [(row.figures.requests - row.figures.errors) as f64, row.figures.errors as f64]);
        let latency = steps(|row| [row.figures.latency_ms.p50, row.figures.latency_ms.p95]);
        let tokens = steps(|row| [row.figures.completion_tokens as f64, row.figures.prompt_tokens as f64]);
        Self {
            requests: bars("requests", "Requests", &REQUESTS, &requests),
            latency: curves("latency", "Latency", &LATENCY, &latency),
            tokens: bars("tokens", "Tokens", &TOKENS, &tokens),
        }
    }
}
