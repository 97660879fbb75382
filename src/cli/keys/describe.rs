//! `mcpd keys show`

use anyhow::Result;
use serde_json::Value;

use super::{Key, plans};
use crate::cli::client::Client;
use crate::cli::fields::{count, rows, text, time};
use crate::cli::output::{Screen, Style, clean, show};
use crate::cli::relative;
use crate::cli::sheet::Sheet;

/// Tells all about a key.
pub(super) async fn run(client: &Client, key: &Key) -> Result<()> {
    let answer = client.get(&key.path(client, "").await?, &[]).await?;
    show(&plans::marked(client, answer, key.json).await?, key.json, render)
}

/// Returns all about a key, readable.
pub(super) fn render(key: &Value, screen: Screen) -> String {
    let mut sheet = Sheet::default();
    sheet.add("name", text(key, "name"));
    sheet.add("id", text(key, "id"));
    sheet.add("hint", text(key, "hint"));
    let status = text(key, "status");
    let style = if status == "active" { Style::Good } else { Style::Bad };
    sheet.add_styled("status", &status, style);
    sheet.add(
        "scopes",
        if text(key, "scopes") == "*" { "everything (*)".to_owned() } else { text(key, "scopes") },
    );
    let limit = count(key, "requests_per_minute");
    sheet.add("limit", format!("{limit} requests a minute (plan {})", text(key, "plan")));
    let at_once =
        key["max_concurrent"].as_u64().map_or_else(|| "any number".to_owned(), |most| most.to_string());
    sheet.add("at once", at_once);
    sheet.add("from", or(key, "allowed_ips", "anywhere"));
    sheet.add("models", or(key, "allowed_models", "all"));
    sheet.add("signatures", if key["require_signature"] == true { "required" } else { "not required" });
    if !rows(key, "report_only").is_empty() {
        sheet.add("only tried out", text(key, "report_only"));
    }
    let notes = key["metadata"].as_object().into_iter().flatten();
    sheet.add_all(
        "metadata",
        notes.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())),
    );
    sheet.add("created", moment(key, "created_at", "-"));
    sheet.add("expires", moment(key, "expires_at", "never"));
    if !key["revoked_at"].is_null() {
        sheet.add("revoked", moment(key, "revoked_at", "-"));
    }
    let ip = key["last_used_ip"].as_str().map(|ip| format!(" from {ip}")).unwrap_or_default();
    sheet.add("last used", format!("{}{ip}", moment(key, "last_used_at", "never")));
    if !key["rotated_from"].is_null() {
        sheet.add("rotated from", text(key, "rotated_from"));
    }
    if !key["rotated_to"].is_null() {
        sheet.add("rotated to", format!("{} at {}", text(key, "rotated_to"), moment(key, "rotated_at", "-")));
    }
    if !key["revoke_when_quiet"].is_null() {
        sheet.add("revoked when quiet", text(key, "revoke_when_quiet"));
    }
    let next = next(key).map(|next| format!("\n{}\n", clean(&next))).unwrap_or_default();
    sheet.render(screen) + &plans::note(std::slice::from_ref(key)) + &next
}

fn or(key: &Value, field: &str, none: &str) -> String {
    if rows(key, field).is_empty() { none.to_owned() } else { text(key, field) }
}

fn moment(key: &Value, field: &str, none: &str) -> String {
    match &key[field] {
        Value::Null => none.to_owned(),
        _ => format!("{} ({})", time(key, field), relative::field(key, field, "-")),
    }
}

/// Returns what may be done about the key.
fn next(key: &Value) -> Option<String> {
    let id = text(key, "id");
    match key["status"].as_str()? {
        "active" if !key["rotated_to"].is_null() => {
            Some(format!("Who still uses it: mcpd keys migration {id}"))
        }
        "disabled" => Some(format!("To let it through again: mcpd keys update {id} --enable")),
        "expired" => {
            Some(format!("To let it through again: mcpd keys update {id} --expires-in 90d, or --no-expiry"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_about_a_key_is_told() {
        let key = json!({
            "id": "key_1", "name": "laptop", "hint": "mcp_sk_AbCd…wXyZ", "status": "disabled", "scopes": ["*"],
            "plan": "standard", "requests_per_minute": 60, "max_concurrent": null, "allowed_ips": ["10.0.0.0/8"],
            "allowed_models": [], "metadata": {"owner": "ann", "team": "x"}, "require_signature": true,
            "report_only": ["allowed_ips"], "revoke_when_quiet": null, "created_at": "2000-01-01T00:00:00Z",
            "expires_at": null, "revoked_at": null, "last_used_at": null, "last_used_ip": null,
            "rotated_from": "key_0", "rotated_to": null, "rotated_at": null
        });
        let told = render(&key, Screen::PLAIN);
        let days = told.split("2000-01-01T00:00:00Z (").nth(1).unwrap().split(')').next().unwrap().to_owned();
        let expected = format!(
            "\
name            laptop
id              key_1
hint            mcp_sk_AbCd…wXyZ
status          disabled
scopes          everything (*)
limit           60 requests a minute (plan standard)
at once         any number
from            10.0.0.0/8
models          all
signatures      required
only tried out  allowed_ips
metadata        owner=ann
                team=x
created         2000-01-01T00:00:00Z ({days})
expires         never
last used       never
rotated from    key_0

To let it through again: mcpd keys update key_1 --enable
"
        );
        assert_eq!(told, expected);
    }
}
