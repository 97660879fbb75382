//! `X-Forwarded-For`: the first line of the input is the peer, the second the trusted proxies, and each further one a
//! header. Whom the request is taken to be from is never left of somebody who is not trusted.
#![no_main]

use std::net::IpAddr;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use mcpd::domain::network::Networks;
use mcpd::http::client_ip::resolve;
use mcpd_fuzz::input::first_line;

fuzz_target!(|data: &[u8]| {
    let (peer, rest) = first_line(data);
    let (trusted, rest) = first_line(rest);
    let Some(peer) = text(peer).and_then(|peer| peer.parse::<IpAddr>().ok()) else { return };
    let Some(trusted) = text(trusted).and_then(|names| Networks::parse(names.split(',')).ok()) else {
        return;
    };
    let lines: Vec<&[u8]> =
        if rest.is_empty() { Vec::new() } else { rest.split(|byte| *byte == b'\n').collect() };
    if lines.iter().any(|line| HeaderValue::from_bytes(line).is_err()) {
        return;
    }
    let client = client(peer, &trusted, &lines);

    assert_eq!(client, reckoned(peer, &trusted, &lines), "{lines:?}");
    assert_eq!(client.map(|address| address.to_canonical()), client);
    check_what_stands_in_front(peer, &trusted, &lines, client);
    if !lines.is_empty() {
        let joined = lines.join(&b","[..]);
        assert_eq!(self::client(peer, &trusted, &[&joined]), client, "several lines are one list");
    }
});

/// Returns whom mcpd takes the request to be from.
fn client(peer: IpAddr, trusted: &Networks, lines: &[&[u8]]) -> Option<IpAddr> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_bytes(line).unwrap());
    }
    resolve(peer, &headers, trusted)
}

/// Does the same, entry by entry from the right: each is somebody trusted who tells of the next, somebody else, or
/// nobody at all.
fn reckoned(peer: IpAddr, trusted: &Networks, lines: &[&[u8]]) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    if !trusted.contain(peer) || lines.is_empty() {
        return Some(peer);
    }
    let joined = lines.join(&b","[..]);
    let mut told = peer;
    for entry in joined.rsplit(|byte| *byte == b',') {
        told = read(entry)?;
        if !trusted.contain(told) {
            break;
        }
    }
    Some(told)
}

/// Reads an entry by other means: an address, in brackets if it is of version 6, with a port or without.
fn read(entry: &[u8]) -> Option<IpAddr> {
    let entry = text(entry)?.trim_matches([' ', '\t']);
    // The standard library reads a sign, too.
    let has_digits_alone = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let is_port = |port: &str| has_digits_alone(port) && port.parse::<u16>().is_ok();
    if let Some(rest) = entry.strip_prefix('[') {
        let (inside, behind) = rest.split_once(']')?;
        let port = behind.strip_prefix(':');
        let scope = inside.split_once('%').filter(|_| port.is_some());
        let address = match scope {
            // With a port, a number for the scope is read and means nothing.
            Some((address, scope)) if has_digits_alone(scope) => {
                scope.parse::<u32>().ok().map(|_| address)?
            }
            Some(_) => return None,
            None => inside,
        };
        return match port {
            Some(port) => is_port(port).then(|| v6(address)).flatten(),
            None => behind.is_empty().then(|| v6(address)).flatten(),
        };
    }
    if entry.matches(':').count() > 1 {
        return v6(entry);
    }
    match entry.split_once(':') {
        Some((address, port)) => is_port(port).then(|| address.parse().ok().map(IpAddr::V4)).flatten(),
        None => entry.parse().ok().map(IpAddr::V4),
    }
}

fn v6(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(|address| IpAddr::V6(address).to_canonical())
}

/// Whoever is not trusted, or cannot be read, ends the list: what stands left of that changes nothing.
fn check_what_stands_in_front(peer: IpAddr, trusted: &Networks, lines: &[&[u8]], found: Option<IpAddr>) {
    if found.is_some_and(|address| trusted.contain(address)) {
        return;
    }
    for front in [&b"198.51.100.200"[..], b"10.0.0.1", b"", b"garbage, [::1"] {
        let mut more = vec![front];
        more.extend(lines);
        if !lines.is_empty() {
            assert_eq!(client(peer, trusted, &more), found, "a line {front:?} in front");
            let first = [front, b",", lines[0]].concat();
            more = vec![&first];
            more.extend(&lines[1..]);
            assert_eq!(client(peer, trusted, &more), found, "{front:?} in front of {lines:?}");
        }
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
