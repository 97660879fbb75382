//! Server-sent events, split as they come in (WHATWG HTML, 9.2).

use actix_web::web::{Bytes, BytesMut};

/// An event that grows beyond this is no event of a model server.
const LONGEST: usize = 32 * 1024 * 1024;

/// Cuts a byte stream between its events. What lies in one chunk is passed on without a copy.
#[derive(Debug, Default)]
pub struct Splitter {
    held: BytesMut,
}

/// An event that does not end.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

impl Splitter {
    /// Takes a chunk; returns all events that are complete now, in one piece, and holds back the rest.
    pub fn push(&mut self, chunk: Bytes) -> Result<Bytes, TooLong> {
        if self.held.is_empty() {
            let mut chunk = chunk;
            let complete = chunk.split_to(complete_length(&chunk, 0));
            self.held.extend_from_slice(&chunk);
            return self.check(complete);
        }
        // An end may straddle two chunks: look again at the last bytes of what was held.
        let seen = self.held.len().saturating_sub(3);
        self.held.extend_from_slice(&chunk);
        let length = complete_length(&self.held, seen);
        let complete = self.held.split_to(length).freeze();
        self.check(complete)
    }

    /// Returns what is held at the end of the stream: an event whose blank line never came, if anything.
    pub fn finish(&mut self) -> Bytes {
        self.held.split().freeze()
    }

    fn check(&self, complete: Bytes) -> Result<Bytes, TooLong> {
        if self.held.len() > LONGEST { Err(TooLong) } else { Ok(complete) }
    }
}

/// Returns the events in a piece that holds whole events only, each with its end.
pub fn events(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let length = first_end(bytes, 0).unwrap_or(bytes.len());
        let (event, rest) = bytes.split_at(length);
        bytes = rest;
        Some(event)
    })
}

/// Returns the data of an event: its `data` lines, joined by line feeds; `None` if it has none.
pub fn data(event: &[u8]) -> Option<std::borrow::Cow<'_, [u8]>> {
    let mut lines = event.split(|byte| matches!(byte, b'\n' | b'\r')).filter_map(|line| {
        let value = line.strip_prefix(b"data")?;
        if value.is_empty() {
            return Some(value);
        }
        let value = value.strip_prefix(b":")?;
        Some(value.strip_prefix(b" ").unwrap_or(value))
    });
    let first = lines.next()?;
    let mut joined: Option<Vec<u8>> = None;
    for line in lines {
        let text = joined.get_or_insert_with(|| first.to_vec());
        text.push(b'\n');
        text.extend_from_slice(line);
    }
    Some(joined.map_or(first.into(), Into::into))
}

/// How many bytes the complete events take, given that none ends before `from`.
fn complete_length(bytes: &[u8], from: usize) -> usize {
    let mut length = 0;
    let mut from = from;
    while let Some(end) = first_end(bytes, from) {
        length = end;
        from = end;
    }
    length
}

/// Where the first event ends: after the blank line, whichever line ends are used.
fn first_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr2(b'\n', b'\r', &bytes[at..])?;
        let line_end = at + line_end_length(&bytes[at..]);
        let rest = &bytes[line_end..];
        match rest.first() {
            // Half of a line end, perhaps: its other half may come with the next chunk.
            Some(b'\r') if rest.len() == 1 => return None,
            Some(b'\n' | b'\r') => return Some(line_end + line_end_length(rest)),
            Some(_) => at = line_end,
            None => return None,
        }
    }
}

fn line_end_length(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\r\n") { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn events_are_passed_on_when_they_are_complete() {
        let mut splitter = Splitter::default();
        let cases: &[(&str, &str)] = &[
            ("data: 1\n\ndata: 2", "data: 1\n\n"),
            ("\n", ""),
            ("\ndata: 3\r\n\r\ndata", "data: 2\n\ndata: 3\r\n\r\n"),
            (": 4\r", ""),
            ("\r: comment\n\n", "data: 4\r\r: comment\n\n"),
        ];
        for (chunk, complete) in cases {
            let passed = splitter.push(Bytes::from_static(chunk.as_bytes())).unwrap();
            assert_eq!(passed, complete.as_bytes(), "{chunk:?}");
        }
        assert!(splitter.finish().is_empty());
    }

    #[test]
    fn a_chunk_of_whole_events_is_not_copied() {
        let chunk = Bytes::from_static(b"data: 1\n\ndata: 2\n\n");
        let passed = Splitter::default().push(chunk.clone()).unwrap();
        assert_eq!(passed.as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn data_is_what_stands_behind_its_name() {
        let cases: &[(&str, Option<&str>)] = &[
            ("data: {}\n\n", Some("{}")),
            ("data:{}\r\n\r\n", Some("{}")),
            ("event: x\ndata:  two blanks\nid: 1\n\n", Some(" two blanks")),
            ("data: a\ndata: b\n\n", Some("a\nb")),
            ("data\n\n", Some("")),
            (": keep-alive\n\n", None),
            ("database: no\n\n", None),
        ];
        for (event, expected) in cases {
            let data = data(event.as_bytes());
            assert_eq!(data.as_deref(), expected.map(str::as_bytes), "{event:?}");
        }
    }

    proptest! {
        #[test]
        fn however_a_stream_is_cut_its_events_are_the_same(
            texts in proptest::collection::vec("[a-z {}\":]{0,12}", 1..12),
            end in prop_oneof![Just("\n"), Just("\r\n")],
            cuts in proptest::collection::vec(1..9_usize, 1..200),
        ) {
            let whole = texts.iter().fold(String::new(), |whole, text| whole + "data: " + text + end + end);
            let mut rest = Bytes::from(whole.clone().into_bytes());
            let (mut splitter, mut passed, mut cuts) = (Splitter::default(), Vec::new(), cuts.into_iter().cycle());
            while !rest.is_empty() {
                let chunk = rest.split_to(cuts.next().unwrap().min(rest.len()));
                let complete = splitter.push(chunk).unwrap();
                for event in events(&complete) {
                    passed.push(String::from_utf8(data(event).unwrap().into_owned()).unwrap());
                }
            }
            prop_assert_eq!(passed, texts);
            prop_assert!(splitter.finish().is_empty());
        }

        #[test]
        fn no_bytes_make_the_splitter_panic_or_lose_anything(
            chunks in proptest::collection::vec("[\r\nda:t]{0,9}", 0..30),
        ) {
            let mut splitter = Splitter::default();
            let mut out = Vec::new();
            for chunk in &chunks {
                out.extend_from_slice(&splitter.push(Bytes::from(chunk.clone())).unwrap());
            }
            out.extend_from_slice(&splitter.finish());
            prop_assert_eq!(out, chunks.concat().into_bytes());
        }
    }
}
