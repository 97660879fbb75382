//! `mcpd alerts`

use std::path::Path;

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{self, Client};
use super::fields::{count, of, rows, text, time};
use super::output::{Screen, Style, clean, show};
use super::table::{Cell, Column, Kind, Table};
use super::{alert_rules, named};

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  mcpd alerts --status open
  mcpd alerts --key laptop
  mcpd alerts acknowledge alert_0UaLfs3kFvLNR8k4M9K7HGTa
  mcpd alerts rules
  mcpd alerts test rule_9f86d081884c7d659a2feaa0        send a sample alert to the rule's webhook"
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Note that somebody has seen an alert
    #[command(after_help = "Examples:\n  mcpd alerts acknowledge alert_0UaLfs3kFvLNR8k4M9K7HGTa")]
    Acknowledge {
        /// The alert's id
        id: String,
        /// Print the answer of the admin API as it is
        #[arg(long)]
        json: bool,
    },
    /// List the rules that raise alerts, and make, change or delete them
    Rules(Box<alert_rules::Arguments>),
    /// Send a sample alert the way that a rule's alerts go
    #[command(after_help = "Examples:\n  mcpd alerts test rule_9f86d081884c7d659a2feaa0")]
    Test {
        /// The rule's id
        rule: String,
        /// Print the answer of the admin API as it is
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Filter {
    /// Only alerts that are so
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// Only this key's: an id or a name
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The newest so many, 1 to 1000
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print the answer of the admin API as it is
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Status {
    Open,
    Acknowledged,
    Resolved,
}

/// Lists alerts or rules, or does something about one.
pub(super) fn run(arguments: &Arguments, config: Option<&Path>) -> Result<()> {
    client::ask(config, async |client| match &arguments.action {
        None => list(client, &arguments.filter).await,
        Some(Action::Acknowledge { id, json }) => acknowledge(client, id, *json).await,
        Some(Action::Rules(rules)) => alert_rules::run(client, rules).await,
        Some(Action::Test { rule, json }) => test(client, rule, *json).await,
    })
}

async fn list(client: &Client, filter: &Filter) -> Result<()> {
    let key = match &filter.key {
        Some(key) => Some(named::key_id(client, key).await?),
        None => None,
    };
    let limit = filter.limit.to_string();
    let mut asked = vec![("limit", limit.as_str())];
    asked.extend(filter.status.map(|status| ("status", status.name())));
    asked.extend(key.as_deref().map(|key| ("key", key)));
    show(&client.get("/admin/v1/alerts", &asked).await?, filter.json, render)
}

async fn acknowledge(client: &Client, id: &str, json: bool) -> Result<()> {
    let answer = client.post(&named::path("/admin/v1/alerts", id, "/acknowledge")?, &json!({})).await?;
    show(&answer, json, |alert, _| {
        format!("{id} is {}: {}\n", clean(&text(alert, "status")), clean(&text(alert, "summary")))
    })
}

async fn test(client: &Client, rule: &str, json: bool) -> Result<()> {
    let answer = client.post(&named::path("/admin/v1/alert-rules", rule, "/test")?, &json!({})).await?;
    show(&answer, json, |told, _| match (told["delivered"] == true, told["status"].as_u64()) {
        (true, Some(status)) => format!("delivered: the webhook answered with status {status}\n"),
        (true, None) => "delivered: the rule has no webhook, so it stands in the log\n".to_owned(),
        (false, _) => String::new(),
    })?;
    let told = &answer.value;
    if told["delivered"] != true {
        let reason = told["error"].as_str().map(clean);
        let reason =
            reason.unwrap_or_else(|| format!("the webhook answered with status {}", text(told, "status")));
        bail!("the sample alert was not delivered: {reason}");
    }
    Ok(())
}

fn render(alerts: &Value, screen: Screen) -> String {
    let data = rows(alerts, "data");
    let mut table = Table::new(&[
        Column("ID", Kind::Word),
        Column("STATUS", Kind::Word),
        Column("COUNT", Kind::Number),
        // On a narrow terminal the rest is cut off.
        Column("WHAT", Kind::Sentence),
        Column("KIND", Kind::Word),
        Column("LAST SEEN", Kind::Word),
        Column("FIRST SEEN", Kind::Word),
        Column("RULE", Kind::Word),
    ]);
    for alert in data {
        let status = text(alert, "status");
        let style = match status.as_str() {
            "open" => Style::Bad,
            "acknowledged" => Style::Warning,
            _ => Style::Plain,
        };
        table.row([
            text(alert, "id").into(),
            Cell::new(&status, style),
            count(alert, "count").to_string().into(),
            text(alert, "summary").into(),
            text(alert, "kind").into(),
            time(alert, "last_seen_at").into(),
            time(alert, "first_seen_at").into(),
            text(alert, "rule").into(),
        ]);
    }
    if data.is_empty() {
        return "No alerts.\n".to_owned();
    }
    let more = if alerts["has_more"] == true { "There are older ones: see --limit.\n" } else { "" };
    format!("{}{}.\n{more}", table.render(screen), of(data.len() as u64, "alert"))
}

pub(super) fn render_rules(rules: &Value, screen: Screen) -> String {
    let mut table = Table::new(&[
        Column("ID", Kind::Word),
        Column("KIND", Kind::Word),
        Column("ENABLED", Kind::Word),
        Column("KEY", Kind::Word),
        Column("THRESHOLD", Kind::Number),
        Column("WINDOW", Kind::Word),
        Column("WEBHOOK", Kind::Sentence),
    ]);
    for rule in rows(rules, "data") {
        let (enabled, style) =
            if rule["enabled"] == true { ("yes", Style::Good) } else { ("no", Style::Warning) };
        let key = rule["key"].as_str().unwrap_or("all").to_owned();
        let threshold =
            rule["threshold"].as_f64().map_or_else(|| "-".to_owned(), |number| number.to_string());
        table.row([
            text(rule, "id").into(),
            text(rule, "kind").into(),
            Cell::new(enabled, style),
            key.into(),
            threshold.into(),
            text(rule, "window").into(),
            webhook(&rule["webhook"]).into(),
        ]);
    }
    table.render(screen)
}

fn webhook(webhook: &Value) -> String {
    if webhook.is_null() {
        return "-".to_owned();
    }
    let signed = if webhook["signed"] == true { ", signed" } else { "" };
    format!("{} ({}{signed})", text(webhook, "url"), text(webhook, "format"))
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_listed_with_what_they_say() {
        let alerts = json!({"object": "list", "has_more": true, "data": [
            {"id": "alert_1", "object": "alert", "rule": "rule_1", "kind": "failed_auth", "key": null, "status": "open",
                "count": 10_000, "first_seen_at": "2026-11-23T20:41:49.194Z", "last_seen_at": "2026-11-23T20:44:00Z",
                "summary": "203.0.113.9 tries keys that are none: 10000 times", "details": {}},
        ]});
        let expected = "\
ID       STATUS  COUNT  WHAT                                               KIND         LAST SEEN             FIRST SEEN            RULE
alert_1  open    10000  203.0.113.9 tries keys that are none: 10000 times  failed_auth  2026-11-23T20:44:00Z  2026-11-23T20:41:49Z  rule_1
1 alert.
There are older ones: see --limit.
";
        assert_eq!(render(&alerts, Screen::PLAIN), expected);
        assert_eq!(render(&json!({"data": []}), Screen::PLAIN), "No alerts.\n");
    }

    #[test]
    fn rules_are_listed_with_where_their_alerts_go() {
        let rules = json!({"data": [
            {"id": "rule_1", "kind": "error_rate", "enabled": true, "key": null, "threshold": 0.5, "window": "5m",
                "webhook": null},
            {"id": "rule_2", "kind": "key_expiring", "enabled": false, "key": "key_1", "threshold": 7, "window": null,
                "webhook": {"url": "https://ntfy.example/mcpd", "format": "ntfy", "signed": true}},
        ]});
        let expected = "\
ID      KIND          ENABLED  KEY    THRESHOLD  WINDOW  WEBHOOK
rule_1  error_rate    yes      all          0.5  5m      -
rule_2  key_expiring  no       key_1          7  -       https://ntfy.example/mcpd (ntfy, signed)
";
        assert_eq!(render_rules(&rules, Screen::PLAIN), expected);
    }
}
