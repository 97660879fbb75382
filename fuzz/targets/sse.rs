//! Server-sent events: however the bytes are cut, the same events come out, those that the standard's algorithm finds.
//!
//! The first line of the input is how the rest is cut.
#![no_main]

use actix_web::web::Bytes;
use libfuzzer_sys::fuzz_target;
use mcpd::upstream::sse::{self, Splitter};
use mcpd_fuzz::input::{first_line, pieces};

fuzz_target!(|data: &[u8]| {
    let (cuts, stream) = first_line(data);
    let (whole, rest) = split(&[stream]);
    assert_eq!(whole, expected(&stream[..stream.len() - rest.len()]), "{stream:?}");
    check_rest(stream, &whole, &rest);

    let singly: Vec<&[u8]> = stream.chunks(1).collect();
    for cut in [pieces(stream, cuts), singly] {
        assert_eq!(split(&cut).0, whole, "cut as {cut:?}");
    }
});

/// Returns the data of the events that are complete, and what is held back at the end. Nothing may be lost.
fn split(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut splitter, mut passed, mut data) = (Splitter::default(), Vec::new(), Vec::new());
    for piece in pieces {
        let complete = splitter.push(Bytes::copy_from_slice(piece)).unwrap();
        passed.extend_from_slice(&complete);
        data.extend(sse::events(&complete).filter_map(sse::data).map(std::borrow::Cow::into_owned));
    }
    let rest = splitter.finish().to_vec();
    passed.extend_from_slice(&rest);
    assert_eq!(passed, pieces.concat(), "something was lost or made up");
    assert!(splitter.finish().is_empty());
    (data, rest)
}

/// What is held back at the end is no event, but for a line end that may be half of one.
fn check_rest(stream: &[u8], whole: &[Vec<u8>], rest: &[u8]) {
    let all = expected(stream);
    if !rest.ends_with(b"\r") {
        assert_eq!(all.len(), whole.len(), "an event is held back: {rest:?}");
    }
    assert!(all.starts_with(whole) && all.len() <= whole.len() + 1);
}

/// The data of all complete events, line by line as in WHATWG HTML, 9.2.6.
fn expected(stream: &[u8]) -> Vec<Vec<u8>> {
    let (mut events, mut data): (Vec<Vec<u8>>, Option<Vec<u8>>) = (Vec::new(), None);
    for line in lines(stream) {
        if line.is_empty() {
            events.extend(data.take());
            continue;
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        if field == b"data" {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match &mut data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => data = Some(value.to_vec()),
            }
        }
    }
    events
}

/// The lines that have an end: a line feed, a carriage return, or both.
fn lines(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while let Some(end) = stream.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        lines.push(&stream[..end]);
        let length = if stream[end..].starts_with(b"\r\n") { 2 } else { 1 };
        stream = &stream[end + length..];
    }
    lines
}
