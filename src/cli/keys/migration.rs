//! `mcpd keys migration`

use anyhow::Result;
use serde_json::Value;

use super::Key;
use crate::cli::client::Client;
use crate::cli::fields::{self, count, of, rows, text, time};
use crate::cli::output::{Screen, clean, show};
use crate::cli::table::{Column, Kind, Table};

/// Tells how far a rotation has come.
pub(super) async fn tell(client: &Client, key: &Key) -> Result<()> {
    let answer = client.get(&key.path(client, "/migration").await?, &[]).await?;
    show(&answer, key.json, render)
}

fn render(migration: &Value, screen: Screen) -> String {
    let mut shown = vec![format!("Rotated at {}.", time(migration, "rotated_at"))];
    if !migration["old_expires_at"].is_null() {
        shown.push(format!(" The old key's end: {}.", time(migration, "old_expires_at")));
    }
    let is_over = migration["old_status"].as_str().is_some_and(|status| status != "active");
    if !migration["revoke_when_quiet"].is_null() && !is_over {
        let quiet = clean(&text(migration, "revoke_when_quiet"));
        shown.push(format!(" It is revoked once it has been quiet for {quiet}."));
    }
    shown.push(format!("\n\n{}", sides(migration).render(screen)));
    let clients = clients(migration);
    if !clients.is_empty() {
        shown.push(format!("\n{}", table(&clients).render(screen)));
    }
    for (side, name) in SIDES {
        let more = count(&migration[side], "more_clients");
        if more > 0 {
            shown.push(format!("And {} of the {name} key.\n", of(more, "more client")));
        }
    }
    let verdict = clean(&text(migration, "verdict"));
    let style = fields::style(migration["safe_to_revoke"] == true);
    shown.push(format!("\n{}\n", screen.paint(&verdict, style)));
    shown.concat()
}

/// Fields of the two keys, and what they are called.
const SIDES: [(&str, &str); 2] = [("old", "old"), ("new", "new")];

/// Both keys, a row each.
fn sides(migration: &Value) -> Table {
    let mut table = Table::new(&[
        Column("", Kind::Word),
        Column("KEY", Kind::Word),
        Column("NAME", Kind::Name),
        Column("REQUESTS", Kind::Number),
        Column("ERRORS", Kind::Number),
        Column("LAST USED", Kind::Word),
    ]);
    for (side, name) in SIDES {
        let key = &migration[side];
        let (requests, errors) = (count(key, "requests").to_string(), count(key, "errors").to_string());
        let last_used = time(key, "last_used_at");
        table.texts([name.to_owned(), text(key, "key"), text(key, "name"), requests, errors, last_used]);
    }
    table
}

/// Who uses which of the keys.
fn clients(migration: &Value) -> Vec<(&'static str, &Value)> {
    let of_side = |(side, name)| rows(&migration[side], "clients").iter().map(move |client| (name, client));
    SIDES.into_iter().flat_map(of_side).collect()
}

fn table(clients: &[(&str, &Value)]) -> Table {
    let mut table = Table::new(&[
        Column("USES", Kind::Word),
        Column("ADDRESS", Kind::Word),
        Column("USER AGENT", Kind::Name),
        Column("ENDPOINT", Kind::Word),
        Column("REQUESTS", Kind::Number),
        Column("ERRORS", Kind::Number),
        Column("LAST SEEN", Kind::Word),
    ]);
    for (side, client) in clients {
        table.texts([
            (*side).to_owned(),
            text(client, "ip"),
            text(client, "user_agent"),
            text(client, "endpoint"),
            count(client, "requests").to_string(),
            count(client, "errors").to_string(),
            time(client, "last_seen_at"),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_migration_is_told_with_who_still_uses_the_old_key() {
        let migration = json!({
            "object": "migration", "rotated_at": "2026-11-20T10:00:00.5Z", "old_expires_at": "2026-11-24T10:00:00Z",
            "revoke_when_quiet": "24h", "old_status": "active",
            "old": {"key": "key_1", "name": "laptop", "requests": 14, "errors": 2,
                "last_used_at": "2026-11-23T09:00:00Z", "more_clients": 3,
                "clients": [{"ip": "203.0.113.9", "user_agent": "python-requests/2.31",
                    "endpoint": "/v1/chat/completions", "requests": 14, "errors": 2,
                    "last_seen_at": "2026-11-23T09:00:00Z"}]},
            "new": {"key": "key_2", "name": "laptop", "requests": 0, "errors": 0, "last_used_at": null, "clients": []},
            "safe_to_revoke": false, "verdict": "Not yet: 203.0.113.9 still uses the old key."
        });
        let expected = "\
Rotated at 2026-11-20T10:00:00Z. The old key's end: 2026-11-24T10:00:00Z. It is revoked once it has been quiet for 24h.

     KEY    NAME    REQUESTS  ERRORS  LAST USED
old  key_1  laptop        14       2  2026-11-23T09:00:00Z
new  key_2  laptop         0       0  -

USES  ADDRESS      USER AGENT            ENDPOINT              REQUESTS  ERRORS  LAST SEEN
old   203.0.113.9  python-requests/2.31  /v1/chat/completions        14       2  2026-11-23T09:00:00Z
And 3 more clients of the old key.

Not yet: 203.0.113.9 still uses the old key.
";
        assert_eq!(render(&migration, Screen::PLAIN), expected);
    }

    #[test]
    fn a_migration_without_clients_has_no_empty_table() {
        let side = json!({"key": "key_1", "requests": 0, "errors": 0, "last_used_at": null, "clients": []});
        let migration = json!({
            "rotated_at": "2026-11-20T10:00:00Z", "old_expires_at": null, "old": side, "new": side,
            "safe_to_revoke": true, "verdict": "Safe to revoke."
        });
        let shown = render(&migration, Screen::PLAIN);
        assert!(shown.ends_with("\n\nSafe to revoke.\n") && !shown.contains("ADDRESS"), "{shown}");
        let coloured = render(&migration, Screen { width: Some(80), colours: true });
        assert!(coloured.ends_with("\n\x1b[32mSafe to revoke.\x1b[0m\n"), "{coloured}");
    }
}
