//! `mcpd audit`

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::{self, Client};
use super::fields::{count, of, rows, text, time};
use super::named;
use super::output::{PrivateFile, Screen, clean, show};
use super::table::{Column, Kind, Table};

const EXPORT: &str = "/admin/v1/audit/export";

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  mcpd audit --limit 20
  mcpd audit --action key.revoke
  mcpd audit --target key_vLNR8k4M9K7HGTapx8IlzNws
  mcpd audit verify                 whether the log is as it was written
  mcpd audit export audit.jsonl     all of it, a JSON object a line"
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Prove that the log is as it was written: no row changed, moved or missing
    #[command(after_help = "Examples:\n  mcpd audit verify\n  mcpd audit verify --json")]
    Verify {
        /// Print the answer of the admin API as it is
        #[arg(long)]
        json: bool,
    },
    /// Write out all of the log, oldest first, a JSON object a line
    #[command(after_help = "Examples:\n  mcpd audit export audit.jsonl\n  mcpd audit export | jq -r .action")]
    Export {
        /// A new file, which only its owner can read; standard output where nothing is said
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct Filter {
    /// The newest so many, 1 to 1000
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only changes of this kind, such as key.create
    #[arg(long)]
    action: Option<String>,
    /// Only changes to this id
    #[arg(long, value_name = "ID")]
    target: Option<String>,
    /// Print the answer of the admin API as it is
    #[arg(long)]
    json: bool,
}

/// Lists changes, proves that the log is whole, or writes it out.
pub(super) fn run(arguments: &Arguments, config: Option<&Path>) -> Result<()> {
    client::ask(config, async |client| match &arguments.action {
        None => list(client, &arguments.filter).await,
        Some(Action::Verify { json }) => verify(client, *json).await,
        Some(Action::Export { file: Some(path) }) => export(client, path).await,
        Some(Action::Export { file: None }) => print_all(client).await,
    })
}

async fn list(client: &Client, filter: &Filter) -> Result<()> {
    filter.target.as_deref().map_or(Ok(()), named::refuse_secret)?;
    let limit = filter.limit.to_string();
    let mut asked = vec![("limit", limit.as_str())];
    asked.extend(filter.action.as_deref().map(|action| ("action", action)));
    asked.extend(filter.target.as_deref().map(|target| ("target", target)));
    show(&client.get("/admin/v1/audit", &asked).await?, filter.json, render)
}

async fn verify(client: &Client, json: bool) -> Result<()> {
    let answer = client.get_patiently("/admin/v1/audit/verify").await?;
    show(&answer, json, |told, _| {
        let looked_at = of(count(told, "rows"), "row");
        match told["ok"].as_bool() {
            Some(true) => format!(
                "{looked_at}, each as it was written; the last one's digest: {}\n",
                text(told, "head")
            ),
            _ => format!("{looked_at} looked at\n"),
        }
    })?;
    if answer.value["ok"] != true {
        let bad = &answer.value["first_bad"];
        bail!(
            "the audit log is not as it was written: {}: {}",
            clean(&text(bad, "id")),
            clean(&text(bad, "reason"))
        );
    }
    Ok(())
}

async fn export(client: &Client, path: &Path) -> Result<()> {
    let mut file = PrivateFile::create(path)?;
    client.download(EXPORT, &mut file).await?;
    file.keep()
}

/// A reader who has seen enough is no error.
async fn print_all(client: &Client) -> Result<()> {
    let printed = client.download(EXPORT, &mut stdout().lock()).await;
    let is_enough = |error: &anyhow::Error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    };
    match printed {
        Err(error) if is_enough(&error) => Ok(()),
        printed => printed,
    }
}

fn render(log: &Value, screen: Screen) -> String {
    let mut table = Table::new(&[
        Column("AT", Kind::Word),
        Column("WHO", Kind::Word),
        Column("ACTION", Kind::Word),
        Column("TARGET", Kind::Word),
        Column("NAME", Kind::Name),
        Column("CHANGED", Kind::Sentence),
    ]);
    for row in rows(log, "data") {
        let (before, after) = (&row["before"], &row["after"]);
        let name = text(if after.is_null() { before } else { after }, "name");
        let who = who(&row["actor"]);
        table.texts([
            time(row, "at"),
            who,
            text(row, "action"),
            text(row, "target"),
            name,
            changed(before, after),
        ]);
    }
    let more = if log["has_more"] == true {
        "There are older ones: see --limit, or `mcpd audit export`.\n"
    } else {
        ""
    };
    table.render(screen) + more
}

/// Who it was: how they came in, and as which user and process.
fn who(actor: &Value) -> String {
    let process = ["uid", "pid"].map(|name| actor[name].as_i64().map(|number| format!("{name} {number}")));
    [Some(text(actor, "via"))].into_iter().chain(process).flatten().collect::<Vec<_>>().join(" ")
}

/// The names of the fields that differ, where there were some before and are some after.
fn changed(before: &Value, after: &Value) -> String {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else { return "-".to_owned() };
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = |name: &&&String| before.get(**name) != after.get(**name);
    names.iter().filter(differs).map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_are_listed_with_who_made_them_and_what_they_changed() {
        let log = json!({"object": "list", "has_more": true, "data": [
            {"id": "audit_2", "at": "2026-11-23T20:41:49.194Z", "actor": {"via": "socket", "uid": 1000, "pid": 4242},
                "action": "key.update", "target": "key_1", "digest": "32", "previous_digest": "41",
                "before": {"name": "laptop", "plan": "free", "enabled": true},
                "after": {"name": "laptop", "plan": "standard", "enabled": false}},
            {"id": "audit_1", "at": "2026-11-23T20:40:00Z", "actor": {"via": "token"}, "action": "key.create",
                "target": "key_1", "before": null, "after": {"name": "laptop"}, "digest": "41",
                "previous_digest": "00"},
        ]});
        let expected = "\
AT                    WHO                       ACTION      TARGET  NAME    CHANGED
2026-11-23T20:41:49Z  socket uid 1000 pid 4242  key.update  key_1   laptop  enabled, plan
2026-11-23T20:40:00Z  token                     key.create  key_1   laptop  -
There are older ones: see --limit, or `mcpd audit export`.
";
        assert_eq!(render(&log, Screen::PLAIN), expected);
    }
}
