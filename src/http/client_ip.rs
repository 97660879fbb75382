//! Whose request it is: the peer, or the forwarded address if the peer is a trusted proxy.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{HeaderMap, HeaderName};

use crate::domain::network::Networks;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Returns the client's address: `None` if a trusted proxy sent one that cannot be read.
///
/// Of `X-Forwarded-For`, the right-most entry counts that is not itself a trusted proxy: whatever stands left
/// of it, anybody may have written. No other header is looked at.
pub fn resolve(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    if !trusted.contain(peer) {
        return Some(peer);
    }
    let mut client = peer;
    let lines: Vec<_> = headers.get_all(&FORWARDED_FOR).collect();
    for line in lines.into_iter().rev() {
        for entry in line.as_bytes().rsplit(|byte| *byte == b',') {
            client = parse(std::str::from_utf8(entry).ok()?)?;
            if !trusted.contain(client) {
                return Some(client);
            }
        }
    }
    Some(client)
}

/// Reads an address, alone, with a port, or in brackets.
fn parse(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim_matches([' ', '\t']);
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bare {
        Some(v6) => IpAddr::V6(v6.parse().ok()?),
        None => entry.parse().or_else(|_| entry.parse::<SocketAddr>().map(|socket| socket.ip())).ok()?,
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn client(peer: &str, lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR.clone(), HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        for ignored in ["cf-connecting-ip", "x-real-ip", "forwarded", "true-client-ip"] {
            headers.insert(HeaderName::from_static(ignored), HeaderValue::from_static("192.0.2.66"));
        }
        let trusted = Networks::parse(["10.0.0.0/8", "::1"]).unwrap();
        resolve(peer.parse().unwrap(), &headers, &trusted).map(|ip| ip.to_string())
    }

    #[test]
    fn the_right_most_address_that_is_no_trusted_proxy_counts() {
        let cases: &[(&str, &[&str], Option<&str>)] = &[
            // peer          X-Forwarded-For                       client
            ("192.0.2.1", &[], Some("192.0.2.1")),
            ("192.0.2.1", &["203.0.113.9"], Some("192.0.2.1")),
            ("10.0.0.1", &[], Some("10.0.0.1")),
            ("10.0.0.1", &["203.0.113.9"], Some("203.0.113.9")),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7, 10.2.2.2"], Some("198.51.100.7")),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.7"], Some("198.51.100.7")),
            ("10.0.0.1", &["203.0.113.9", "10.2.2.2"], Some("203.0.113.9")),
            ("10.0.0.1", &["10.3.3.3, 10.2.2.2"], Some("10.3.3.3")),
            ("::ffff:10.0.0.1", &["203.0.113.9"], Some("203.0.113.9")),
            ("::ffff:192.0.2.1", &["203.0.113.9"], Some("192.0.2.1")),
            ("::1", &["203.0.113.9:4711"], Some("203.0.113.9")),
            ("::1", &["[2001:db8::7]:4711"], Some("2001:db8::7")),
            ("::1", &["[2001:db8::7]"], Some("2001:db8::7")),
            ("::1", &["2001:db8::7"], Some("2001:db8::7")),
            ("::1", &["::ffff:203.0.113.9"], Some("203.0.113.9")),
            // What cannot be read is nobody's address; what stands left of a readable one does not matter.
            ("10.0.0.1", &["unknown"], None),
            ("10.0.0.1", &["203.0.113.9, "], None),
            ("10.0.0.1", &[""], None),
            ("10.0.0.1", &["203.0.113.9, 10.2.2.2, x"], None),
            ("10.0.0.1", &["fe80::1%eth0"], None),
            ("10.0.0.1", &["[fe80::1%+3]:443"], None),
            ("10.0.0.1", &["203.0.113.999"], None),
            ("10.0.0.1", &["203.0.113.9 198.51.100.7"], None),
            ("10.0.0.1", &["garbage, 203.0.113.9"], Some("203.0.113.9")),
        ];
        for (peer, lines, expected) in cases {
            assert_eq!(client(peer, lines).as_deref(), *expected, "{peer} {lines:?}");
        }
    }

    proptest! {
        #[test]
        fn a_client_that_is_no_proxy_cannot_choose_its_address(line in "[ -~]{0,60}") {
            let client = client("192.0.2.1", &[&line]);
            prop_assert_eq!(client.as_deref(), Some("192.0.2.1"));
        }

        #[test]
        fn what_a_client_puts_in_front_changes_nothing(line in "[ -+\\--~]{0,40}") {
            let line = format!("{line},203.0.113.9");
            let client = client("10.0.0.1", &[&line]);
            prop_assert_eq!(client.as_deref(), Some("203.0.113.9"));
        }
    }
}
