//! Figures as people read them. Templates hand over references as often as figures.

use std::borrow::Borrow;
use std::fmt::Display;

use crate::domain::size;

/// Returns a whole number with its thousands apart: `1 234 567`, with narrow blanks that do not break.
pub(super) fn count(number: impl Display) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Returns a number with its noun: `1 key`, `2 keys`.
pub(super) fn of(number: impl Display, noun: &str) -> String {
    let number = count(number);
    format!("{number} {noun}{}", if number == "1" { "" } else { "s" })
}

/// Returns a number of bytes: `3.4 MiB`.
pub(super) fn bytes(bytes: impl Borrow<u64>) -> String {
    size::tell(*bytes.borrow())
}

/// Returns a share: `0 %`, `0.4 %`, `12 %`.
pub(super) fn percent(share: impl Borrow<f64>) -> String {
    let percent = share.borrow() * 100.0;
    if percent == 0.0 || percent >= 9.95 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}

/// Returns a time in milliseconds: `0.4 ms`, `32 ms`, `4.2 s`.
pub(super) fn millis(millis: impl Borrow<f64>) -> String {
    let millis = *millis.borrow();
    match millis {
        ..9.95 => format!("{millis:.1} ms"),
        9.95..999.5 => format!("{millis:.0} ms"),
        _ => format!("{:.1} s", millis / 1_000.0),
    }
}

/// Returns how the status of a key or an alert stands out: the class of its badge.
pub(super) fn badge(status: &str) -> &'static str {
    match status {
        "active" | "up" | "resolved" => "good",
        "expired" | "acknowledged" => "warn",
        "revoked" | "down" | "open" => "bad",
        _ => "off",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_as_people_read_them() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(|number: u64| count(number)),
            ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]
        );
        assert_eq!([0, 1, 2].map(|number| of(number, "key")), ["0 keys", "1 key", "2 keys"]);
        assert_eq!(
            [0.0, 0.004, 0.123, 1.0].map(|share: f64| percent(share)),
            ["0 %", "0.4 %", "12 %", "100 %"]
        );
        assert_eq!([0.42, 32.4, 4_200.0].map(|time: f64| millis(time)), ["0.4 ms", "32 ms", "4.2 s"]);
    }
}
