//! Tokens shown a moment ago, for a client whose answer was lost. In memory only, and not for long.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::id::KeyId;
use crate::domain::token::Token;

/// How long a token may be fetched again.
const KEPT: Duration = Duration::from_secs(10 * 60);

#[derive(Debug, Default)]
pub(super) struct RecentTokens(Mutex<HashMap<KeyId, (Token, Duration)>>);

impl RecentTokens {
    /// Keeps a token from the steady time given.
    pub(super) fn put(&self, key: KeyId, token: Token, now: Duration) {
        self.tokens(now).insert(key, (token, now + KEPT));
    }

    /// Returns the key's token while it is kept.
    pub(super) fn get(&self, key: KeyId, now: Duration) -> Option<Token> {
        self.tokens(now).get(&key).map(|(token, _)| token.clone())
    }

    /// Forgets a key's token before its time.
    pub(super) fn forget(&self, key: KeyId) {
        self.lock().remove(&key);
    }

    /// Forgets what is past its time.
    pub(super) fn prune(&self, now: Duration) {
        drop(self.tokens(now));
    }

    fn tokens(&self, now: Duration) -> MutexGuard<'_, HashMap<KeyId, (Token, Duration)>> {
        let mut tokens = self.lock();
        tokens.retain(|_, (_, until)| now < *until);
        tokens
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<KeyId, (Token, Duration)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_for_ten_minutes_and_no_longer() {
        let recent = RecentTokens::default();
        let key = "key_000000000000000000000000".parse().unwrap();
        let token = Token::parse(b"mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38").unwrap();
        recent.put(key, token.clone(), Duration::ZERO);
        assert_eq!(recent.get(key, Duration::from_secs(599)), Some(token));
        assert_eq!(recent.get(key, Duration::from_secs(600)), None);
        assert!(recent.lock().is_empty());
    }
}
