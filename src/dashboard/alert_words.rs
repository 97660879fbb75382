//! What alerts and their rules are about, in words.

use std::fmt::Display;

use crate::admin::alert_rules::AlertRuleView;
use crate::dashboard::text;
use crate::domain::alert::Kind;
use crate::domain::webhook::Format;

/// What a kind of alert is about.
pub(super) struct Words {
    pub(super) label: &'static str,
    /// When there is an alert, in a sentence.
    pub(super) meaning: &'static str,
    /// What its one number is.
    pub(super) threshold: &'static str,
    /// What is told about it.
    pub(super) threshold_hint: &'static str,
    /// What its window is; empty where it has none.
    pub(super) window_hint: &'static str,
    /// What is counted.
    counted: &'static str,
}

#[rustfmt::skip]
pub(super) const fn of(kind: Kind) -> Words {
    match kind {
        Kind::ErrorRate => Words {
            label: "Errors",
            meaning: "Many of a key's requests fail: this share of all, and at least 10.",
            threshold: "Share that fails, in percent",
            threshold_hint: "Above 0, at most 100. Answers with 401, 429 and 499 count neither as failed nor as good.",
            window_hint: "How far it looks back: 10s to 90d.",
            counted: "failure",
        },
        Kind::RequestSpike => Words {
            label: "Request spike",
            meaning: "A key makes many times its usual number of requests, and at least 50. It learns for 3 days of use.",
            threshold: "Times the usual",
            threshold_hint: "Above 1. Usual is what the busiest quarter of an hour of a day sees.",
            window_hint: "How far it looks back: 10s to 6h.",
            counted: "request",
        },
        Kind::NewClientAddress => Words {
            label: "New client address",
            meaning: "A key is used from where it was not used from in 30 days.",
            threshold: "Known places at most",
            threshold_hint: "A key that is known from more places than this roams, and is left alone: 1 to 255.",
            window_hint: "How long it learns from a key's first use on: 10s to 90d.",
            counted: "request",
        },
        Kind::UnusualHour => Words {
            label: "Unusual hour",
            meaning: "A key is used at an hour of the day (UTC) at which it is usually not. It learns for 7 days of use.",
            threshold: "Requests in the hour",
            threshold_hint: "A whole number from 1 on.",
            window_hint: "How far it looks back for what is usual: 7d to 35d.",
            counted: "request",
        },
        Kind::FailedAuth => Words {
            label: "Invalid keys",
            meaning: "One client address tries many invalid keys. For one key: that very key, disabled or revoked.",
            threshold: "Attempts",
            threshold_hint: "A whole number from 1 on. Missing and expired keys do not count.",
            window_hint: "How far it looks back: 10s to 90d.",
            counted: "attempt",
        },
        Kind::RateLimited => Words {
            label: "Rate limited",
            meaning: "A key's limits refuse many of its requests.",
            threshold: "Refused requests",
            threshold_hint: "A whole number from 1 on.",
            window_hint: "How far it looks back: 10s to 90d.",
            counted: "refused request",
        },
        Kind::KeyExpiring => Words {
            label: "Key expiring",
            meaning: "A key ends soon, and nobody has rotated it.",
            threshold: "Days ahead",
            threshold_hint: "Above 0, at most 3650.",
            window_hint: "",
            counted: "key",
        },
        Kind::RotatedKeyInUse => Words {
            label: "Rotated key in use",
            meaning: "A key that was rotated is still used, whether it still works or not.",
            threshold: "Requests",
            threshold_hint: "A whole number from 1 on.",
            window_hint: "How far it looks back: 10s to 90d.",
            counted: "request",
        },
    }
}

/// Returns what a kind is called, by the name that the admin API has for it.
pub(super) fn label(name: &str) -> &str {
    name.parse().map_or(name, |kind| of(kind).label)
}

/// Returns how many of what an alert has counted: `3 attempts`.
pub(super) fn count(name: &str, count: impl Display) -> String {
    text::of(count, name.parse().map_or("event", |kind| of(kind).counted))
}

/// Tells when a rule raises an alert: `20 attempts in 5m`.
pub(super) fn condition(rule: &AlertRuleView) -> String {
    let window = rule.window.as_deref().unwrap_or_default();
    let number = &rule.threshold;
    let Ok(kind) = rule.kind.parse::<Kind>() else { return format!("{number} in {window}") };
    match kind {
        Kind::ErrorRate => format!("{} % of requests in {window}", percent(number.as_f64().unwrap_or(0.0))),
        Kind::RequestSpike => format!("{number} times the usual in {window}"),
        Kind::NewClientAddress => {
            format!("a new place, where at most {number} are known and {window} were to learn")
        }
        Kind::UnusualHour => format!("{} in an hour unusual in {window}", text::of(number, "request")),
        Kind::KeyExpiring => format!("{} ahead", text::of(number, "day")),
        _ => format!("{} in {window}", text::of(number, of(kind).counted)),
    }
}

/// Returns what takes a format of webhooks.
pub(super) const fn receiver(format: Format) -> &'static str {
    match format {
        Format::Json => "json: a program of yours",
        Format::Ntfy => "ntfy",
        Format::Slack => "slack: Slack, Mattermost",
        Format::Discord => "discord",
    }
}

/// Returns a share in percent, as it is typed: `50`, `33.3`.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.6}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Returns a share that was typed in percent; none where it is no number.
pub(super) fn share(percent: &str) -> Option<f64> {
    // Shifted as it is written: 33.3 divided by 100 is not 0.333 to a computer.
    let is_plain = percent.bytes().all(|byte| byte.is_ascii_digit() || b".-+".contains(&byte));
    format!("{percent}e-2").parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_typed_in_percent_and_told_as_it_was_typed() {
        for (typed, meant) in [("50", 0.5), ("33.3", 0.333), ("0.5", 0.005), ("100", 1.0), ("7", 0.07)] {
            assert_eq!(share(typed), Some(meant));
            assert_eq!(percent(meant), typed);
        }
        assert_eq!(["", "many", "1e3", "inf"].map(share), [None; 4]);
    }

    #[test]
    fn every_kind_says_what_its_window_is_if_it_has_one() {
        for kind in Kind::ALL {
            assert_eq!(kind.usual_window().is_some(), !of(kind).window_hint.is_empty(), "{kind}");
            assert_eq!(label(kind.name()), of(kind).label);
        }
        assert_eq!(count("failed_auth", 2), "2 attempts");
    }
}
