//! What of an upstream's answer is its own and never passed on.

use std::io::Write as _;

use super::{Failed, HEAD, Keep, asked, case, chat, fill, good, serving, try_all};
use crate::harness::{FakeUpstream, Request};

/// Headers that are about the connection, about the upstream, or would be obeyed by the client.
const OWN: &str = "connection: keep-alive, x-odd-hop\r\nx-odd-hop: sesame\r\nkeep-alive: timeout=77\r\n\
    proxy-authenticate: Basic realm=sesame\r\nproxy-connection: keep-alive\r\nproxy-authentication-info: sesame\r\n\
    te: trailers\r\ntrailer: x-odd\r\nupgrade: h2c, sesame\r\nset-cookie: sesame=1\r\nserver: sesame/1\r\n\
    via: 1.1 sesame\r\nwww-authenticate: Bearer realm=sesame\r\nlocation: http://sesame/\r\n\
    strict-transport-security: max-age=77\r\nalt-svc: h2=\"sesame:443\"\r\nrefresh: 0; url=http://sesame/\r\n\
    access-control-allow-origin: sesame\r\nclear-site-data: \"sesame\"\r\nx-request-id: sesame\r\n\
    ratelimit: \"sesame\"\r\nx-ratelimit-limit: sesame\r\nx-mcp-key-expires: sesame\r\nx-mcp-ignored: sesame\r\n\
    etag: \"sesame\"\r\ncontent-disposition: attachment; filename=sesame\r\ncontent-language: sesame\r\n\
    content-location: /sesame\r\nx-odd: sesame\r\n";

/// The names of an answer's headers.
fn names(got: &super::Got) -> Vec<&str> {
    let mut names: Vec<_> = got.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn no_header_of_an_upstream_reaches_the_client() {
    let upstream = FakeUpstream::start(|seen, connection| {
        let (said, is_streamed) = asked(seen);
        let Some((status, own)) = said.split_once(' ') else {
            let _ = connection.write_all(&good(&said, is_streamed));
            return true;
        };
        let own = if own == "own" { OWN } else { "" };
        let answer = format!("{HEAD}{own}content-length: LEN\r\n\r\nBODY").replace("200 OK", status);
        let _ = connection.write_all(&fill(&answer, is_streamed));
        true
    });
    let (_server, mut client) = serving(&upstream, 30);
    for status in ["200", "400", "401", "404", "407", "413", "422", "426", "429", "500", "503"] {
        for is_streamed in [false, true] {
            let without = client.ask(chat(&format!("{status} none"), is_streamed));
            let with = client.ask(chat(&format!("{status} own"), is_streamed));
            let about = format!("{status}, streamed: {is_streamed}: {:?}", with.headers);
            assert_eq!(with.status, without.status, "{about}");
            assert_eq!(names(&with), names(&without), "{about}");
            assert!(with.headers.iter().all(|(_, value)| !value.contains("sesame")), "{about}");
            assert!(client.ask(chat("good", is_streamed)).is_good("good", is_streamed), "{about}");
        }
    }
}

#[test]
fn an_upstream_cannot_send_mcpd_elsewhere() {
    let elsewhere = FakeUpstream::start(|seen, connection| {
        let (said, is_streamed) = asked(seen);
        let _ = connection.write_all(&good(&said, is_streamed));
        true
    });
    let to = elsewhere.address;
    let mut cases = Vec::new();
    for status in ["300", "301", "302", "303", "305", "307", "308", "399"] {
        for (place, location) in
            [("absolute", format!("http://{to}/v1/chat/completions")), ("own", "/".to_owned())]
        {
            let answer =
                format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
            cases.push(case(if place == "own" { "within" } else { "away" }, answer, Keep, Failed));
        }
        let answer = format!("{HEAD}location: http://{to}/\r\ncontent-length: LEN\r\n\r\nBODY");
        cases.push(case("with a body", answer.replace("200 OK", status), Keep, Failed));
    }
    try_all(cases);
    assert!(elsewhere.seen().is_empty());
}

#[test]
fn a_packed_answer_which_nobody_asked_for_is_an_upstream_error() {
    // `{}`, packed: mcpd reads what it passes on.
    let gzip = "\x1f\u{8b}\x08\0\0\0\0\0\0\x03\u{ab}\u{ae}\x05\0\u{43}\u{bf}\u{a6}\u{a3}\x02\0\0\0";
    let packed = |encoding: &str| {
        let length = gzip.chars().count();
        format!("{HEAD}content-encoding: {encoding}\r\ncontent-length: {length}\r\n\r\n{gzip}")
    };
    try_all(
        ["gzip", "x-gzip", "br", "deflate", "zstd", "gzip, gzip"]
            .map(|it| case("packed", packed(it), Keep, Failed))
            .into(),
    );
}

#[test]
fn no_upstream_is_told_that_it_may_pack_or_switch() {
    let upstream = FakeUpstream::start(|seen, connection| {
        let (said, is_streamed) = asked(seen);
        let _ = connection.write_all(&good(&said, is_streamed));
        true
    });
    let (_server, mut client) = serving(&upstream, 30);
    for is_streamed in [false, true] {
        let offers = |request: Request| {
            let request = request.header("Accept-Encoding", "gzip, br").header("TE", "trailers, gzip");
            let request = request.header("Trailer", "x-odd").header("Keep-Alive", "timeout=77");
            request
                .header("Via", "1.1 sesame")
                .header("X-Odd", "sesame")
                .header("Proxy-Connection", "keep-alive")
        };
        assert!(client.ask(offers(chat("offered", is_streamed))).is_good("offered", is_streamed));
    }
    let names = ["te", "trailer", "keep-alive", "via", "x-odd", "proxy-connection", "upgrade"];
    for seen in upstream.seen() {
        let told: Vec<_> = names.iter().filter(|name| seen.header(name).is_some()).collect();
        assert!(seen.header("accept-encoding").is_none_or(|it| it == "identity"), "{seen:?}");
        assert!(told.is_empty() && seen.header("connection").is_none_or(|it| it == "keep-alive"), "{seen:?}");
    }
}
