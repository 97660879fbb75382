//! `mcpd status` and `mcpd metrics`

use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::client;
use super::fields::{bytes, count, rows, text, time};
use super::output::{Screen, Style, print, show};
use super::relative;
use super::sheet::Sheet;
use super::table::{Cell, Column, Kind, Table};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcpd status
  mcpd status --json | jq -r '.upstreams[] | select(.health == \"down\").name'")]
pub(super) struct Arguments {
    /// Print the answer of the admin API as it is
    #[arg(long)]
    json: bool,
}

/// Tells how the running daemon is.
pub(super) fn run(arguments: &Arguments, config: Option<&Path>) -> Result<()> {
    client::ask(config, async |client| {
        show(&client.get("/admin/v1/server", &[]).await?, arguments.json, render)
    })
}

/// Prints the daemon's metrics, as Prometheus reads them.
pub(super) fn metrics(config: Option<&Path>) -> Result<()> {
    client::ask(config, async |client| print(&client.text("/metrics").await?))
}

fn render(server: &Value, screen: Screen) -> String {
    let listeners = &server["listeners"];
    let scheme = if listeners["tls"] == true { "https" } else { "http" };
    let public = rows(listeners, "public").iter().filter_map(Value::as_str);
    let mut sheet = Sheet::default();
    sheet.add("version", text(server, "version"));
    let started = relative::field(server, "started_at", "-");
    sheet.add("started", format!("{} ({started})", time(server, "started_at")));
    sheet.add_all("for clients", public.map(|address| format!("{scheme}://{address}/v1")));
    sheet.add_all("for you", ["admin", "socket"].map(|name| text(listeners, name)));
    sheet.add("keys", counts(&server["keys"]));
    sheet.add_all("plans", plans(server));
    sheet.add(
        "database",
        format!("{}, {}", text(&server["database"], "path"), bytes(&server["database"], "bytes")),
    );
    if let Some(trouble) = server["database"]["trouble"].as_str() {
        sheet.add_styled("", format!("cannot be written: {trouble}"), Style::Bad);
    }
    format!("{}\n{}", sheet.render(screen), upstreams(server).render(screen))
}

fn counts(keys: &Value) -> String {
    let counts = keys.as_object().into_iter().flatten();
    counts.map(|(status, count)| format!("{count} {status}")).collect::<Vec<_>>().join(", ")
}

fn plans(server: &Value) -> Vec<String> {
    let default = text(server, "default_plan");
    let plans = server["plans"].as_object().into_iter().flatten();
    let told = plans.map(|(name, limit)| {
        let mark = if *name == default { " (default)" } else { "" };
        match limit.as_u64() {
            Some(limit) => format!("{name} {limit}/min{mark}"),
            None => format!("{name} as each key says{mark}"),
        }
    });
    told.collect()
}

fn upstreams(server: &Value) -> Table {
    let mut table = Table::new(&[
        Column("UPSTREAM", Kind::Name),
        Column("KIND", Kind::Word),
        Column("HEALTH", Kind::Word),
        Column("WEIGHT", Kind::Number),
        Column("ANSWERED", Kind::Number),
        Column("FAILED", Kind::Number),
        Column("MODELS", Kind::Sentence),
    ]);
    for upstream in rows(server, "upstreams") {
        let requests = &upstream["requests"];
        let failed = ["failed", "timed_out", "unreachable"].map(|outcome| count(requests, outcome));
        table.row([
            text(upstream, "name").into(),
            text(upstream, "kind").into(),
            health(upstream),
            count(upstream, "weight").to_string().into(),
            count(requests, "answered").to_string().into(),
            failed.iter().sum::<u64>().to_string().into(),
            text(upstream, "models").into(),
        ]);
    }
    table
}

fn health(upstream: &Value) -> Cell {
    match text(upstream, "health").as_str() {
        "up" => Cell::new("up", Style::Good),
        "down" => {
            let since = relative::field(upstream, "down_since", "-");
            Cell::new(&format!("down, {since}"), Style::Bad)
        }
        other => Cell::new(other, Style::Plain),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_about_the_daemon_is_told() {
        let server = json!({
            "version": "0.1.0", "started_at": "2026-11-23T20:40:53.524Z", "uptime_seconds": 60,
            "listeners": {"public": ["127.0.0.1:8080", "[::1]:8080"], "admin": "127.0.0.1:8081",
                "socket": "./data/admin.sock", "tls": true},
            "plans": {"enterprise": null, "free": 10, "standard": 60}, "default_plan": "standard",
            "upstreams": [
                {"name": "ollama", "kind": "openai", "health": "up", "down_since": null, "weight": 2,
                    "models": ["llama3.2", "qwen3"], "requests": {"answered": 3, "failed": 1, "timed_out": 2}},
                {"name": "echo", "kind": "echo", "health": "unknown", "down_since": null, "weight": 1, "models": [],
                    "requests": {}},
            ],
            "keys": {"active": 2, "disabled": 0}, "database": {"path": "./data/mcpd.db", "bytes": 106_792}
        });
        let told = render(&server, Screen::PLAIN);
        let ago = told.split("20:40:53Z (").nth(1).unwrap().split(')').next().unwrap().to_owned();
        let expected = format!(
            "\
version      0.1.0
started      2026-11-23T20:40:53Z ({ago})
for clients  https://127.0.0.1:8080/v1
             https://[::1]:8080/v1
for you      127.0.0.1:8081
             ./data/admin.sock
keys         2 active, 0 disabled
plans        enterprise as each key says
             free 10/min
             standard 60/min (default)
database     ./data/mcpd.db, 104.3 KiB

UPSTREAM  KIND    HEALTH   WEIGHT  ANSWERED  FAILED  MODELS
ollama    openai  up            2         3       3  llama3.2, qwen3
echo      echo    unknown       1         0       0  -
"
        );
        assert_eq!(told, expected);
    }
}
