//! Who is signed in to the dashboard, and the links that sign in once. In memory only: a restart signs everybody out.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::digest::{SHA256, digest};
use ring::error::Unspecified;
use ring::rand::SystemRandom;

use crate::domain::alphabet;
use crate::domain::id::KeyId;
use crate::domain::window::{Quota, Window};

/// How long a link can be followed.
pub const LINK_LIVES: Duration = Duration::from_secs(5 * 60);
/// How long a browser that asks for nothing stays signed in.
pub const SESSION_LIVES: Duration = Duration::from_secs(12 * 3_600);
/// How long a new key waits for the page that shows it.
const KEY_WAITS: Duration = Duration::from_secs(60);
/// Wrong tokens a minute. More are refused unread, right ones among them.
const MOST_WRONG: u32 = 10;
/// Links that can be followed at a time. A further one takes the place of the oldest.
const MOST_LINKS: usize = 16;
/// Browsers that can be signed in at a time. A further one takes the place of the one that was idle longest.
const MOST_SESSIONS: usize = 64;

/// A secret that stands in a link or a cookie.
pub struct Pass([u8; 43]);

/// What a browser that is signed in is known by.
#[derive(Clone)]
pub struct Session {
    /// What each of its forms must carry, so that no other page can send one (cross-site request forgery).
    pub form_token: String,
    key: Digest,
}

/// Browsers that are signed in, and links that sign in.
#[derive(Default)]
pub struct SignIns(Mutex<State>);

type Digest = [u8; 32];

#[derive(Default)]
struct State {
    /// When each link ends.
    links: HashMap<Digest, Duration>,
    sessions: HashMap<Digest, Kept>,
    wrong: Window,
}

struct Kept {
    form_token: String,
    used_at: Duration,
    issued: Option<Issued>,
    notice: Option<String>,
}

/// A key that was just made, on its way to the one page that shows it.
struct Issued {
    id: KeyId,
    key: String,
    until: Duration,
}

impl Pass {
    fn new() -> Result<Self, Unspecified> {
        alphabet::random(&SystemRandom::new()).map(Self)
    }

    /// Returns it as it is written into a link or a cookie.
    pub fn expose(&self) -> &str {
        alphabet::as_str(&self.0)
    }
}

impl Session {
    /// Tells whether this server made the form that carries the token, for this session.
    pub fn made(&self, form_token: &str) -> bool {
        // Digests are compared, so that how long it takes says nothing of the token.
        key_of(form_token) == key_of(&self.form_token)
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pass(..)")
    }
}

impl fmt::Debug for SignIns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignIns(..)")
    }
}

/// All times are steady ones.
impl SignIns {
    /// Makes a link's secret: good once, for [`LINK_LIVES`]. Fails when the system has no randomness to give.
    pub fn offer(&self, now: Duration) -> Result<Pass, Unspecified> {
        let pass = Pass::new()?;
        let mut state = self.lock();
        state.links.retain(|_, end| *end > now);
        if state.links.len() >= MOST_LINKS
            && let Some(oldest) = state.links.iter().min_by_key(|(_, end)| **end).map(|(key, _)| *key)
        {
            state.links.remove(&oldest);
        }
        state.links.insert(key_of(pass.expose()), now + LINK_LIVES);
        Ok(pass)
    }

    /// Takes a link's secret; tells whether it was good.
    pub fn redeem(&self, secret: &str, now: Duration) -> bool {
        self.lock().links.remove(&key_of(secret)).is_some_and(|end| end > now)
    }

    /// Counts a wrong token; an error once there were too many, with the time to wait.
    pub fn count_wrong(&self, now: Duration) -> Result<(), Quota> {
        self.lock().wrong.take(MOST_WRONG, now).map(drop)
    }

    /// Fails while there were too many wrong tokens, with the time to wait.
    pub fn check_wrong(&self, now: Duration) -> Result<(), Quota> {
        let quota = self.lock().wrong.peek(MOST_WRONG, now);
        if quota.remaining == 0 { Err(quota) } else { Ok(()) }
    }

    /// Signs a browser in; returns its cookie. Fails when the system has no randomness to give.
    pub fn begin(&self, now: Duration) -> Result<Pass, Unspecified> {
        let (pass, form_token) = (Pass::new()?, Pass::new()?.expose().to_owned());
        let mut state = self.lock();
        state.sessions.retain(|_, kept| kept.used_at + SESSION_LIVES > now);
        if state.sessions.len() >= MOST_SESSIONS
            && let Some(idle) =
                state.sessions.iter().min_by_key(|(_, kept)| kept.used_at).map(|(key, _)| *key)
        {
            state.sessions.remove(&idle);
        }
        let kept = Kept { form_token, used_at: now, issued: None, notice: None };
        state.sessions.insert(key_of(pass.expose()), kept);
        Ok(pass)
    }

    /// Returns the session of a cookie. A page that only refreshes itself keeps nobody signed in.
    pub fn find(&self, cookie: &str, now: Duration, is_refresh: bool) -> Option<Session> {
        let key = key_of(cookie);
        let mut state = self.lock();
        let kept = state.sessions.get_mut(&key).filter(|kept| kept.used_at + SESSION_LIVES > now)?;
        if !is_refresh {
            kept.used_at = now;
        }
        if kept.issued.as_ref().is_some_and(|issued| issued.until <= now) {
            kept.issued = None;
        }
        Some(Session { form_token: kept.form_token.clone(), key })
    }

    /// Signs a browser out.
    pub fn end(&self, session: &Session) {
        self.lock().sessions.remove(&session.key);
    }

    /// Keeps a new key for the page that shows it.
    pub fn keep_issued(&self, session: &Session, id: KeyId, key: String, now: Duration) {
        if let Some(kept) = self.lock().sessions.get_mut(&session.key) {
            kept.issued = Some(Issued { id, key, until: now + KEY_WAITS });
        }
    }

    /// Returns a new key to the page that shows it: once.
    pub fn take_issued(&self, session: &Session, id: KeyId, now: Duration) -> Option<String> {
        let mut state = self.lock();
        let issued = &mut state.sessions.get_mut(&session.key)?.issued;
        issued.take_if(|issued| issued.id == id && issued.until > now).map(|issued| issued.key)
    }

    /// Keeps what the next page is to say of what was done.
    pub fn keep_notice(&self, session: &Session, notice: String) {
        if let Some(kept) = self.lock().sessions.get_mut(&session.key) {
            kept.notice = Some(notice);
        }
    }

    /// Returns what this page is to say of what was done.
    pub fn take_notice(&self, session: &Session) -> Option<String> {
        self.lock().sessions.get_mut(&session.key)?.notice.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a secret is looked up by: how long that takes says nothing of the secret itself.
fn key_of(secret: &str) -> Digest {
    digest(&SHA256, secret.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn key_id() -> KeyId {
        format!("key_{}", "a".repeat(24)).parse().unwrap()
    }

    #[test]
    fn a_link_is_good_once_and_for_five_minutes() {
        let sign_ins = SignIns::default();
        let (first, second) = (sign_ins.offer(START).unwrap(), sign_ins.offer(START).unwrap());
        assert!(!sign_ins.redeem("made up", START));
        assert!(sign_ins.redeem(first.expose(), START + Duration::from_secs(299)));
        assert!(!sign_ins.redeem(first.expose(), START + SECOND));
        assert!(!sign_ins.redeem(second.expose(), START + LINK_LIVES));
    }

    #[test]
    fn a_browser_that_is_idle_for_twelve_hours_is_signed_out_refreshing_or_not() {
        let sign_ins = SignIns::default();
        let cookie = sign_ins.begin(START).unwrap();
        let find = |at, is_refresh| sign_ins.find(cookie.expose(), at, is_refresh).is_some();
        let almost = Duration::from_secs(12 * 3_600 - 1);
        assert!(find(START + almost, false));
        assert!(find(START + almost * 2, true));
        assert!(!find(START + almost + SESSION_LIVES, true));
        assert!(sign_ins.find("made up", START, false).is_none());
    }

    #[test]
    fn who_signs_out_is_out() {
        let sign_ins = SignIns::default();
        let (one, other) = (sign_ins.begin(START).unwrap(), sign_ins.begin(START).unwrap());
        sign_ins.end(&sign_ins.find(one.expose(), START, false).unwrap());
        assert!(sign_ins.find(one.expose(), START, false).is_none());
        assert!(sign_ins.find(other.expose(), START, false).is_some());
    }

    #[test]
    fn a_new_key_is_handed_to_one_page_of_one_browser() {
        let sign_ins = SignIns::default();
        let session = |cookie: &Pass| sign_ins.find(cookie.expose(), START, false).unwrap();
        let (mine, other) = (sign_ins.begin(START).unwrap(), sign_ins.begin(START).unwrap());
        sign_ins.keep_issued(&session(&mine), key_id(), "secret".to_owned(), START);
        assert_eq!(sign_ins.take_issued(&session(&other), key_id(), START), None);
        assert_eq!(sign_ins.take_issued(&session(&mine), key_id(), START).as_deref(), Some("secret"));
        assert_eq!(sign_ins.take_issued(&session(&mine), key_id(), START), None);

        sign_ins.keep_issued(&session(&mine), key_id(), "secret".to_owned(), START);
        assert_eq!(sign_ins.take_issued(&session(&mine), key_id(), START + KEY_WAITS), None);
    }

    #[test]
    fn after_ten_wrong_tokens_in_a_minute_no_more_are_read() {
        let sign_ins = SignIns::default();
        for _ in 0..MOST_WRONG {
            assert!(sign_ins.check_wrong(START).is_ok() && sign_ins.count_wrong(START).is_ok());
        }
        assert!(sign_ins.check_wrong(START).is_err() && sign_ins.count_wrong(START).is_err());
        assert!(sign_ins.check_wrong(START + Duration::from_secs(61)).is_ok());
    }

    #[test]
    fn links_and_sessions_are_bounded() {
        let sign_ins = SignIns::default();
        let first = sign_ins.offer(START).unwrap();
        let cookie = sign_ins.begin(START).unwrap();
        for n in 1..=200 {
            sign_ins.offer(START + SECOND * n / 100).unwrap();
            sign_ins.begin(START + SECOND * n / 100).unwrap();
        }
        assert!(!sign_ins.redeem(first.expose(), START));
        assert!(sign_ins.find(cookie.expose(), START, false).is_none());
        let state = sign_ins.lock();
        assert_eq!((state.links.len(), state.sessions.len()), (MOST_LINKS, MOST_SESSIONS));
    }

    #[test]
    fn secrets_do_not_print() {
        let sign_ins = SignIns::default();
        let link = sign_ins.offer(START).unwrap();
        assert_eq!(format!("{link:?} {sign_ins:?}"), "Pass(..) SignIns(..)");
    }
}
