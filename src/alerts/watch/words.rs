//! What alerts say, in plain sentences and in particulars.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::episodes::{Name, Words};
use super::places::NewPlace;
use super::ring::Held;
use super::tally::Spot;
use crate::domain::alert::{Kind, Rule};
use crate::domain::id::KeyId;
use crate::domain::key::{Key, Status};
use crate::domain::place::Place;
use crate::domain::sighting::Sighting;
use crate::domain::time::{Timestamp, format_duration};
use crate::gate::keyring::Keyring;

pub(super) fn error_rate(
    keyring: &Keyring,
    rule: &Rule,
    key: KeyId,
    held: Held,
    example: &Sighting,
) -> Words {
    let (bad, all, window) = (held.bad, held.all, spoken(rule.window()));
    words(
        format!("{} fails: {bad} of {all} requests in {window} ended in an error", name(keyring, key)),
        json!({"failures": bad, "requests": all, "window": format_duration(rule.window())}),
        example,
    )
}

pub(super) fn request_spike(
    keyring: &Keyring,
    rule: &Rule,
    key: KeyId,
    (held, usual): (Held, f64),
    example: &Sighting,
) -> Words {
    let (requests, window) = (held.all, spoken(rule.window()));
    let usual = (usual * 10.0).round() / 10.0;
    words(
        format!(
            "{} is used far more than usual: {requests} requests in {window}, where {usual} are usual at most",
            name(keyring, key)
        ),
        json!({"requests": requests, "usual": usual, "window": format_duration(rule.window())}),
        example,
    )
}

pub(super) fn new_client_address(
    keyring: &Keyring,
    key: KeyId,
    place: Place,
    new: NewPlace,
    spot: &Spot<'_>,
) -> Words {
    words(
        format!("{} is used from {place}, where it was not used from in 30 days", name(keyring, key)),
        json!({"network": place.to_string(), "known_networks": new.known}),
        spot.example,
    )
}

pub(super) fn unusual_hour(
    keyring: &Keyring,
    key: KeyId,
    (hour, requests): (&str, u64),
    usual: u32,
    example: &Sighting,
) -> Words {
    let usual: Vec<String> =
        (0..24).filter(|hour| usual >> hour & 1 == 1).map(|hour| format!("{hour:02}:00")).collect();
    words(
        format!(
            "{} is used at an unusual hour: {requests} requests since {hour}, when it is usually not used",
            name(keyring, key)
        ),
        json!({"hours": [hour], "requests": requests, "usual_hours": usual}),
        example,
    )
}

pub(super) fn failed_auth(
    keyring: &Keyring,
    rule: &Rule,
    (key, place): (Option<KeyId>, &str),
    held: Held,
    example: &Sighting,
) -> Words {
    let (attempts, window) = (held.bad, spoken(rule.window()));
    let with = match rule.key {
        Some(key) => format!("{}, which works no more", name(keyring, key)),
        None => "invalid keys".to_owned(),
    };
    words(
        format!("Somebody at {place} tries {with}: {attempts} attempts in {window}"),
        json!({
            "network": place,
            "attempts": attempts,
            "window": format_duration(rule.window()),
            "known_key": key.map(|key| key.to_string()),
        }),
        example,
    )
}

pub(super) fn rate_limited(
    keyring: &Keyring,
    rule: &Rule,
    key: KeyId,
    held: Held,
    example: &Sighting,
) -> Words {
    let (refused, window) = (held.bad, spoken(rule.window()));
    let limit = keyring.get(key).map(|entry| entry.requests_per_minute());
    words(
        format!("{} runs into its limits: {refused} requests in {window} were refused", name(keyring, key)),
        json!({"refused": refused, "window": format_duration(rule.window()), "requests_per_minute": limit}),
        example,
    )
}

pub(super) fn rotated_key_in_use(keyring: &Keyring, key: KeyId, now: Timestamp, example: &Sighting) -> Words {
    let entry = keyring.get(key);
    let record = entry.as_ref().map(|entry| &entry.key);
    let successor = record.and_then(Key::rotated_to).and_then(|id| keyring.get(id));
    let end = record.and_then(|key| key.settings.expires_at).map(|end| end.to_string());
    let works = record.is_some_and(|key| key.status(now) == Status::Active);
    let until = match (works, &end) {
        (true, Some(end)) => format!("it works until {end}"),
        (true, None) => "it still works".to_owned(),
        (false, _) => "it works no more".to_owned(),
    };
    let successor_name = successor.as_ref().map(|successor| successor.key.settings.name.as_str());
    let by = match (record.and_then(Key::rotated_to), successor_name) {
        (Some(id), Some(called)) => format!(" by `{called}` ({id})"),
        (Some(id), None) => format!(" by {id}"),
        (None, _) => String::new(),
    };
    words(
        format!("{} is still used though it was replaced{by}; {until}", name(keyring, key)),
        json!({
            "successor": record.and_then(Key::rotated_to).map(|id| id.to_string()),
            "successor_name": successor_name,
            "works": works,
            "works_until": end.filter(|_| works),
        }),
        example,
    )
}

pub(super) fn key_expiring(key: &Key, end: Timestamp, now: Timestamp) -> Words {
    let (called, id) = (key.settings.name.as_str(), key.id);
    let details = json!({"expires_at": end.to_string()});
    Words {
        summary: format!("Key `{called}` ({id}) expires in {}, at {end}", about(end.since(now))),
        details: object(details),
    }
}

/// What is said of subjects that are too many to be told apart.
pub(super) fn others(kind: Kind, latest: &Name) -> Words {
    let summary = match kind {
        Kind::FailedAuth => "More addresses try invalid keys than are told apart: this counts all others",
        Kind::NewClientAddress => "More new addresses are used than are told apart: this counts all others",
        _ => "The same is so of more keys than are told apart: this counts all others",
    };
    let subject = Some(latest.subject.as_str()).filter(|subject| !subject.is_empty());
    let details = json!({"latest_key": latest.key.map(|key| key.to_string()), "latest_network": subject});
    Words { summary: summary.to_owned(), details: object(details) }
}

fn words(summary: String, details: Value, example: &Sighting) -> Words {
    let mut details = object(details);
    details.insert("ip".to_owned(), example.client.map(|ip| ip.to_string()).into());
    // Strangers' are not kept, so nothing is known of theirs.
    if !example.user_agent.is_empty() {
        details.insert("user_agent".to_owned(), (*example.user_agent).into());
    }
    details.insert("endpoint".to_owned(), example.endpoint.into());
    Words { summary, details }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn name(keyring: &Keyring, key: KeyId) -> String {
    match keyring.get(key) {
        Some(entry) => format!("Key `{}` ({key})", entry.key.settings.name.as_str()),
        None => format!("The deleted key {key}"),
    }
}

/// Returns a length of time in words, in the largest unit that it is whole in.
fn spoken(length: Duration) -> String {
    let seconds = length.as_secs();
    let units = [("day", 86_400), ("hour", 3_600), ("minute", 60)];
    let (unit, size) = units
        .into_iter()
        .find(|(_, size)| seconds >= *size && seconds.is_multiple_of(*size))
        .unwrap_or(("second", 1));
    plural(seconds / size, unit)
}

/// Returns roughly how long something is: in days, hours or minutes.
fn about(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        172_800.. => plural((seconds + 43_200) / 86_400, "day"),
        7_200.. => plural((seconds + 1_800) / 3_600, "hour"),
        _ => plural((seconds / 60).max(1), "minute"),
    }
}

fn plural(count: u64, unit: &str) -> String {
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_told_as_people_tell_them() {
        let cases = [(300, "5 minutes"), (86_400, "1 day"), (5_400, "90 minutes"), (10, "10 seconds")];
        for (seconds, expected) in cases {
            assert_eq!(spoken(Duration::from_secs(seconds)), expected);
        }
        let cases =
            [(6 * 86_400 + 80_000, "7 days"), (90_000, "25 hours"), (600, "10 minutes"), (3, "1 minute")];
        for (seconds, expected) in cases {
            assert_eq!(about(Duration::from_secs(seconds)), expected);
        }
    }
}
