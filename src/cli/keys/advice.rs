//! `mcpd keys advice`

use anyhow::Result;
use serde_json::Value;

use super::Key;
use crate::cli::client::Client;
use crate::cli::fields::{count, of, plain, rows, text, time};
use crate::cli::output::{Screen, clean, show};
use crate::cli::table::{Column, Kind, Table};

/// Tells which settings of a key could be tighter.
pub(super) async fn tell(client: &Client, key: &Key) -> Result<()> {
    let answer = client.get(&key.path(client, "/advice").await?, &[]).await?;
    show(&answer, key.json, render)
}

fn render(advice: &Value, screen: Screen) -> String {
    let requests = of(count(&advice["used"], "requests"), "request");
    let range = format!("from {} to {}", time(advice, "from"), time(advice, "to"));
    let first = format!("{}: {requests} let through {range}.\n\n", clean(&text(advice, "key")));
    let mut shown = vec![first, used(advice).render(screen)];
    let suggestions = rows(advice, "suggestions");
    let noted = rows(advice, "report_only");
    if !noted.is_empty() {
        shown.push(format!(
            "\nWhat settings that are only tried out would have refused:\n\n{}",
            report(noted).render(screen)
        ));
    }
    let remarks = rows(advice, "notes").iter().filter_map(Value::as_str);
    shown.extend(remarks.map(|remark| format!("\n{}\n", clean(remark))));
    if suggestions.is_empty() {
        shown.push("\nNothing to suggest.\n".to_owned());
        return shown.concat();
    }
    shown.push(format!("\n{}", suggested(suggestions).render(screen)));
    shown.push(apply(advice));
    shown.concat()
}

/// How all of it is applied.
fn apply(advice: &Value) -> String {
    let (key, patch) = (text(advice, "key"), &advice["patch"]);
    let command = patch.as_object().and_then(|patch| super::apply::command(&key, patch));
    let command = command.unwrap_or_else(|| clean(&format!("PATCH /admin/v1/keys/{key}: {patch}")));
    format!("\nTo apply all of it:\n\n    {command}\n")
}

/// What was given beside what was used.
fn used(advice: &Value) -> Table {
    let (given, used) = (&advice["given"], &advice["used"]);
    let names = |field: &str, name: &str| {
        let all: Vec<String> = rows(used, field).iter().map(|row| text(row, name)).collect();
        if all.is_empty() { "-".to_owned() } else { all.join(", ") }
    };
    let mut table = Table::new(&[
        Column("SETTING", Kind::Word),
        Column("GIVEN", Kind::Sentence),
        Column("USED", Kind::Sentence),
    ]);
    for (setting, used) in [
        ("scopes", text(used, "scopes")),
        ("allowed_ips", names("addresses", "ip")),
        ("allowed_models", names("models", "model")),
        ("requests_per_minute", text(used, "peak_requests_per_minute")),
        ("max_concurrent", text(used, "peak_concurrent")),
    ] {
        table.texts([setting.to_owned(), text(given, setting), used]);
    }
    table
}

fn suggested(suggestions: &[Value]) -> Table {
    let mut table = Table::new(&[
        Column("SUGGESTED", Kind::Word),
        Column("FROM", Kind::Sentence),
        Column("TO", Kind::Sentence),
        Column("WHY", Kind::Sentence),
    ]);
    for suggestion in suggestions {
        let change = [plain(&suggestion["from"]), plain(&suggestion["to"])];
        let [from, to] = change;
        table.texts([text(suggestion, "setting"), from, to, text(suggestion, "reason")]);
    }
    table
}

fn report(noted: &[Value]) -> Table {
    let mut table = Table::new(&[
        Column("SETTING", Kind::Word),
        Column("VALUE", Kind::Name),
        Column("REQUESTS", Kind::Number),
        Column("LAST", Kind::Word),
    ]);
    for row in noted {
        let requests = count(row, "requests").to_string();
        table.texts([text(row, "setting"), text(row, "value"), requests, time(row, "last_at")]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn advice() -> Value {
        json!({
            "object": "advice", "key": "key_1", "from": "2026-10-24T00:00:00Z", "to": "2026-11-23T20:00:00Z",
            "given": {"scopes": ["*"], "allowed_ips": [], "allowed_models": [], "requests_per_minute": 60,
                "max_concurrent": null},
            "used": {"requests": 1204, "scopes": ["chats:create", "models:read"],
                "addresses": [{"ip": "203.0.113.9", "requests": 1204, "last_seen_at": "2026-11-23T20:00:00Z"}],
                "models": [{"model": "llama3.2", "requests": 1200}],
                "peak_requests_per_minute": 9, "peak_concurrent": 2},
            "suggestions": [{"setting": "scopes", "from": ["*"], "to": ["chats:create", "models:read"],
                "reason": "nothing else was called for"}],
            "patch": {"scopes": ["chats:create", "models:read"]},
            "report_only": [{"setting": "allowed_ips", "value": "198.51.100.7", "requests": 3,
                "last_at": "2026-11-20T00:00:00Z"}]
        })
    }

    #[test]
    fn advice_is_told_with_the_command_that_applies_it() {
        let expected = "\
key_1: 1204 requests let through from 2026-10-24T00:00:00Z to 2026-11-23T20:00:00Z.

SETTING              GIVEN  USED
scopes               *      chats:create, models:read
allowed_ips          -      203.0.113.9
allowed_models       -      llama3.2
requests_per_minute  60     9
max_concurrent       -      2

What settings that are only tried out would have refused:

SETTING      VALUE         REQUESTS  LAST
allowed_ips  198.51.100.7         3  2026-11-20T00:00:00Z

SUGGESTED  FROM  TO                         WHY
scopes     *     chats:create, models:read  nothing else was called for

To apply all of it:

    mcpd keys update key_1 --scope=chats:create --scope=models:read
";
        assert_eq!(render(&advice(), Screen::PLAIN), expected);
    }

    #[test]
    fn no_advice_is_told_as_such() {
        let mut none = advice();
        (none["suggestions"], none["report_only"]) = (json!([]), json!([]));
        none["notes"] = json!(["Nothing was let through."]);
        let shown = render(&none, Screen::PLAIN);
        assert!(shown.ends_with("\nNothing was let through.\n\nNothing to suggest.\n"), "{shown}");
        assert!(!shown.contains("apply") && !shown.contains("tried out"), "{shown}");
    }
}
