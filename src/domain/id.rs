//! Ids: a word for the kind of thing, and 24 random characters. Never secret, never derived from a secret.

use std::fmt;
use std::str::FromStr;

use ring::error::Unspecified;
use ring::rand::SecureRandom;

use super::alphabet;

const LENGTH: usize = 24;

/// The id of a key, `key_` and 24 base62 characters: what logs, URLs, usage and metrics name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; LENGTH]);

impl KeyId {
    const PREFIX: &'static str = "key_";

    /// Returns a new random id; fails when the system has no randomness to give.
    pub fn random(source: &dyn SecureRandom) -> Result<Self, Unspecified> {
        alphabet::random(source).map(Self)
    }
}

/// Text that is no id of the expected kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key id: `key_` and 24 letters or digits are expected")]
pub struct InvalidId;

impl FromStr for KeyId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let random = text.strip_prefix(Self::PREFIX).ok_or(InvalidId)?;
        alphabet::parse(random.as_bytes()).map(Self).ok_or(InvalidId)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::PREFIX)?;
        f.write_str(alphabet::as_str(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let id = KeyId::random(&ring::rand::SystemRandom::new()).unwrap();
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
            assert_eq!(text.parse::<KeyId>(), Err(InvalidId), "{text}");
        }
    }
}
