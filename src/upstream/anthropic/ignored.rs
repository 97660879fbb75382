//! Remembering which fields of a request could not be carried over.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::field::Object;

/// Collects the names of fields that have no equivalent, each of them once.
#[derive(Default)]
pub(super) struct Ignored {
    names: BTreeSet<String>,
}

impl Ignored {
    pub fn name(&mut self, name: impl Into<String>) {
        self.names.insert(name.into());
    }

    /// Names everything left in an object, except what changes nothing.
    pub fn leftovers_of(&mut self, object: Object) {
        let place = anywhere(object.path());
        for (name, raw) in object.leftovers() {
            let value = serde_json::from_str(raw.get());
            if value.is_ok_and(|value| changes_nothing(&name, &value)) {
                continue;
            }
            let separator = if place.is_empty() { "" } else { "." };
            self.name(format!("{place}{separator}{name}"));
        }
    }

    /// Returns the names in alphabetical order.
    pub fn into_names(self) -> Vec<String> {
        self.names.into_iter().collect()
    }
}

/// Returns a path without its list positions: `messages[2].content[0]` becomes
/// `messages[].content[]`, so that a long conversation warns once, not per turn.
fn anywhere(path: &str) -> String {
    let mut pieces = path.split('[');
    let start = pieces.next().unwrap_or_default();
    pieces.fold(start.to_owned(), |place, piece| {
        place + "[" + piece.trim_start_matches(|digit: char| digit.is_ascii_digit())
    })
}

/// Tells whether a field asks for no more than what happens without it.
///
/// Such fields are sent by many client libraries on every request; warning about
/// them would teach people to overlook the warnings that matter.
fn changes_nothing(name: &str, value: &Value) -> bool {
    match name {
        _ if value.is_null() => true,
        "n" | "best_of" => *value == 1,
        "presence_penalty" | "frequency_penalty" | "top_logprobs" => *value == 0.0,
        "logprobs" | "store" | "echo" | "strict" => *value == false,
        "suffix" => *value == "",
        "detail" | "service_tier" => *value == "auto",
        "response_format" => *value == json!({"type": "text"}),
        "modalities" => *value == json!(["text"]),
        "logit_bias" | "metadata" => *value == json!({}),
        "annotations" | "functions" => *value == json!([]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored_in(body: &str) -> Vec<String> {
        let mut ignored = Ignored::default();
        ignored.leftovers_of(Object::of_body(body.as_bytes()).unwrap());
        ignored.into_names()
    }

    #[test]
    fn a_field_is_named_only_when_its_value_asks_for_something() {
        let cases = [
            ("n", "1", "2"),
            ("best_of", "1", "3"),
            ("presence_penalty", "0", "0.5"),
            ("frequency_penalty", "0.0", "-1"),
            ("logprobs", "false", "true"),
            ("top_logprobs", "0", "5"),
            ("store", "false", "true"),
            ("echo", "false", "true"),
            ("strict", "false", "true"),
            ("suffix", r#""""#, r#"" the end""#),
            ("detail", r#""auto""#, r#""high""#),
            ("service_tier", r#""auto""#, r#""flex""#),
            ("response_format", r#"{"type": "text"}"#, r#"{"type": "json_object"}"#),
            ("modalities", r#"["text"]"#, r#"["text", "audio"]"#),
            ("logit_bias", "{}", r#"{"50256": -100}"#),
            ("metadata", "{}", r#"{"job": "7"}"#),
            ("annotations", "[]", "[1]"),
            ("functions", "[]", r#"[{"name": "f"}]"#),
            ("seed", "null", "7"),
            ("anything_else", "null", "false"),
            ("too_large_to_read", "null", "1e999"),
        ];
        for (name, silent, telling) in cases {
            let nothing = ignored_in(&format!(r#"{{"{name}": {silent}}}"#));
            assert_eq!(nothing, [""; 0], "{name}: {silent}");
            let something = ignored_in(&format!(r#"{{"{name}": {telling}}}"#));
            assert_eq!(something, [name], "{name}: {telling}");
        }
    }

    #[test]
    fn list_positions_are_left_out_of_a_place() {
        let cases = [
            ("", ""),
            ("messages[12]", "messages[]"),
            ("messages[2].content[10].image_url", "messages[].content[].image_url"),
        ];
        for (path, expected) in cases {
            assert_eq!(anywhere(path), expected);
        }
    }
}
