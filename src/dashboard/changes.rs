//! What a row of the audit log tells: who did what, and what is different since.

use serde_json::{Map, Value};

use super::particulars::{self, Told};
use crate::admin::audit::ActorView;

/// A field that is not what it was.
pub(super) struct Changed {
    /// In words.
    pub(super) field: String,
    pub(super) before: Told,
    pub(super) after: Told,
}

/// Returns what an action is called.
pub(super) fn action(name: &str) -> &str {
    match name {
        "key.create" => "Key created",
        "key.update" => "Key changed",
        "key.rotate" => "Key rotated",
        "key.revoke" => "Key revoked",
        "key.delete" => "Key deleted",
        "alert_rule.create" => "Rule created",
        "alert_rule.update" => "Rule changed",
        "alert_rule.delete" => "Rule deleted",
        "alert.acknowledge" => "Alert acknowledged",
        "backup.create" => "Backup made",
        "context.delete" => "Context deleted",
        "file.delete" => "File deleted",
        "server.restore" => "Database restored",
        other => other,
    }
}

/// Returns who it was.
pub(super) fn who(actor: &ActorView) -> String {
    let by = match actor.via.as_str() {
        "socket" => "admin socket",
        "token" => "admin token",
        "dashboard" => "dashboard",
        "system" => "mcpd itself",
        other => other,
    };
    match actor.uid {
        Some(uid) => format!("{by}, uid {uid}"),
        None => by.to_owned(),
    }
}

/// Returns what is different. Of what was made or deleted nothing is: it is told by its name.
pub(super) fn between(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    known: impl Fn(&str) -> Option<String>,
) -> Vec<Changed> {
    if before.is_empty() || after.is_empty() {
        return Vec::new();
    }
    let mut fields: Vec<&String> =
        before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))).collect();
    fields.retain(|name| before.get(*name) != after.get(*name));
    let told =
        |fields: &Map<String, Value>, name: &str| Told::of(fields.get(name).unwrap_or(&Value::Null), &known);
    let changed = |name: &String| Changed {
        field: particulars::words(name),
        before: told(before, name),
        after: told(after, name),
    };
    fields.into_iter().map(changed).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::audit::ACTIONS;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(fields) = value else { panic!("no object") };
        fields
    }

    #[test]
    fn only_what_is_different_is_told() {
        let before = object(json!({"id": "key_1", "name": "a", "max_concurrent": null, "gone": 1}));
        let after = object(json!({"id": "key_1", "name": "b", "max_concurrent": 3, "come": true}));
        let changed = between(&before, &after, |_| None);
        let text = |text: &str| Told::Text(text.to_owned());
        let told: Vec<_> =
            changed.iter().map(|changed| (changed.field.as_str(), &changed.before, &changed.after)).collect();
        let expected = [
            ("name", &text("a"), &text("b")),
            ("max concurrent", &Told::Nothing, &text("3")),
            ("gone", &text("1"), &Told::Nothing),
            ("come", &Told::Nothing, &text("yes")),
        ];
        assert_eq!(told, expected);
        assert!(between(&Map::new(), &after, |_| None).is_empty());
    }

    #[test]
    fn every_action_has_words() {
        assert!(ACTIONS.iter().all(|name| action(name) != *name));
    }
}
