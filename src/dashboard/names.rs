//! What the things are called that pages name by their ids, and what is meant by what is typed.

use crate::admin::Desk;
use crate::domain::id::KeyId;

/// As many keys are offered beside a field. A page with more of them takes long to come.
const MOST_OFFERED: usize = 200;

/// A key to choose beside a field.
pub(super) struct Offered {
    pub(super) id: String,
    pub(super) name: String,
}

/// Returns the name of the key with the id; the id itself where there is no such key any more.
pub(super) fn of_key(desk: &Desk, id: &str) -> String {
    known_key(desk, id).unwrap_or_else(|| id.to_owned())
}

/// Returns the name of the key with the id, if there is one.
pub(super) fn known_key(desk: &Desk, id: &str) -> Option<String> {
    let entry = id.parse::<KeyId>().ok().and_then(|id| desk.rooms.keys.keyring().get(id));
    entry.map(|entry| entry.key.settings.name.as_str().to_owned())
}

/// Returns the id that the text stands for: itself, or that of the one key with this name. Keys that were rotated or
/// revoked give way to those that were not.
pub(super) fn key_id(desk: &Desk, text: &str) -> Option<KeyId> {
    if let Ok(id) = text.parse() {
        return Some(id);
    }
    let (mut named, mut over) = (Vec::new(), Vec::new());
    desk.rooms.keys.keyring().for_each(|key| {
        if key.settings.name.as_str() == text {
            let is_over = key.rotated_to().is_some() || key.revoked_at.is_some();
            if is_over { &mut over } else { &mut named }.push(key.id);
        }
    });
    match (named.as_slice(), over.as_slice()) {
        ([id], _) | ([], [id]) => Some(*id),
        _ => None,
    }
}

/// Returns keys to choose from, by name; none where they are too many.
pub(super) fn offered(desk: &Desk) -> Vec<Offered> {
    let keyring = desk.rooms.keys.keyring();
    let mut offered = Vec::new();
    keyring.for_each(|key| {
        if offered.len() <= MOST_OFFERED {
            offered.push(Offered { id: key.id.to_string(), name: key.settings.name.as_str().to_owned() });
        }
    });
    if offered.len() > MOST_OFFERED {
        return Vec::new();
    }
    offered.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    offered
}
