//! `mcpd usage`

mod verify;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::client::{self, Client};
use super::fields::{bytes, count, millis, percent, rows, text, time};
use super::moment::Moment;
use super::named;
use super::output::{Screen, Style, show};
use super::table::{Cell, Column, Kind, Table};
use crate::clock::Clock;

/// A longer range is told by the day where no step is named.
const BY_THE_HOUR: Duration = Duration::from_secs(2 * 86_400);

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  mcpd usage                                         the last 24 hours, by the hour
  mcpd usage --from 30d --group-by key               the last 30 days, by day and key
  mcpd usage --key laptop --step minute --from 1h    what one key did in the last hour
  mcpd usage --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z --tz +01:00 --group-by model
  mcpd usage verify                                  whether all figures add up"
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    query: Query,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Prove that the figures add up: keys to the whole, minutes to hours, hours to days
    #[command(after_help = "Examples:\n  mcpd usage verify\n  mcpd usage verify --json")]
    Verify {
        /// Print the answer of the admin API as it is
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Query {
    /// Only this key's: an id or a name
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// From when on: a time (RFC 3339), or so long ago (7d, 24h, 15m)
    #[arg(long, value_name = "TIME", default_value = "24h")]
    from: Moment,
    /// Until when; now where nothing is said
    #[arg(long, value_name = "TIME")]
    to: Option<Moment>,
    /// By the minute, hour or day; else by the hour up to two days, by the day beyond
    #[arg(long, value_enum, hide_possible_values = true)]
    step: Option<Step>,
    /// Told apart by some of key, endpoint, status and model, comma-separated
    #[arg(long, value_enum, hide_possible_values = true, value_delimiter = ',', value_name = "GROUPS")]
    group_by: Vec<Group>,
    /// The time zone that hours and days begin in, such as +02:00, instead of UTC
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    tz: Option<String>,
    /// Print the answer of the admin API as it is
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    Minute,
    Hour,
    Day,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    Key,
    Endpoint,
    Status,
    Model,
}

/// Tells what was used, or proves that it adds up.
pub(super) fn run(arguments: Arguments, config: Option<&Path>) -> Result<()> {
    client::ask(config, async |client| match arguments.action {
        Some(Action::Verify { json }) => verify::run(client, json).await,
        None => tell(client, arguments.query).await,
    })
}

async fn tell(client: &Client, query: Query) -> Result<()> {
    let key = match &query.key {
        Some(key) => Some(named::key_id(client, key).await?),
        None => None,
    };
    let (from, to) = (query.from.resolve(), query.to.map(Moment::resolve));
    let step = query.step.unwrap_or_else(|| {
        let length = to.unwrap_or_else(|| Clock::System.now().wall).since(from);
        if length > BY_THE_HOUR { Step::Day } else { Step::Hour }
    });
    let (from, to) = (from.to_string(), to.map(|to| to.to_string()));
    let groups = query.group_by.iter().map(|group| group.name()).collect::<Vec<_>>().join(",");
    let mut asked = vec![("from", from.as_str()), ("step", step.name())];
    asked.extend(key.as_deref().map(|key| ("key", key)));
    asked.extend(to.as_deref().map(|to| ("to", to)));
    asked.extend(query.tz.as_deref().map(|tz| ("tz", tz)));
    if !groups.is_empty() {
        asked.push(("group_by", &groups));
    }
    let answer = client.get("/admin/v1/usage", &asked).await?;
    let wants_names = !query.json && query.group_by.contains(&Group::Key);
    let names = if wants_names { names(client).await? } else { HashMap::new() };
    show(&answer, query.json, |usage, screen| render(usage, &names, screen))
}

/// The names of all keys that there are, by their ids.
async fn names(client: &Client) -> Result<HashMap<String, String>> {
    let keys = client.list("/admin/v1/keys", &[]).await?;
    Ok(keys.iter().map(|key| (text(key, "id"), text(key, "name"))).collect())
}

fn render(usage: &Value, names: &HashMap<String, String>, screen: Screen) -> String {
    let groups: Vec<&str> = rows(usage, "group_by").iter().filter_map(Value::as_str).collect();
    let mut columns = vec![Column("START", Kind::Word)];
    columns.extend(groups.iter().flat_map(|group| group_columns(group)));
    columns.extend(FIGURES);
    let mut table = Table::new(&columns);
    for row in rows(usage, "data") {
        let mut texts = vec![time(row, "start")];
        texts.extend(groups.iter().flat_map(|group| group_texts(row, group, names)));
        texts.extend(figures(row));
        table.texts(texts);
    }
    let mut total = vec!["total".to_owned()];
    total.resize(columns.len() - FIGURES.len(), String::new());
    total.extend(figures(&usage["totals"]));
    table.row(total.iter().map(|text| Cell::new(text, Style::Strong)));
    let range = format!("From {} to {}.\n", time(usage, "from"), time(usage, "to"));
    format!("{}{range}", table.render(screen))
}

/// The name of a key stands beside its id, which is what everything else knows it by.
fn group_columns(group: &str) -> Vec<Column> {
    match group {
        "key" => vec![Column("KEY", Kind::Word), Column("NAME", Kind::Name)],
        "endpoint" => vec![Column("ENDPOINT", Kind::Word)],
        "status" => vec![Column("STATUS", Kind::Number)],
        _ => vec![Column("MODEL", Kind::Name)],
    }
}

fn group_texts(row: &Value, group: &str, names: &HashMap<String, String>) -> Vec<String> {
    let told = text(row, group);
    match group {
        "key" => {
            let name = names.get(&told).cloned().unwrap_or_else(|| "-".to_owned());
            vec![told, name]
        }
        _ => vec![told],
    }
}

const FIGURES: [Column; 10] = [
    Column("REQUESTS", Kind::Number),
    Column("ERRORS", Kind::Number),
    Column("RATE", Kind::Number),
    Column("MEAN MS", Kind::Number),
    Column("P95 MS", Kind::Number),
    Column("MAX MS", Kind::Number),
    Column("PROMPT", Kind::Number),
    Column("COMPLETION", Kind::Number),
    Column("IN", Kind::Number),
    Column("OUT", Kind::Number),
];

fn figures(row: &Value) -> [String; FIGURES.len()] {
    let latency = &row["latency_ms"];
    // Tokens of which some are an estimate.
    let about = if count(row, "estimated") > 0 { "~" } else { "" };
    [
        count(row, "requests").to_string(),
        count(row, "errors").to_string(),
        percent(row, "error_rate"),
        millis(latency, "mean"),
        millis(latency, "p95"),
        millis(latency, "max"),
        format!("{about}{}", count(row, "prompt_tokens")),
        format!("{about}{}", count(row, "completion_tokens")),
        bytes(row, "bytes_in"),
        bytes(row, "bytes_out"),
    ]
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

impl Group {
    const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Endpoint => "endpoint",
            Self::Status => "status",
            Self::Model => "model",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(requests: u64, more: &Value) -> Value {
        let mut row = json!({
            "requests": requests, "errors": 1, "error_rate": 0.25,
            "latency_ms": {"mean": 773.4, "max": 1481.0, "p50": 447.0, "p95": 1400.0, "p99": 1481.0},
            "prompt_tokens": 18, "completion_tokens": 7, "estimated": 1, "bytes_in": 315, "bytes_out": 4096
        });
        for (name, value) in more.as_object().unwrap() {
            row[name] = value.clone();
        }
        row
    }

    #[test]
    fn usage_is_a_table_with_the_totals_last() {
        let usage = json!({
            "from": "2026-11-22T20:00:00Z", "to": "2026-11-23T21:00:00Z", "step": "hour",
            "group_by": ["key", "model"],
            "data": [
                row(4, &json!({"start": "2026-11-23T20:00:00Z", "key": "key_1", "model": "llama3.2"})),
                row(2, &json!({"start": "2026-11-23T20:00:00Z", "key": null, "model": null})),
            ],
            "totals": row(6, &json!({})),
        });
        let names = HashMap::from([("key_1".to_owned(), "laptop".to_owned())]);
        let expected = "\
START                 KEY    NAME    MODEL     REQUESTS  ERRORS    RATE  MEAN MS  P95 MS  MAX MS  PROMPT  COMPLETION     IN      OUT
2026-11-23T20:00:00Z  key_1  laptop  llama3.2         4       1  25.0 %      773    1400    1481     ~18          ~7  315 B  4.0 KiB
2026-11-23T20:00:00Z  -      -       -                2       1  25.0 %      773    1400    1481     ~18          ~7  315 B  4.0 KiB
total                                                 6       1  25.0 %      773    1400    1481     ~18          ~7  315 B  4.0 KiB
From 2026-11-22T20:00:00Z to 2026-11-23T21:00:00Z.
";
        assert_eq!(render(&usage, &names, Screen::PLAIN), expected);
    }
}
