//! Who may call the admin API, and from where.
//!
//! Anybody's browser can reach loopback: a page elsewhere may send requests there, under a name of its own
//! that it points at 127.0.0.1 (DNS rebinding). So the name must be loopback's, and the page its own.

use std::fmt;
use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use ring::hmac;
use ring::rand::SecureRandom;

use crate::domain::audit::Actor;
use crate::http::ApiError;
use crate::http::bearer::bearer;

/// The admin token, to be compared in constant time.
pub struct AdminToken {
    key: hmac::Key,
    tag: hmac::Tag,
}

/// The process at the other end of the admin socket, as the kernel names it.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its user id.
    pub uid: u32,
    /// Its process id, where the kernel tells.
    pub pid: Option<i32>,
}

impl AdminToken {
    /// Returns a token that compares itself; fails when the system has no randomness to give.
    pub fn new(token: &str, random: &dyn SecureRandom) -> Result<Self, ring::error::Unspecified> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, random)?;
        let tag = hmac::sign(&key, token.as_bytes());
        Ok(Self { key, tag })
    }

    /// Tells whether this is the token.
    pub fn is(&self, token: &[u8]) -> bool {
        hmac::verify(&self.key, token, self.tag.as_ref()).is_ok()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(..)")
    }
}

/// Returns who calls. On the socket the file's permissions were the check; on TCP the name, the page and,
/// unless the route is `open`, the token are.
pub(super) fn check(request: &HttpRequest, token: &AdminToken, open: bool) -> Result<Actor, ApiError> {
    if let Some(peer) = request.conn_data::<Peer>() {
        return Ok(Actor::Socket { uid: peer.uid, pid: peer.pid });
    }
    check_page(request)?;
    if open {
        return Ok(Actor::Token);
    }
    let sent = bearer(request)?.ok_or(ApiError::MissingAdminToken)?;
    if token.is(sent) { Ok(Actor::Token) } else { Err(ApiError::InvalidAdminToken) }
}

/// Fails if a request by TCP goes to a name that is not loopback's, or comes from another site's page.
pub(crate) fn check_page(request: &HttpRequest) -> Result<(), ApiError> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.filter(|host| is_loopback(host)).ok_or(ApiError::ForbiddenHost)?;
    for origin in request.headers().get_all(header::ORIGIN) {
        if !is_own_origin(origin, host) {
            return Err(ApiError::ForbiddenOrigin);
        }
    }
    let site = request.headers().get(HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| site == "cross-site") {
        return Err(ApiError::ForbiddenOrigin);
    }
    Ok(())
}

/// Tells whether a `Host` names loopback, whatever its port: it may be the near end of a tunnel.
fn is_loopback(host: &str) -> bool {
    let (name, _) = split_port(host);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Tells whether an `Origin` is a page of this very listener: loopback by any name, on the same port.
fn is_own_origin(origin: &HeaderValue, host: &str) -> bool {
    let Some(origin) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    let (scheme, authority) = origin;
    matches!(scheme, "http" | "https")
        && is_loopback(authority)
        && split_port(authority).1.unwrap_or("80") == split_port(host).1.unwrap_or("80")
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (name, Some(port))
        }
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_s_own_names_are_answered() {
        let cases = [
            ("localhost", true),
            ("LOCALHOST:8081", true),
            ("127.0.0.1:8081", true),
            ("127.8.9.1", true),
            ("[::1]:8081", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("evil.example", false),
            ("localhost.evil.example:8081", false),
            ("127.0.0.1.evil.example", false),
            ("192.168.1.2:8081", false),
            ("0.0.0.0:8081", false),
            ("", false),
            ("localhost:8081@evil.example", false),
        ];
        for (host, answered) in cases {
            assert_eq!(is_loopback(host), answered, "{host}");
        }
    }

    #[test]
    fn only_the_listener_s_own_pages_may_call() {
        let cases = [
            ("http://127.0.0.1:8081", true),
            ("http://localhost:8081", true),
            ("http://[::1]:8081", true),
            ("http://localhost:3000", false),
            ("http://localhost", false),
            ("http://evil.example:8081", false),
            ("https://evil.example", false),
            ("null", false),
            ("file://", false),
            ("", false),
        ];
        for (origin, own) in cases {
            assert_eq!(is_own_origin(&HeaderValue::from_static(origin), "127.0.0.1:8081"), own, "{origin}");
        }
    }

    #[test]
    fn the_token_is_compared_whole() {
        let token = AdminToken::new("secret", &ring::rand::SystemRandom::new()).unwrap();
        assert!(token.is(b"secret"));
        assert!(!token.is(b"secre") && !token.is(b"secret ") && !token.is(b""));
        assert_eq!(format!("{token:?}"), "AdminToken(..)");
    }
}
