//! How far signatures' times may be from now, where the configuration changes that while they are remembered.

use std::time::Duration;

use super::signature::Signature;
use super::time::Timestamp;

/// How far a signature's time may be from the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    most: Duration,
    /// Signatures that may have been accepted, and forgotten since, while less was allowed.
    earlier: Option<Earlier>,
}

/// Signatures made before a time, and how far that may be from now for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Earlier {
    made_before: Timestamp,
    most: Duration,
}

impl Skew {
    /// Returns what has always held.
    pub const fn new(most: Duration) -> Self {
        Self { most, earlier: None }
    }

    /// Returns what holds from now on. Where more is allowed than before, it is not for signatures that are remembered
    /// for less: they could be used twice.
    #[must_use]
    pub fn changed(self, most: Duration, now: Timestamp) -> Self {
        if most <= self.most {
            return Self { most, ..self };
        }
        let earlier = Earlier { made_before: now.after(self.most), most: self.most };
        let earlier = self.earlier.map_or(earlier, |known| Earlier {
            made_before: known.made_before.max(earlier.made_before),
            most: known.most.min(earlier.most),
        });
        Self { most, earlier: Some(earlier) }
    }

    /// Returns how far the time may be from now, of any signature.
    pub const fn most(self) -> Duration {
        self.most
    }

    /// Returns how far the time of this signature may be from now.
    pub fn of(self, signature: &Signature) -> Duration {
        match self.earlier {
            Some(earlier) if signature.made() <= earlier.made_before => self.most.min(earlier.most),
            _ => self.most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn made(at: i64) -> Signature {
        let hex = [b'0'; 64];
        Signature::parse(Some(at.to_string().as_bytes()), None, Some(&hex)).unwrap().unwrap()
    }

    #[test]
    fn more_is_allowed_only_for_what_was_made_since() {
        let at = Timestamp::from_seconds;
        let wider = Skew::new(seconds(300)).changed(seconds(1000), at(10_000));
        let cases = [
            // made   most
            (9_000, 300),
            (10_000, 300),
            // One that was ahead may have been accepted then.
            (10_300, 300),
            (10_301, 1000),
        ];
        for (time, most) in cases {
            assert_eq!(wider.of(&made(time)), seconds(most), "{time}");
        }
        let less = wider.changed(seconds(100), at(10_010));
        assert_eq!((less.of(&made(9_000)), less.of(&made(10_301))), (seconds(100), seconds(100)));
        let again = less.changed(seconds(600), at(10_020));
        assert_eq!((again.of(&made(10_300)), again.of(&made(10_301))), (seconds(100), seconds(600)));
        assert_eq!(again.most(), seconds(600));
    }
}
