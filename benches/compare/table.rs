//! Medians of the rounds, as a table in Markdown. A ratio is the median of the rounds' own ratios: what slows the
//! machine down for a while slows down both.

use std::fmt;

use crate::gateway::{Gateway, Kind};
use crate::work::{Measured, Work};

/// What a kind of work showed.
pub struct Table {
    title: &'static str,
    rows: Vec<Row>,
}

struct Row {
    kind: Kind,
    idle: u64,
    started_in: std::time::Duration,
    rounds: Vec<Measured>,
}

impl Table {
    pub fn new(work: &Work, gateways: &[Gateway]) -> Self {
        let row = |gateway: &Gateway| Row {
            kind: gateway.kind,
            idle: gateway.resident(),
            started_in: gateway.started_in,
            rounds: Vec::new(),
        };
        Self { title: work.title, rows: gateways.iter().map(row).collect() }
    }

    pub fn add(&mut self, row: usize, measured: Measured) {
        self.rows[row].rounds.push(measured);
    }
}

impl Row {
    fn median(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        median(self.rounds.iter().map(of))
    }

    fn ratio(&self, to: &Self, of: impl Fn(&Measured) -> f64) -> f64 {
        median(self.rounds.iter().zip(&to.rounds).map(|(mine, other)| of(mine) / of(other)))
    }
}

fn median(all: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = all.collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: f64 = 1024.0 * 1024.0;
        let reference = self.rows.iter().find(|row| row.kind == Kind::Nginx).unwrap_or(&self.rows[0]);
        writeln!(f, "### {}\n", self.title)?;
        writeln!(
            f,
            "| gateway | answers/s | ratio | CPU µs/answer | ratio | p50 µs | p99 µs | ratio | MiB idle → loaded | started in ms |"
        )?;
        writeln!(f, "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |")?;
        for row in &self.rows {
            let ratio = |of: fn(&Measured) -> f64| row.ratio(reference, of);
            writeln!(
                f,
                "| {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.1} | {:.1} | {:.2} | {:.1} → {:.1} | {:.0} |",
                row.kind.name(),
                row.median(|measured| measured.per_second),
                ratio(|measured| measured.per_second),
                row.median(|measured| measured.cpu),
                ratio(|measured| measured.cpu),
                row.median(|measured| measured.p50),
                row.median(|measured| measured.p99),
                ratio(|measured| measured.p99),
                row.idle as f64 / MIB,
                row.median(|measured| measured.resident as f64) / MIB,
                row.started_in.as_secs_f64() * 1e3,
            )?;
        }
        Ok(())
    }
}
