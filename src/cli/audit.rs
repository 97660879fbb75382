//! `mcpd audit`

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::signal::unix::SignalKind;

use super::client::{self, Client};
use super::fields::{count, of, plain, rows, text, time};
use super::interrupt;
use super::named;
use super::output::{PrivateFile, Screen, clean, print, show};
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
        /// Tell as JSON what was written to the file; without one, the log is JSON anyway
        #[arg(long)]
        json: bool,
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
        Some(Action::Export { file: Some(path), json }) => export(client, path, *json).await,
        Some(Action::Export { file: None, .. }) => print_all(client).await,
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

async fn export(client: &Client, path: &Path, json: bool) -> Result<()> {
    // A hang-up is not among them: it is for `nohup` to say whether that ends the command.
    let signals = [SignalKind::interrupt(), SignalKind::terminate()];
    let rows = interrupt::unless(&signals, async {
        let mut file = PrivateFile::create(path)?;
        let rows = client.download(EXPORT, &mut file).await?;
        file.keep()?;
        Ok(rows)
    })
    .await?;
    if json {
        let told = json!({"object": "audit_export", "file": path.display().to_string(), "rows": rows});
        print(&format!("{told}\n"))?;
    }
    Ok(())
}

/// A reader who has seen enough is no error.
async fn print_all(client: &Client) -> Result<()> {
    let printed = client.download(EXPORT, &mut stdout().lock()).await.map(drop);
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
        let shown = if after.is_null() { before } else { after };
        // What has no name is told apart by its kind.
        let name = text(shown, if shown["name"].is_null() { "kind" } else { "name" });
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

/// What differs from before; of what is new or gone and has no name, what it is.
fn changed(before: &Value, after: &Value) -> String {
    let (old, new) = (fields_of(before), fields_of(after));
    let told: Vec<String> = if before.is_object() && after.is_object() {
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let shown = |of: &Fields, name: &str| of.get(name).map_or_else(|| "-".to_owned(), plain);
        let differs = |name: &&&String| old.get(**name) != new.get(**name);
        let tell = |name: &&String| format!("{name}: {} → {}", shown(&old, name), shown(&new, name));
        names.iter().filter(differs).map(tell).collect()
    } else {
        let fields = if after.is_object() { new } else { old };
        let is_named = fields.contains_key("name");
        let tells = |name: &str| !is_named && !matches!(name, "id" | "kind");
        fields
            .iter()
            .filter(|(name, _)| tells(name))
            .map(|(name, value)| format!("{name}: {}", plain(value)))
            .collect()
    };
    if told.is_empty() { "-".to_owned() } else { told.join(", ") }
}

/// Values by the path to them, such as `webhook.format`; what is `null` is left out.
type Fields = BTreeMap<String, Value>;

fn fields_of(value: &Value) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::Object(_) => {
                fields.extend(
                    fields_of(value).into_iter().map(|(rest, value)| (format!("{name}.{rest}"), value)),
                );
            }
            _ => drop(fields.insert(name.clone(), value.clone())),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_listed_with_who_made_them_and_what_they_changed() {
        let log = json!({"object": "list", "has_more": true, "data": [
            {"id": "audit_2", "at": "2026-11-23T20:41:49.194Z", "actor": {"via": "socket", "uid": 1000, "pid": 4242},
                "action": "key.update", "target": "key_1", "digest": "32", "previous_digest": "41",
                "before": {"name": "laptop", "plan": "free", "scopes": [], "expires_at": null},
                "after": {"name": "laptop", "plan": "standard", "scopes": ["a", "b"], "expires_at": "2027-01-01T00:00:00Z"}},
            {"id": "audit_1", "at": "2026-11-23T20:40:00Z", "actor": {"via": "token"}, "action": "key.create",
                "target": "key_1", "before": null, "after": {"name": "laptop"}, "digest": "41",
                "previous_digest": "00"},
        ]});
        let expected = "\
AT                    WHO                       ACTION      TARGET  NAME    CHANGED
2026-11-23T20:41:49Z  socket uid 1000 pid 4242  key.update  key_1   laptop  expires_at: - → 2027-01-01T00:00:00Z, plan: free → standard, scopes: - → a, b
2026-11-23T20:40:00Z  token                     key.create  key_1   laptop  -
There are older ones: see --limit, or `mcpd audit export`.
";
        assert_eq!(render(&log, Screen::PLAIN), expected);
    }

    #[test]
    fn of_what_has_no_name_it_is_told_what_it_is_and_what_became_of_it() {
        let rule = json!({"id": "rule_1", "kind": "failed_auth", "key": null, "enabled": true, "threshold": 20,
            "webhook": null});
        let mut after = rule.clone();
        after["webhook"] = json!({"origin": "https://ntfy.example", "signed": false});
        after["threshold"] = json!(5);
        let cases = [
            (json!(null), &rule, "enabled: true, threshold: 20"),
            (
                rule.clone(),
                &after,
                "threshold: 20 → 5, webhook.origin: - → https://ntfy.example, webhook.signed: - → false",
            ),
            (
                after.clone(),
                &json!(null),
                "enabled: true, threshold: 5, webhook.origin: https://ntfy.example, \
              webhook.signed: false",
            ),
            (json!(null), &json!(null), "-"),
        ];
        for (before, after, expected) in cases {
            assert_eq!(changed(&before, after), expected);
        }
        let row = json!({"action": "alert_rule.create", "target": "rule_1", "before": null, "after": rule});
        let table = render(&json!({"data": [row]}), Screen::PLAIN);
        assert!(table.contains("rule_1  failed_auth  enabled: true, threshold: 20"), "{table}");
    }
}
