//! Charts, drawn as SVG, with the same figures in a table behind each.

use std::fmt::Write as _;

use askama::Template;
use askama::filters::HtmlSafe;

use super::text;

/// The drawing's own units. It is as wide and as high as there is room, so its texts stand beside it.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 200.0;
/// So many of the times are written below a chart, the first and the last among them.
const LABELS: usize = 4;

/// What happened in one step of time.
pub(super) struct Step {
    /// Where it is on the axis: `14:00`, `3 Oct`.
    pub(super) label: String,
    /// When it was, in full.
    pub(super) when: String,
    /// How much, from the bottom to the top of its bar; nothing where nothing was measured.
    pub(super) values: Vec<Option<f64>>,
}

/// A chart with a bar for each step, or a line for each series.
#[derive(Template)]
#[template(path = "chart.html")]
pub(super) struct Chart {
    /// Tells charts of a page from one another.
    id: &'static str,
    title: String,
    /// What there is to see, in a sentence, for those who do not.
    summary: String,
    series: Vec<Series>,
    bars: Vec<Bar>,
    curves: Vec<Curve>,
    /// What is written beside the axes: figures from the top down, and times.
    figures: Vec<String>,
    times: Vec<String>,
    rows: Vec<Row>,
}

/// A series of a chart.
#[derive(Clone)]
pub(super) struct Series {
    /// What it is called.
    pub(super) name: &'static str,
    /// How its figures are written.
    pub(super) write: fn(f64) -> String,
    /// How it is drawn: the class of its bars or its line.
    pub(super) class: &'static str,
}

struct Bar {
    x: f64,
    width: f64,
    title: String,
    parts: Vec<Part>,
}

struct Part {
    y: f64,
    height: f64,
    class: &'static str,
}

struct Curve {
    path: String,
    class: &'static str,
}

struct Row {
    when: String,
    figures: Vec<String>,
}

impl HtmlSafe for Chart {}

/// Draws a bar for each step; the values of a step are stacked.
pub(super) fn bars(id: &'static str, title: &str, series: &[Series], steps: &[Step]) -> Chart {
    let most = steps.iter().map(|step| step.values.iter().flatten().sum()).fold(0.0, f64::max);
    let mut chart = Chart::new(id, title, series, steps, most);
    let (top, slot) = (nice(most), slot(steps));
    for (at, step) in steps.iter().enumerate() {
        let mut below = 0.0;
        let mut parts = Vec::new();
        for (value, series) in step.values.iter().zip(series) {
            let value = value.unwrap_or_default();
            if value > 0.0 {
                let (y, height) = (y_of(below + value, top), value / top * HEIGHT);
                parts.push(Part { y: round(y), height: round(height.max(1.0)), class: series.class });
                below += value;
            }
        }
        let width = slot * 0.72;
        let x = slot * at as f64 + (slot - width) / 2.0;
        chart.bars.push(Bar { x: round(x), width: round(width), title: told(step, series), parts });
    }
    chart
}

/// Draws a line for each series. It is broken where nothing was measured.
pub(super) fn curves(id: &'static str, title: &str, series: &[Series], steps: &[Step]) -> Chart {
    let most = steps.iter().flat_map(|step| step.values.iter().flatten().copied()).fold(0.0, f64::max);
    let mut chart = Chart::new(id, title, series, steps, most);
    let (top, slot) = (nice(most), slot(steps));
    for (nth, series) in series.iter().enumerate() {
        let mut path = String::new();
        let mut is_broken = true;
        for (at, step) in steps.iter().enumerate() {
            let Some(value) = step.values.get(nth).copied().flatten() else {
                is_broken = true;
                continue;
            };
            let (x, y) = (round(slot * (at as f64 + 0.5)), round(y_of(value, top)));
            // A point without neighbours is a dot.
            let drawn = if is_broken { write!(path, "M{x} {y}h0") } else { write!(path, "L{x} {y}") };
            drawn.expect("a string takes all");
            is_broken = false;
        }
        chart.curves.push(Curve { path, class: series.class });
    }
    for (at, step) in steps.iter().enumerate() {
        let (x, width) = (round(slot * at as f64), round(slot));
        chart.bars.push(Bar { x, width, title: told(step, series), parts: Vec::new() });
    }
    chart
}

impl Chart {
    fn new(id: &'static str, title: &str, series: &[Series], steps: &[Step], most: f64) -> Self {
        let top = nice(most);
        let write = series.first().map_or(whole as fn(f64) -> String, |series| series.write);
        let last = steps.len().saturating_sub(1);
        let times = (0..LABELS).map(|nth| nth * last / (LABELS - 1));
        let row = |step: &Step| Row {
            when: step.when.clone(),
            figures: step
                .values
                .iter()
                .zip(series)
                .map(|(value, series)| write_or_dash(*value, series))
                .collect(),
        };
        Self {
            id,
            title: title.to_owned(),
            summary: format!("{title}: {} steps, at most {} in one", steps.len(), write(most)),
            series: series.to_vec(),
            bars: Vec::with_capacity(steps.len()),
            curves: Vec::new(),
            figures: [1.0, 0.5, 0.0].map(|share| write(top * share)).into(),
            times: times.filter_map(|at| steps.get(at)).map(|step| step.label.clone()).collect(),
            // The newest first: that is what is looked for.
            rows: steps.iter().rev().map(row).collect(),
        }
    }
}

/// Writes a whole number.
pub(super) fn whole(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "figures are counts")]
    text::count(value.round().max(0.0) as u64)
}

fn told(step: &Step, series: &[Series]) -> String {
    let figures = step.values.iter().zip(series);
    let figures = figures.map(|(value, series)| format!("{} {}", series.name, write_or_dash(*value, series)));
    format!("{}: {}", step.when, figures.collect::<Vec<_>>().join(", "))
}

fn write_or_dash(value: Option<f64>, series: &Series) -> String {
    value.map_or_else(|| "–".to_owned(), series.write)
}

fn slot(steps: &[Step]) -> f64 {
    WIDTH / steps.len().max(1) as f64
}

fn y_of(value: f64, top: f64) -> f64 {
    HEIGHT - value / top * HEIGHT
}

/// Returns a round number that is not smaller, for the top of the axis: 1, 2 or 5 and noughts, at least 2.
fn nice(most: f64) -> f64 {
    let most = most.max(2.0);
    let scale = 10_f64.powf(most.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|step| step * scale).into_iter().find(|top| *top >= most).unwrap_or(most)
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIES: [Series; 2] = [
        Series { name: "answered", write: whole, class: "ok" },
        Series { name: "failed", write: whole, class: "failed" },
    ];

    fn step(label: &str, values: [f64; 2]) -> Step {
        Step {
            label: label.to_owned(),
            when: format!("3 Oct 2026, {label}"),
            values: values.map(Some).into(),
        }
    }

    #[test]
    fn the_axis_ends_at_a_round_number() {
        let cases = [
            (0.0, 2.0),
            (1.0, 2.0),
            (3.0, 5.0),
            (10.0, 10.0),
            (11.0, 20.0),
            (450.0, 500.0),
            (1_001.0, 2_000.0),
        ];
        for (most, top) in cases {
            assert!((nice(most) - top).abs() < 1e-9, "{most}");
        }
    }

    #[test]
    fn bars_are_stacked_from_the_bottom_up() {
        let chart =
            bars("requests", "Requests", &SERIES, &[step("07:00", [6.0, 4.0]), step("08:00", [0.0, 0.0])]);
        let parts: Vec<_> = chart.bars[0].parts.iter().map(|part| (part.y, part.height)).collect();
        assert_eq!(parts, [(80.0, 120.0), (0.0, 80.0)]);
        assert!(chart.bars[1].parts.is_empty());
    }

    #[test]
    fn a_chart_has_its_figures_in_a_table_too_and_runs_nothing_that_stands_in_it() {
        let html = bars("requests", "<i>", &SERIES, &[step("07:00", [1_234.0, 1.0])]).render().unwrap();
        assert!(html.contains("<td class=\"number\">1\u{202f}234</td>"), "{html}");
        assert!(!html.contains("<i>") && !html.contains("style="));
    }

    #[test]
    fn a_line_is_broken_where_nothing_was_measured() {
        let mut steps = [1.0, 2.0, 0.0, 1.0].map(|value| step("07:00", [value, value]));
        steps[2].values = vec![None, None];
        let chart = curves("latency", "Latency", &SERIES, &steps);
        assert_eq!(chart.curves[0].path, "M90 100h0L270 0M630 100h0");
        assert_eq!(chart.rows[1].figures, ["–", "–"]);
    }

    #[test]
    fn nothing_at_all_is_a_chart_too() {
        assert!(bars("requests", "Requests", &SERIES, &[]).render().is_ok());
        assert!(curves("latency", "Latency", &SERIES, &[]).render().is_ok());
    }
}
