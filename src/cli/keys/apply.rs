//! The command that makes what is suggested so.

use serde_json::{Map, Value};

use crate::cli::output::clean;

/// Returns the `mcpd keys update` that changes a key as a body for the admin API would; nothing where there is none.
/// Names of models come from clients: a shell takes each for one word.
pub(super) fn command(key: &str, patch: &Map<String, Value>) -> Option<String> {
    let mut words = vec![format!("mcpd keys update {}", quote(key)?)];
    for (setting, value) in patch {
        let option = match setting.as_str() {
            "scopes" => "--scope",
            "allowed_ips" => "--allow-ip",
            "allowed_models" => "--allow-model",
            "requests_per_minute" => "--requests-per-minute",
            "max_concurrent" => "--max-concurrent",
            _ => return None,
        };
        match value {
            Value::Number(number) => words.push(format!("{option}={number}")),
            Value::Array(values) if !values.is_empty() => {
                for value in values {
                    words.push(format!("{option}={}", quote(value.as_str()?)?));
                }
            }
            _ => return None,
        }
    }
    Some(words.join(" "))
}

/// Returns text as one word of a shell; nothing for what cannot be shown as it is.
fn quote(text: &str) -> Option<String> {
    if clean(text) != text {
        return None;
    }
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "_-.:/".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        return Some(text.to_owned());
    }
    Some(format!("'{}'", text.replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_suggested_is_one_command() {
        let cases = [
            (
                json!({"scopes": ["chats:create", "models:read"], "max_concurrent": 2}),
                Some("mcpd keys update key_1 --scope=chats:create --scope=models:read --max-concurrent=2"),
            ),
            (
                json!({"allowed_ips": ["10.0.0.0/8"], "allowed_models": ["-x", "a b", "it's; reboot", "$(x)", "*"]}),
                Some(
                    r"mcpd keys update key_1 --allow-ip=10.0.0.0/8 --allow-model=-x --allow-model='a b' --allow-model='it'\''s; reboot' --allow-model='$(x)' --allow-model='*'",
                ),
            ),
            (json!({"requests_per_minute": 9}), Some("mcpd keys update key_1 --requests-per-minute=9")),
            (json!({"allowed_models": ["a\nb"]}), None),
            (json!({"allowed_models": []}), None),
            (json!({"something": 1}), None),
        ];
        for (patch, expected) in cases {
            assert_eq!(command("key_1", patch.as_object().unwrap()).as_deref(), expected, "{patch}");
        }
    }
}
