//! Checks that several sections share. Each names the setting in its error.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::error::{Fault, Problem};
use crate::domain::token;

/// Returns the number if it lies within the bounds, and within what its type can hold.
pub(super) fn within<T: TryFrom<i64>>(
    setting: &str,
    found: i64,
    bounds: RangeInclusive<i64>,
) -> Result<T, Fault> {
    T::try_from(found).ok().filter(|_| bounds.contains(&found)).ok_or_else(|| {
        let (least, most) = bounds.into_inner();
        Fault::new(setting, Problem::OutOfRange { least, most, found })
    })
}

/// Returns the number if it is at least one and at most `most`.
pub(super) fn count(setting: &str, found: i64, most: u32) -> Result<NonZeroU32, Fault> {
    let number: u32 = within(setting, found, 1..=most.into())?;
    Ok(NonZeroU32::new(number).expect("the bounds leave zero out"))
}

/// Returns the seconds as a length of time if they lie within the bounds.
pub(super) fn seconds(setting: &str, found: i64, bounds: RangeInclusive<i64>) -> Result<Duration, Fault> {
    within(setting, found, bounds).map(Duration::from_secs)
}

/// Returns the text if it is not blank.
pub(super) fn not_blank(setting: &str, text: String) -> Result<String, Fault> {
    if text.trim().is_empty() { Err(Fault::new(setting, Problem::Empty)) } else { Ok(text) }
}

/// Returns the path if it is not blank.
pub(super) fn path(setting: &str, text: String) -> Result<PathBuf, Fault> {
    not_blank(setting, text).map(PathBuf::from)
}

/// Returns the socket address that the text names.
pub(super) fn address(setting: &str, text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| {
        let shown = token::redact(text).escape_debug().to_string();
        Fault::new(setting, Problem::NotAnAddress(shown))
    })
}

/// Returns what the word stands for.
pub(super) fn choice<T: Copy>(setting: &str, word: &str, choices: &[(&str, T)]) -> Result<T, Fault> {
    let chosen = choices.iter().find(|(name, _)| *name == word).map(|(_, choice)| *choice);
    chosen.ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
        Fault::new(setting, Problem::NoChoice(names.join(", ")))
    })
}

/// Tells whether the text is a name of 1 to 64 of these characters.
pub(super) fn is_name(text: &str, may_hold: impl Fn(char) -> bool) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(may_hold)
}
