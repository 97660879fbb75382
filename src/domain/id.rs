//! Ids: a word for the kind of thing, and 24 characters. Never secret, never derived from a secret.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use ring::error::Unspecified;
use ring::rand::SecureRandom;

use super::alphabet;
use super::time::Timestamp;

const LENGTH: usize = 24;
/// As many of them tell when a thing was made: microseconds, good until the year 2398.
const ORDER: usize = 9;

/// Text that is no id of the expected kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this kind: `{0}` and 24 letters or digits are expected")]
pub struct InvalidId(&'static str);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; LENGTH]);

        impl $name {
            /// What ids of this kind begin with.
            pub const PREFIX: &'static str = $prefix;
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let letters = text.strip_prefix(Self::PREFIX).ok_or(InvalidId(Self::PREFIX))?;
                alphabet::parse(letters.as_bytes()).map(Self).ok_or(InvalidId(Self::PREFIX))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Self::PREFIX)?;
                f.write_str(alphabet::as_str(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id! {
    /// The id of a key, `key_` and 24 base62 characters: what logs, URLs, usage and metrics name.
    KeyId, "key_"
}
id! {
    /// The id of a context. Ids sort by when their contexts were made, so that a list can go on behind one that
    /// is gone.
    ContextId, "ctx_"
}
id! {
    /// The id of a file. Ids sort by when their files were made.
    FileId, "file_"
}
id! {
    /// The id of an alert. Ids sort by when their alerts were raised.
    AlertId, "alert_"
}
id! {
    /// The id of a rule for alerts.
    RuleId, "rule_"
}

macro_rules! random {
    ($($name:ty),*) => {$(
        impl $name {
            /// Returns a new random id; fails when the system has no randomness to give.
            pub fn random(source: &dyn SecureRandom) -> Result<Self, Unspecified> {
                alphabet::random(source).map(Self)
            }
        }
    )*};
}

random!(KeyId, RuleId);

impl KeyId {
    /// The id that comes before all others.
    pub const FIRST: Self = Self([b'0'; LENGTH]);
}

macro_rules! ordered {
    ($($name:ty),*) => {$(
        impl $name {
            /// Returns a new id of that order; fails when the system has no randomness to give.
            pub fn new(order: Order, source: &dyn SecureRandom) -> Result<Self, Unspecified> {
                order.letters(source).map(Self)
            }
        }
    )*};
}

ordered!(ContextId, FileId, AlertId);

/// Where an id comes among those of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order(u64);

impl Order {
    fn letters(self, source: &dyn SecureRandom) -> Result<[u8; LENGTH], Unspecified> {
        let mut letters: [u8; LENGTH] = alphabet::random(source)?;
        letters[..ORDER].copy_from_slice(&alphabet::encode::<ORDER>(self.0));
        Ok(letters)
    }
}

/// Hands out orders that follow the clock and never go back while the process lives.
#[derive(Debug, Default)]
pub struct Orders(AtomicU64);

impl Orders {
    /// Returns the order of what is made now.
    pub fn next(&self, now: Timestamp) -> Order {
        let clock = u64::try_from(now.as_millis()).unwrap_or(0).saturating_mul(1_000);
        let next = |last: u64| Some(clock.max(last + 1));
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).expect("always goes on");
        Order(clock.max(last + 1))
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let id = KeyId::random(&SystemRandom::new()).unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "key_",
            "key_0123456789ABCDEFGHIJKLM",
            "ctx_0123456789ABCDEFGHIJKLMN",
            "key_0123456789ABCDEFGHIJKL-N",
        ] {
            assert_eq!(text.parse::<KeyId>(), Err(InvalidId("key_")), "{text}");
        }
    }

    #[test]
    fn ids_sort_by_when_they_were_made_even_if_the_clock_stands_still_or_steps_back() {
        let orders = Orders::default();
        let times = [1_795_000_000_000, 1_795_000_000_000, 1_795_000_000_001, 1_700_000_000_000];
        let ids = times.map(|millis| {
            let order = orders.next(Timestamp::from_millis(millis));
            FileId::new(order, &SystemRandom::new()).unwrap()
        });
        assert!(ids.is_sorted(), "{ids:?}");
        let texts = ids.map(|id| id.to_string());
        assert!(texts.is_sorted() && texts[0].len() == 29, "{texts:?}");
    }
}
