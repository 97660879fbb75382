//! Fields of the daemon's answers, as they are shown. What is not there is shown as `-`.

use serde_json::Value;

use super::output::Style;
use crate::domain::size;

/// What stands for nothing.
const NOTHING: &str = "-";

/// Returns a text; anything else as JSON.
pub(super) fn text(object: &Value, field: &str) -> String {
    plain(&object[field])
}

/// Returns a value as text: lists with commas between.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(text) if text.is_empty() => NOTHING.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => NOTHING.to_owned(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Returns a point in time, to the second.
pub(super) fn time(object: &Value, field: &str) -> String {
    let text = text(object, field);
    let Some((seconds, rest)) = text.split_once('.') else { return text };
    let zone = rest.trim_start_matches(|character: char| character.is_ascii_digit());
    format!("{seconds}{zone}")
}

/// Returns a number that counts something; 0 where there is none.
pub(super) fn count(object: &Value, field: &str) -> u64 {
    object[field].as_u64().unwrap_or(0)
}

/// Returns the rows of a list; none where there is no list.
pub(super) fn rows<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object[field].as_array().map_or(&[], Vec::as_slice)
}

/// Returns a share in percent.
pub(super) fn percent(object: &Value, field: &str) -> String {
    object[field].as_f64().map_or_else(|| NOTHING.to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// Returns milliseconds, as exact as they are of interest.
pub(super) fn millis(object: &Value, field: &str) -> String {
    match object[field].as_f64() {
        Some(millis) if millis < 10.0 => format!("{millis:.1}"),
        Some(millis) => format!("{millis:.0}"),
        None => NOTHING.to_owned(),
    }
}

/// Returns a number of bytes in the nearest unit.
pub(super) fn bytes(object: &Value, field: &str) -> String {
    size::tell(count(object, field))
}

/// Returns a number with its noun: `1 request`, `2 requests`.
pub(super) fn of(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Returns how a truth stands out.
pub(super) const fn style(good: bool) -> Style {
    if good { Style::Good } else { Style::Bad }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_shown_as_people_read_them() {
        let object = json!({
            "at": "2026-11-23T20:41:49.194Z", "offset": "2026-11-23T20:41:49.194+05:30", "whole": "2026-11-23T20:41:49Z",
            "none": null, "empty": [], "list": ["a", "b"], "share": 0.125, "slow": 1481.4, "fast": 0.25,
            "small": 12, "large": 3_500_000, "map": {"a": 1}
        });
        let cases = [
            (time(&object, "at"), "2026-11-23T20:41:49Z"),
            (time(&object, "offset"), "2026-11-23T20:41:49+05:30"),
            (time(&object, "whole"), "2026-11-23T20:41:49Z"),
            (time(&object, "none"), "-"),
            (text(&object, "missing"), "-"),
            (text(&object, "empty"), "-"),
            (text(&object, "list"), "a, b"),
            (text(&object, "map"), "{\"a\":1}"),
            (percent(&object, "share"), "12.5 %"),
            (millis(&object, "slow"), "1481"),
            (millis(&object, "fast"), "0.2"),
            (bytes(&object, "small"), "12 B"),
            (bytes(&object, "large"), "3.3 MiB"),
            (bytes(&object, "none"), "0 B"),
        ];
        for (shown, expected) in cases {
            assert_eq!(shown, expected);
        }
        assert_eq!((of(1, "row"), of(0, "row")), ("1 row".to_owned(), "0 rows".to_owned()));
    }
}
