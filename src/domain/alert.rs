//! Alerts: what was unusual, and the rules that say so.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Number, Value};

use super::id::{AlertId, KeyId, RuleId};
use super::time::Timestamp;
use super::webhook::Webhook;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The shortest and the longest window.
const WINDOWS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(90 * 86_400);
/// The most that a count may be asked to reach.
const MOST: f64 = 1e9;

/// What a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant's name is its meaning")]
pub enum Kind {
    ErrorRate,
    RequestSpike,
    NewClientAddress,
    UnusualHour,
    FailedAuth,
    RateLimited,
    KeyExpiring,
    RotatedKeyInUse,
}

/// Text that names no kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {all}", all = Kind::ALL.map(Kind::name).join(", "))]
pub struct UnknownKind;

/// When to raise an alert, and whom to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What everything calls it.
    pub id: RuleId,
    /// What it looks at.
    pub kind: Kind,
    /// Whether it is in force.
    pub enabled: bool,
    /// The one key that it is for, in place of the rules for all keys.
    pub key: Option<KeyId>,
    /// Its one number, if it is not the kind's own.
    pub threshold: Option<f64>,
    /// How far it looks back, if it is not the kind's own.
    pub window: Option<Duration>,
    /// Whom to tell besides the journal.
    pub webhook: Option<Webhook>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's name is its meaning")]
pub enum Status {
    Open,
    Acknowledged,
    Resolved,
}

/// Text that names no status.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of open, acknowledged, resolved")]
pub struct UnknownStatus;

/// Something unusual, from its first event to its last.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What everything calls it.
    pub id: AlertId,
    /// The rule that raised it.
    pub rule: RuleId,
    /// What the rule looks at.
    pub kind: Kind,
    /// The key that it is about, if it is about one.
    pub key: Option<KeyId>,
    /// What else tells it from others of the rule, such as an address.
    pub subject: String,
    /// How it stands.
    pub status: Status,
    /// How many events there were.
    pub count: u64,
    /// When the first of them was.
    pub first_seen_at: Timestamp,
    /// When the last of them was.
    pub last_seen_at: Timestamp,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
    /// What happened, in a sentence.
    pub summary: String,
    /// The particulars.
    pub details: Map<String, Value>,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::ErrorRate,
        Self::RequestSpike,
        Self::NewClientAddress,
        Self::UnusualHour,
        Self::FailedAuth,
        Self::RateLimited,
        Self::KeyExpiring,
        Self::RotatedKeyInUse,
    ];

    /// Returns the kind's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ErrorRate => "error_rate",
            Self::RequestSpike => "request_spike",
            Self::NewClientAddress => "new_client_address",
            Self::UnusualHour => "unusual_hour",
            Self::FailedAuth => "failed_auth",
            Self::RateLimited => "rate_limited",
            Self::KeyExpiring => "key_expiring",
            Self::RotatedKeyInUse => "rotated_key_in_use",
        }
    }

    /// Returns the threshold where a rule says nothing.
    pub const fn usual_threshold(self) -> f64 {
        match self {
            Self::ErrorRate => 0.5,
            Self::RequestSpike | Self::UnusualHour => 5.0,
            Self::NewClientAddress | Self::FailedAuth => 20.0,
            Self::RateLimited => 50.0,
            Self::KeyExpiring => 7.0,
            Self::RotatedKeyInUse => 1.0,
        }
    }

    /// Returns the window where a rule says nothing; none for a kind that has none.
    pub const fn usual_window(self) -> Option<Duration> {
        match self {
            Self::ErrorRate | Self::FailedAuth | Self::RateLimited => Some(Duration::from_secs(300)),
            Self::RequestSpike | Self::RotatedKeyInUse => Some(Duration::from_secs(900)),
            Self::NewClientAddress => Some(DAY),
            Self::UnusualHour => Some(Duration::from_secs(28 * 86_400)),
            Self::KeyExpiring => None,
        }
    }

    /// Fails, saying why, if a rule of the kind cannot have this threshold.
    pub fn check_threshold(self, threshold: f64) -> Result<(), &'static str> {
        let (fits, form) = match self {
            Self::ErrorRate => (threshold > 0.0 && threshold <= 1.0, "must be a rate above 0, at most 1"),
            Self::RequestSpike => (threshold > 1.0 && threshold <= MOST, "must be a factor above 1"),
            Self::KeyExpiring => {
                (threshold > 0.0 && threshold <= 3_650.0, "must be days, above 0 and at most 3650")
            }
            // A key is known from no more than 256 places.
            Self::NewClientAddress => {
                let is_count = threshold.fract() == 0.0 && (1.0..=255.0).contains(&threshold);
                (is_count, "must be a whole number from 1 to 255")
            }
            Self::UnusualHour | Self::FailedAuth | Self::RateLimited | Self::RotatedKeyInUse => {
                let is_count = threshold.fract() == 0.0 && (1.0..=MOST).contains(&threshold);
                (is_count, "must be a whole number of at least 1")
            }
        };
        if fits { Ok(()) } else { Err(form) }
    }

    /// Fails, saying why, if a rule of the kind cannot have this window.
    pub fn check_window(self, window: Duration) -> Result<(), &'static str> {
        if self == Self::KeyExpiring {
            return Err("is not taken by key_expiring: its `threshold` says how many days ahead it looks");
        }
        // Habits take a week to show, and are kept for five.
        if self == Self::UnusualHour && !(7 * DAY..=35 * DAY).contains(&window) {
            return Err("must be 7d to 35d for unusual_hour");
        }
        // What a key usually does is known by quarters of an hour, which say little of half a day.
        if self == Self::RequestSpike && window > 6 * 60 * MINUTE {
            return Err("must be 10s to 6h for request_spike");
        }
        if WINDOWS.contains(&window) { Ok(()) } else { Err("must be 10s to 90d") }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownKind)
    }
}

impl Rule {
    /// Returns the threshold in force.
    pub fn threshold(&self) -> f64 {
        self.threshold.unwrap_or(self.kind.usual_threshold())
    }

    /// Returns the threshold in force as it is written: a whole number without a fraction.
    pub fn threshold_number(&self) -> Number {
        let number = self.threshold();
        #[expect(clippy::cast_possible_truncation, reason = "no threshold is above 1e9")]
        let whole = (number.fract() == 0.0).then_some(number as i64);
        whole.map_or_else(|| Number::from_f64(number).unwrap_or_else(|| 0.into()), Number::from)
    }

    /// Returns the window in force; zero for a kind that has none.
    pub fn window(&self) -> Duration {
        self.window.or(self.kind.usual_window()).unwrap_or_default()
    }

    /// Returns how long nothing must have happened for one of its alerts to be over.
    pub fn quiet(&self) -> Duration {
        match self.kind {
            Kind::NewClientAddress | Kind::UnusualHour => 60 * MINUTE,
            // What runs every few hours, or once a night, is one thing.
            Kind::RotatedKeyInUse => self.window().max(DAY),
            _ => self.window().max(5 * MINUTE),
        }
    }
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Open, Self::Acknowledged, Self::Resolved];

    /// Returns the status's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|status| status.name() == text).ok_or(UnknownStatus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_what_the_kind_can_reach() {
        let cases: &[(Kind, &[f64], &[f64])] = &[
            (Kind::ErrorRate, &[0.01, 0.5, 1.0], &[0.0, -0.1, 1.1, f64::NAN, 50.0]),
            (Kind::RequestSpike, &[1.1, 5.0], &[1.0, 0.5, f64::INFINITY]),
            (Kind::FailedAuth, &[1.0, 20.0], &[0.0, 0.5, 1.5, -3.0]),
            (Kind::NewClientAddress, &[1.0, 20.0, 255.0], &[0.0, 1.5, 256.0]),
            (Kind::KeyExpiring, &[0.5, 7.0, 3_650.0], &[0.0, 3_651.0]),
        ];
        for (kind, good, bad) in cases {
            assert!(good.iter().all(|number| kind.check_threshold(*number).is_ok()), "{kind}");
            assert!(bad.iter().all(|number| kind.check_threshold(*number).is_err()), "{kind}");
        }
        for kind in Kind::ALL {
            assert_eq!(kind.check_threshold(kind.usual_threshold()), Ok(()), "{kind}");
            assert!(kind.usual_window().is_none_or(|window| kind.check_window(window).is_ok()), "{kind}");
            assert_eq!(kind.name().parse(), Ok(kind));
        }
    }
}
