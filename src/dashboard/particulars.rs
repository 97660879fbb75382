//! JSON as people read it: particulars of alerts, and what changed.

use askama::Template;
use serde_json::Value;

use super::frame::Frame;
use crate::domain::time::Timestamp;

/// A field of an object, and what it holds.
pub(super) struct Particular {
    /// In words.
    pub(super) name: String,
    pub(super) value: Told,
}

/// What a field holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// `null`, or nothing in a list.
    Nothing,
    Text(String),
    /// A point in time, in RFC 3339.
    Time(String),
    /// A key that there is: its id and name.
    Key(String, String),
}

#[derive(Template)]
#[template(path = "told.html")]
struct ToldPart<'a> {
    frame: &'a Frame,
    told: &'a Told,
}

/// Tells a field. `known` returns the name of a key that there is.
pub(super) fn tell(name: &str, value: &Value, known: impl Fn(&str) -> Option<String>) -> Particular {
    Particular { name: words(name), value: Told::of(value, known) }
}

/// Returns a field's name in words.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

impl Told {
    /// Returns what a value tells.
    pub(super) fn of(value: &Value, known: impl Fn(&str) -> Option<String>) -> Self {
        match value {
            Value::String(text) if is_time(text) => Self::Time(text.clone()),
            Value::String(text) => match known(text) {
                Some(name) => Self::Key(text.clone(), name),
                None => Self::Text(text.clone()),
            },
            value => Some(write(value)).filter(|text| !text.is_empty()).map_or(Self::Nothing, Self::Text),
        }
    }

    /// Returns it as HTML, to be put into a page as it is.
    pub(super) fn html(&self, frame: &Frame) -> Result<String, askama::Error> {
        ToldPart { frame, told: self }.render()
    }
}

fn is_time(text: &str) -> bool {
    text.len() >= "2026-01-01T00:00:00Z".len() && Timestamp::parse(text).is_ok()
}

fn write(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(entries) => entries.iter().map(write).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let told = |(name, value): (&String, &Value)| match write(value) {
                text if text.is_empty() => format!("{name}: none"),
                text => format!("{name}: {text}"),
            };
            fields.iter().map(told).collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_told_as_people_read_them() {
        let text = |text: &str| Told::Text(text.to_owned());
        let known = |id: &str| (id == "key_1").then(|| "laptop".to_owned());
        let cases = [
            (json!(null), Told::Nothing),
            (json!([]), Told::Nothing),
            (json!({}), Told::Nothing),
            (json!(""), text("")),
            (json!(true), text("yes")),
            (json!(0.5), text("0.5")),
            (json!(["02:00 UTC", "03:00 UTC"]), text("02:00 UTC, 03:00 UTC")),
            (json!({"team": "a", "host": null}), text("team: a, host: none")),
            (json!("2026-01-31T12:00:00Z"), Told::Time("2026-01-31T12:00:00Z".to_owned())),
            (json!("2026"), text("2026")),
            (json!("key_1"), Told::Key("key_1".to_owned(), "laptop".to_owned())),
            (json!("key_2"), text("key_2")),
        ];
        for (value, told) in cases {
            assert_eq!(Told::of(&value, known), told, "{value}");
        }
    }
}
