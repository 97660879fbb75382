//! Notes about a key or a context: names and values, for people and programs to search by.

use std::collections::BTreeMap;

use super::token;

/// At most this many entries.
pub const MAX_ENTRIES: usize = 32;
/// At most this many bytes, names and values together.
pub const MAX_BYTES: usize = 8 * 1024;

/// Metadata, within its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// Returns the entries as metadata; fails, saying why, if they are too many, too long, or hold a key.
    pub fn parse(entries: BTreeMap<String, String>) -> Result<Self, String> {
        if entries.len() > MAX_ENTRIES {
            return Err(format!("{} entries; at most {MAX_ENTRIES} are kept", entries.len()));
        }
        let bytes: usize = entries.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > MAX_BYTES {
            return Err(format!("{bytes} bytes; at most {MAX_BYTES} are kept"));
        }
        if entries.keys().any(String::is_empty) {
            return Err("an entry has no name".to_owned());
        }
        if entries.iter().any(|(name, value)| token::is_within(name) || token::is_within(value)) {
            return Err("an entry holds an API key, which is never stored: take it out".to_owned());
        }
        Ok(Self(entries))
    }

    /// Returns the entries.
    pub const fn entries(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_hold() {
        let entries = |count: usize, bytes: usize| {
            (0..count).map(|n| (format!("{n:02}"), "x".repeat(bytes))).collect::<BTreeMap<_, _>>()
        };
        let cases = [
            (entries(0, 0), true),
            (entries(32, 254), true),
            (entries(32, 255), false),
            (entries(33, 0), false),
            ([(String::new(), String::new())].into(), false),
            ([("k".to_owned(), "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38".to_owned())].into(), false),
            ([("mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg3".to_owned(), "v".to_owned())].into(), false),
            ([("k".to_owned(), "mcp_sk_ABCD…Fg38".to_owned())].into(), true),
        ];
        for (entries, accepted) in cases {
            assert_eq!(Metadata::parse(entries.clone()).is_ok(), accepted, "{entries:?}");
        }
    }
}
