//! How far something is that takes a while, on a terminal; nothing elsewhere.

use std::env::var_os;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::Duration;

use serde_json::json;

use super::fields::bytes;
use crate::clock::Clock;

/// How long the bar is, in characters.
const LENGTH: u64 = 24;
/// The least time between two looks of it.
const PAUSE: Duration = Duration::from_millis(100);

/// A line that is written anew as things go on, and gone in the end.
pub(super) struct Progress {
    what: &'static str,
    is_shown: bool,
    last: Option<Duration>,
}

impl Progress {
    /// Begins to tell of something.
    pub(super) fn of(what: &'static str) -> Self {
        let is_dumb = var_os("TERM").is_some_and(|term| term == "dumb");
        let progress = Self { what, is_shown: stderr().is_terminal() && !is_dumb, last: None };
        progress.write(&format!("{what} …"));
        progress
    }

    /// Tells that so many bytes of so many are done.
    pub(super) fn tell(&mut self, done: u64, all: u64) {
        let now = Clock::System.steady();
        let is_early = self.last.is_some_and(|last| now.saturating_sub(last) < PAUSE);
        if self.is_shown && (!is_early || done == all) {
            self.last = Some(now);
            self.write(&format!("{} {}", self.what, bar(done, all)));
        }
    }

    fn write(&self, line: &str) {
        if self.is_shown {
            // Somebody who closed the terminal sees nothing anyway.
            let _ = write!(stderr(), "\r{line}\x1b[K").and_then(|()| stderr().flush());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.write("");
    }
}

fn bar(done: u64, all: u64) -> String {
    let part = |whole: u64| {
        u64::try_from(u128::from(done) * u128::from(whole) / u128::from(all.max(1))).unwrap_or(whole)
    };
    let full = part(LENGTH).min(LENGTH);
    let drawn: String = (0..LENGTH).map(|at| if at < full { '#' } else { '-' }).collect();
    format!("[{drawn}] {:>3} %  {} of {}", part(100).min(100), size(done), size(all))
}

/// Returns a number of bytes in the nearest unit.
pub(super) fn size(count: u64) -> String {
    bytes(&json!({"bytes": count}), "bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_it_is_far() {
        assert_eq!(bar(0, 4096), "[------------------------]   0 %  0 B of 4.0 KiB");
        assert_eq!(bar(2048, 4096), "[############------------]  50 %  2.0 KiB of 4.0 KiB");
        assert_eq!(bar(4096, 4096), "[########################] 100 %  4.0 KiB of 4.0 KiB");
        assert!(bar(0, 0).contains("  0 %") && bar(u64::MAX, u64::MAX).contains("100 %"));
    }
}
