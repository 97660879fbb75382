//! The name of a request, in its answer, the log and the upstream's log.

use std::cell::Cell;

use super::texts::Texts;
use crate::domain::{alphabet, token};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries it.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Makes request ids: each worker has its own random beginning and counts on from there.
#[derive(Debug)]
pub struct RequestIds {
    worker: [u8; 12],
    next: Cell<u64>,
    texts: Texts,
}

/// The name of one request: 1 to 128 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestIds {
    /// Returns a source of ids for one worker; `random` is drawn once for the process.
    pub fn new(random: [u8; 10], worker: usize) -> Self {
        let number: [u8; 2] = alphabet::encode(worker as u64);
        let worker = std::array::from_fn(|at| if at < 10 { random[at] } else { number[at - 10] });
        Self { worker, next: Cell::new(1), texts: Texts::default() }
    }

    /// Returns the caller's own id if it is one, else a new one.
    pub fn of(&self, headers: &HeaderMap) -> RequestId {
        let own = headers.get(HEADER).filter(|value| is_valid(value.as_bytes()));
        own.cloned().map_or_else(|| self.new_id(), RequestId)
    }

    fn new_id(&self) -> RequestId {
        let number = self.next.get();
        self.next.set(number + 1);
        let (worker, number) = (alphabet::as_str(&self.worker), alphabet::encode::<8>(number));
        RequestId(self.texts.header(&["req_", worker, alphabet::as_str(&number)]))
    }
}

impl RequestId {
    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("checked to be ASCII")
    }

    /// Returns the id as a header's value.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// A key is made of the same characters: one sent by mistake is not repeated in logs.
fn is_valid(id: &[u8]) -> bool {
    (1..=128).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && !token::is_within(alphabet::as_str(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_s_own_id_is_kept_if_it_is_one() {
        let long = "x".repeat(129);
        let cases = [
            ("trace-1.A_b", true),
            ("", false),
            ("two words", false),
            (long.as_str(), false),
            ("mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38", false),
            ("mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg3", false),
        ];
        let ids = RequestIds::new(*b"0123456789", 1);
        for (own, kept) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_str(own).unwrap());
            assert_eq!(ids.of(&headers).as_str() == own, kept, "{own}");
        }
    }

    #[test]
    fn no_two_requests_have_one_id() {
        let ids = RequestIds::new(*b"0123456789", 1);
        let (one, two) = (ids.of(&HeaderMap::new()), ids.of(&HeaderMap::new()));
        assert_ne!(one.as_str(), two.as_str());
        assert!(is_valid(one.as_str().as_bytes()));
    }
}
