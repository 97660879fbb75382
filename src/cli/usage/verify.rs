//! `mcpd usage verify`

use anyhow::{Result, bail};
use serde_json::Value;

use crate::cli::client::Client;
use crate::cli::fields::{self, count, of, rows, text, time};
use crate::cli::output::{Screen, clean, show};
use crate::cli::table::{Cell, Column, Kind, Table};

/// Proves that the figures add up; fails, with the first difference in words, if they do not.
pub(super) async fn run(client: &Client, json: bool) -> Result<()> {
    let answer = client.get_patiently("/admin/v1/usage/verify").await?;
    show(&answer, json, render)?;
    if answer.value["ok"] != true {
        let difference = clean(&difference(&answer.value["first_difference"]));
        bail!("the usage figures do not add up: {difference}");
    }
    Ok(())
}

/// Says where figures differ first, and by what.
fn difference(first: &Value) -> String {
    let field = |name: &str| text(first, name);
    let whose = match first["key"].as_str() {
        None => "all keys together".to_owned(),
        Some("") => "requests without a known key".to_owned(),
        Some(key) => key.to_owned(),
    };
    let model = first["model"].as_str().map(|model| format!(", model {model}")).unwrap_or_default();
    let series = format!("{whose}, {}, status {}{model}", field("endpoint"), field("status"));
    let figures = format!("`{}` is {}, and should be {}", field("figure"), field("found"), field("expected"));
    format!("{}: at {} for {series}, {figures}", field("what"), time(first, "start"))
}

fn render(told: &Value, screen: Screen) -> String {
    let checked = rows(told, "checked");
    let mut table = Table::new(&[
        Column("CHECKED", Kind::Sentence),
        Column("ROWS", Kind::Number),
        Column("DIFFERENCES", Kind::Number),
        Column("RESULT", Kind::Word),
    ]);
    for check in checked {
        let good = check["ok"] == true;
        let result = Cell::new(if good { "ok" } else { "wrong" }, fields::style(good));
        let numbers = [count(check, "rows"), count(check, "differences")].map(|number| number.to_string());
        let [looked_at, differences] = numbers.map(Cell::from);
        table.row([text(check, "what").into(), looked_at, differences, result]);
    }
    let looked_at = checked.iter().map(|check| count(check, "rows")).sum();
    let sum = format!("{}, {}", of(checked.len() as u64, "check"), of(looked_at, "row"));
    let verdict = if told["ok"] == true { "everything adds up" } else { "not everything adds up" };
    format!("{}{sum}: {verdict}.\n", table.render(screen))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_is_told_in_words() {
        let mut first = json!({
            "what": "keys add up to the whole, by the minute", "start": "2026-11-26T16:48:00Z", "key": null,
            "endpoint": "/v1/key", "status": 200, "model": null, "figure": "latency_sum", "expected": 9730,
            "found": 9732
        });
        let begin = "keys add up to the whole, by the minute: at 2026-11-26T16:48:00Z for ";
        let end = ", /v1/key, status 200, `latency_sum` is 9732, and should be 9730";
        for (key, whose) in [
            (json!(null), "all keys together"),
            (json!(""), "requests without a known key"),
            (json!("key_1"), "key_1"),
        ] {
            first["key"] = key;
            assert_eq!(difference(&first), format!("{begin}{whose}{end}"));
        }
        first["model"] = json!("llama3.2");
        assert!(difference(&first).contains(", status 200, model llama3.2, `latency_sum`"));
    }

    #[test]
    fn what_was_checked_is_told() {
        let told = json!({
            "object": "usage_verification", "ok": false,
            "checked": [
                {"what": "keys add up to the whole, by the day", "rows": 12, "ok": true, "differences": 0},
                {"what": "minutes add up to quarters", "rows": 30, "ok": false, "differences": 2},
            ],
            "first_difference": {"start": "2026-11-23T20:00:00Z"}
        });
        let expected = "\
CHECKED                               ROWS  DIFFERENCES  RESULT
keys add up to the whole, by the day    12            0  ok
minutes add up to quarters              30            2  wrong
2 checks, 42 rows: not everything adds up.
";
        assert_eq!(render(&told, Screen::PLAIN), expected);
    }
}
