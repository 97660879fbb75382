//! How an input is read: as text where that can be, so that seeds and findings are readable.

use std::collections::HashSet;

use mcpd::domain::token;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Returns the first line and what is behind it.
pub fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}

/// Cuts the data into pieces, each as long as the next byte of `cuts` says, from 1 to 64 bytes.
pub fn pieces<'a>(mut data: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut lengths = cuts.iter().map(|cut| usize::from(cut % 64) + 1).cycle();
    let mut pieces = Vec::new();
    while !data.is_empty() {
        let (piece, rest) = data.split_at(lengths.next().unwrap_or(1).min(data.len()));
        pieces.push(piece);
        data = rest;
    }
    pieces
}

/// Tells whether a key stands anywhere in what the JSON says, whole or most of it.
pub fn says_key(json: &Value) -> bool {
    match json {
        Value::String(string) => token::is_within(string),
        Value::Array(items) => items.iter().any(says_key),
        Value::Object(members) => {
            members.iter().any(|(name, value)| token::is_within(name) || says_key(value))
        }
        _ => false,
    }
}

/// Fails if an object in the JSON has two members of one name: readers disagree about which of them holds.
pub fn check_names(json: &RawValue) {
    if json.get().starts_with('{') {
        let Members(members) = serde_json::from_str(json.get()).unwrap();
        let mut names = HashSet::new();
        for (name, value) in members {
            check_names(value);
            assert!(names.insert(name), "a name twice: {json}");
        }
    } else if json.get().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(json.get()).unwrap();
        items.into_iter().for_each(check_names);
    }
}

/// The members of an object in the order that they were written in.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}
