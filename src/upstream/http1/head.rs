//! The head of an answer: its status, how its body is framed (RFC 9112, 6.3), and the little else that mcpd reads.

use std::mem::MaybeUninit;

use httparse::{ParserConfig, Status};

/// The longest head that is read, those of interim answers in front of it included.
const LONGEST: usize = 64 * 1024;
const MOST_FIELDS: usize = 128;
const BEGINNING: &[u8] = b"HTTP/1.";

/// What mcpd reads of an answer's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Whether the body is a stream of events.
    pub is_event_stream: bool,
    /// `Retry-After`, where it is in seconds.
    pub retry_after: Option<u64>,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the connection may be used again once the body has ended.
    pub keeps_connection: bool,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Close,
}

/// What came is no answer in HTTP/1.1, or one that two readers could understand differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// Looks for the end of a head in bytes of which the first `seen` were looked at before.
///
/// Returns the head and its length, interim answers included, or `None` if more must come.
pub fn parse(bytes: &[u8], seen: usize) -> Result<Option<(Head, usize)>, Malformed> {
    if !bytes.iter().zip(BEGINNING).all(|(one, other)| one == other) {
        return Err(Malformed("it does not speak HTTP/1.1"));
    }
    // Parsed once it is there, not with each byte that comes.
    if !has_end(&bytes[seen.saturating_sub(3)..]) {
        return if bytes.len() > LONGEST { Err(Malformed("its head is too long")) } else { Ok(None) };
    }
    let mut start = 0;
    while start < LONGEST {
        let Some((head, length)) = parse_one(&bytes[start..])? else { return Ok(None) };
        start += length;
        match head {
            Some(head) => return Ok(Some((head, start))),
            None if bytes.len() == start => return Ok(None),
            None => {}
        }
    }
    Err(Malformed("its head is too long"))
}

fn has_end(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"\n\r\n").is_some() || memchr::memmem::find(bytes, b"\n\n").is_some()
}

/// Parses one head; that of an interim answer tells nothing (RFC 9110, 15.2).
fn parse_one(bytes: &[u8]) -> Result<Option<(Option<Head>, usize)>, Malformed> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let config = ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut response, bytes, &mut fields) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Malformed("its head has too many fields")),
        Err(_) => return Err(Malformed("its head is no head")),
    };
    match response.code.unwrap_or_default() {
        101 => Err(Malformed("it changes the protocol, which nobody asked for")),
        100..=199 => Ok(Some((None, length))),
        status @ 200..=599 => {
            let fields = Fields::read(response.headers)?;
            let is_1_1 = response.version == Some(1);
            Ok(Some((Some(fields.into_head(status, is_1_1)?), length)))
        }
        _ => Err(Malformed("its status is none")),
    }
}

/// The fields that mcpd reads.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    /// Whether there is a transfer coding; `chunked` is the only one that is understood.
    is_chunked: bool,
    connection: Wish,
    is_event_stream: bool,
    retry_after: Option<u64>,
}

/// What the upstream means to do with the connection.
#[derive(Default, PartialEq)]
enum Wish {
    #[default]
    Unsaid,
    Keep,
    Close,
}

impl Fields {
    fn read(fields: &[httparse::Header<'_>]) -> Result<Self, Malformed> {
        let mut read = Self::default();
        for field in fields {
            let (name, value) = (field.name, field.value.trim_ascii());
            if name.eq_ignore_ascii_case("content-length") {
                read.add_length(value)?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                if read.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed("its transfer coding is not just `chunked`"));
                }
                read.is_chunked = true;
            } else if name.eq_ignore_ascii_case("connection") {
                let has = |option: &[u8]| {
                    value.split(|byte| *byte == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(option))
                };
                if has(b"close") {
                    read.connection = Wish::Close;
                } else if has(b"keep-alive") && read.connection == Wish::Unsaid {
                    read.connection = Wish::Keep;
                }
            } else if name.eq_ignore_ascii_case("content-type") {
                const EVENTS: &[u8] = b"text/event-stream";
                read.is_event_stream =
                    value.get(..EVENTS.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS));
            } else if name.eq_ignore_ascii_case("retry-after") {
                read.retry_after = number(value);
            }
        }
        Ok(read)
    }

    /// One length, however often it is told; digits alone.
    fn add_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        for one in value.split(|byte| *byte == b',') {
            let length = number(one.trim_ascii()).ok_or(Malformed("its length is no number"))?;
            if self.length.replace(length).is_some_and(|before| before != length) {
                return Err(Malformed("it tells two lengths"));
            }
        }
        Ok(())
    }

    fn into_head(self, status: u16, is_1_1: bool) -> Result<Head, Malformed> {
        let Self { length, is_chunked, connection, is_event_stream, retry_after } = self;
        if is_chunked && (length.is_some() || !is_1_1) {
            return Err(Malformed("it is framed in two ways"));
        }
        let framing = match length {
            _ if matches!(status, 204 | 304) => Framing::Length(0),
            _ if is_chunked => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::Close,
        };
        let is_kept = connection == Wish::Keep || (is_1_1 && connection == Wish::Unsaid);
        let keeps_connection = framing != Framing::Close && is_kept;
        Ok(Head { status, is_event_stream, retry_after, framing, keeps_connection })
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| all_digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(text: &str) -> Result<Option<(Head, usize)>, Malformed> {
        parse(text.as_bytes(), 0)
    }

    #[test]
    fn a_body_is_framed_as_its_head_says() {
        use Framing::{Chunked, Close, Length};
        let cases: &[(&str, Framing, bool)] = &[
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Length(5), true),
            ("HTTP/1.1 200\r\ncontent-length: 5\r\n\r\n", Length(5), true),
            ("HTTP/1.1 200 OK\ncontent-length: 5\n\n", Length(5), true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nContent-Length: 5\r\n\r\n", Length(5), true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\n", Length(5), true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: x, Close\r\n\r\n", Length(5), false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", Chunked, true),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n", Chunked, false),
            ("HTTP/1.1 200 OK\r\n\r\n", Close, false),
            ("HTTP/1.0 200 OK\r\n\r\n", Close, false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", Length(5), false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: Keep-Alive\r\n\r\n", Length(5), true),
            ("HTTP/1.1 204 No Content\r\n\r\n", Length(0), true),
            ("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", Length(0), true),
            ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", Length(0), true),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Length(5), true),
            ("HTTP/1.1 103 E\r\nlink: x\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Close, false),
        ];
        for (text, framing, keeps) in cases {
            let (head, length) = head(text).unwrap().unwrap_or_else(|| panic!("{text:?}"));
            assert_eq!(
                (head.framing, head.keeps_connection, length),
                (*framing, *keeps, text.len()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_no_answer() {
        let cases = [
            "content-length: 5\r\ncontent-length: 6",
            "content-length: 5, 6",
            "content-length: +5",
            "content-length: -5",
            "content-length: 0x5",
            "content-length: 1e3",
            "content-length: 5 5",
            "content-length:",
            "content-length: 5,",
            "content-length: 18446744073709551616",
            "content-length: 5\r\ntransfer-encoding: chunked",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "transfer-encoding: chunked, chunked",
            "transfer-encoding: gzip, chunked",
            "transfer-encoding: chunked, gzip",
            "transfer-encoding: gzip",
            "transfer-encoding: identity",
            "transfer-encoding: xchunked",
            "transfer-encoding:",
            "content-length : 5",
            "x: 1\r\n content-length: 5",
            "x\u{0}: 1",
            "x: \u{0}",
            "x: a\rb",
            "x y: 1",
        ];
        for fields in cases {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
            assert!(head(&text).is_err(), "{text:?}");
        }
        let old = "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(head(old).is_err());
    }

    #[test]
    fn what_is_no_answer_is_told_as_soon_as_it_shows() {
        let cases = [
            "SSH-2.0-OpenSSH",
            "\u{16}\u{3}\u{1}",
            "{",
            "HTTP/2",
            "http/1.1 200",
            " HTTP/1.1 200",
            "\r\nHTTP/1.1 200",
            "HTTP/1.1 99 X\r\n\r\n",
            "HTTP/1.1 600 X\r\n\r\n",
            "HTTP/1.1 1000 X\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 101 Switching\r\n\r\n",
            "HTTP/1.1 \r\n\r\n",
            "HTTP/1.11 200 OK\r\n\r\n",
        ];
        for text in cases {
            assert!(head(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_head_is_bounded() {
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(LONGEST));
        assert!(head(&endless).is_err());
        let fields = |count| format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: 1\r\n".repeat(count));
        assert!(head(&fields(MOST_FIELDS)).unwrap().is_some());
        assert!(head(&fields(MOST_FIELDS + 1)).is_err());
        assert!(head(&"HTTP/1.1 100 Continue\r\n\r\n".repeat(LONGEST / 20)).is_err());
    }

    #[test]
    fn the_little_else_that_is_read() {
        let text =
            "HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-type: Text/Event-Stream; charset=utf-8\r\n\r\n";
        let (head, _) = head(text).unwrap().unwrap();
        assert_eq!((head.status, head.retry_after, head.is_event_stream), (429, Some(7), true));
    }

    proptest! {
        #[test]
        fn a_head_is_the_same_however_it_is_cut(cut in 0_usize..120, interim in any::<bool>()) {
            let interim = if interim { "HTTP/1.1 100 Continue\r\n\r\n" } else { "" };
            let text = format!("{interim}HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\nhello");
            let whole = parse(text.as_bytes(), 0).unwrap().unwrap();
            let cut = cut.min(text.len());
            let read = match parse(&text.as_bytes()[..cut], 0).unwrap() {
                Some(read) => read,
                None => parse(text.as_bytes(), cut).unwrap().unwrap(),
            };
            prop_assert_eq!(read, whole);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>, text in "HTTP/1.1 [ -~\r\n]{0,200}") {
            let _ = parse(&bytes, 0);
            let _ = parse(text.as_bytes(), 0);
        }
    }
}
