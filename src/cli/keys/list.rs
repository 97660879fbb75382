//! `mcpd keys list`

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::plans;
use crate::cli::client::{Answer, Client};
use crate::cli::fields::{count, of, text};
use crate::cli::output::{Screen, Style, show};
use crate::cli::relative;
use crate::cli::table::{Cell, Column, Kind, Table};

/// Which keys to list.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only keys that are so
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// Only keys with this in their name, hint or metadata
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// What to list them by: when they were made, where nothing is said
    #[arg(long, value_enum)]
    sort: Option<Sort>,
    /// Which end comes first: the latest, where nothing is said
    #[arg(long, value_enum)]
    order: Option<Order>,
    /// Print the answer of the admin API as it is
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Status {
    Active,
    Disabled,
    Expired,
    Revoked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Sort {
    Created,
    Name,
    LastUsed,
    Expires,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    Asc,
    Desc,
}

/// Lists keys, all of them that are asked for.
pub(super) async fn run(client: &Client, arguments: &List) -> Result<()> {
    let List { status, search, sort, order, .. } = arguments;
    let is_filtered = status.is_some() || search.is_some();
    let asked = [
        ("status", spelt(*status)),
        ("search", search.clone()),
        ("sort", spelt(*sort)),
        ("order", spelt(*order)),
    ];
    let asked: Vec<_> = asked.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let value = whole(&client.list("/admin/v1/keys", &asked).await?);
    let answer = Answer { text: value.to_string(), value };
    show(&plans::marked(client, answer, arguments.json).await?, arguments.json, |keys, screen| {
        render(keys, is_filtered, screen)
    })
}

/// Returns how a choice is written.
fn spelt(choice: Option<impl ValueEnum>) -> Option<String> {
    Some(choice?.to_possible_value()?.get_name().to_owned())
}

/// Returns rows of several pages as one list.
fn whole(rows: &[Value]) -> Value {
    let id = |row: Option<&Value>| row.map_or(Value::Null, |row| row["id"].clone());
    let (first, last) = (id(rows.first()), id(rows.last()));
    json!({"object": "list", "data": rows, "has_more": false, "first_id": first, "last_id": last})
}

/// A column that may be left out where there is no room, and what it shows of a key.
struct Shown(Column, fn(&Value) -> Cell);

/// The columns, those last that are left out first.
const COLUMNS: [(usize, Shown); 8] = [
    (0, Shown(Column("NAME", Kind::Name), |key| text(key, "name").into())),
    (1, Shown(Column("ID", Kind::Word), |key| text(key, "id").into())),
    (3, Shown(Column("STATUS", Kind::Word), status)),
    (4, Shown(Column("LIMIT", Kind::Word), |key| limit(key).into())),
    (5, Shown(Column("EXPIRES", Kind::Word), |key| relative::field(key, "expires_at", "never").into())),
    (6, Shown(Column("LAST USED", Kind::Word), |key| relative::field(key, "last_used_at", "never").into())),
    (2, Shown(Column("HINT", Kind::Word), |key| text(key, "hint").into())),
    (7, Shown(Column("SCOPES", Kind::Sentence), |key| text(key, "scopes").into())),
];

fn status(key: &Value) -> Cell {
    let status = text(key, "status");
    let style = match status.as_str() {
        "active" => Style::Good,
        "revoked" => Style::Bad,
        _ => Style::Warning,
    };
    Cell::new(&status, style)
}

/// Returns the limit in force, and the plan that it may come from.
pub(super) fn limit(key: &Value) -> String {
    format!("{}/min {}", count(key, "requests_per_minute"), text(key, "plan"))
}

fn render(keys: &Value, is_filtered: bool, screen: Screen) -> String {
    let rows = keys["data"].as_array().map_or(&[][..], Vec::as_slice);
    match (rows.is_empty(), is_filtered) {
        (true, true) => return "No such keys: `mcpd keys list` without more lists all.\n".to_owned(),
        (true, false) => return "No keys. Make one with `mcpd keys create -i`.\n".to_owned(),
        _ => {}
    }
    let all = COLUMNS.len();
    let shown = (3..=all).rev().find(|most| table(rows, *most).fits(screen)).unwrap_or(3);
    let hidden = if shown < all { " `mcpd keys show KEY` tells all about one." } else { "" };
    let count = of(rows.len() as u64, "key");
    format!("{}{count}.{hidden}\n{}", table(rows, shown).render(screen), plans::note(rows))
}

/// Returns a table with so many columns.
fn table(keys: &[Value], most: usize) -> Table {
    let mut shown: Vec<&(usize, Shown)> = COLUMNS[..most].iter().collect();
    shown.sort_by_key(|(place, _)| *place);
    let mut table = Table::new(&shown.iter().map(|(_, shown)| shown.0).collect::<Vec<_>>());
    for key in keys {
        table.row(shown.iter().map(|(_, shown)| (shown.1)(key)));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Value {
        json!({"data": [
            {"id": "key_vLNR8k4M9K7HGTapx8IlzNws", "name": "a laptop with a long name", "hint": "mcp_sk_AbCd…wXyZ",
             "status": "active", "scopes": ["chats:create", "models:read"], "plan": "standard",
             "requests_per_minute": 60, "expires_at": null, "last_used_at": null},
            {"id": "key_0000000000000000000000ab", "name": "old", "hint": "mcp_sk_0000…0000",
             "status": "revoked", "scopes": ["*"], "plan": "free", "requests_per_minute": 5, "expires_at": null,
             "last_used_at": null},
        ]})
    }

    #[test]
    fn a_wide_screen_shows_all_of_it() {
        let expected = "\
NAME                       ID                            HINT              STATUS   LIMIT            EXPIRES  LAST USED  SCOPES
a laptop with a long name  key_vLNR8k4M9K7HGTapx8IlzNws  mcp_sk_AbCd…wXyZ  active   60/min standard  never    never      chats:create, models:read
old                        key_0000000000000000000000ab  mcp_sk_0000…0000  revoked  5/min free       never    never      *
2 keys.
";
        assert_eq!(render(&keys(), false, Screen::PLAIN), expected);
    }

    #[test]
    fn a_narrow_screen_shows_what_matters_most() {
        let cases =
            [(60, "STATUS\n"), (80, "EXPIRES\n"), (95, "LAST USED\n"), (110, "HINT"), (150, "SCOPES\n")];
        for (width, last) in cases {
            let told = render(&keys(), false, Screen { width: Some(width), colours: true });
            let plain = render(&keys(), false, Screen { width: Some(width), colours: false });
            assert!(plain.lines().take(3).all(|line| line.chars().count() <= width), "{width}: {plain}");
            assert!(plain.lines().next().unwrap().contains(last.trim()), "{width}: {plain}");
            assert!(
                plain.contains("key_vLNR8k4M9K7HGTapx8IlzNws") && told.contains("\x1b[32mactive"),
                "{told}"
            );
            assert_eq!(plain.contains("tells all about one"), width < 130, "{width}: {plain}");
        }
    }

    #[test]
    fn an_empty_list_says_what_next() {
        let none = json!({"data": []});
        assert!(render(&none, false, Screen::PLAIN).contains("mcpd keys create -i"));
        assert!(render(&none, true, Screen::PLAIN).contains("mcpd keys list"));
    }
}
