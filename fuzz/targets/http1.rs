//! Answers of upstreams: however the bytes are cut, the same head and the same body are read, and nothing behind them.
//!
//! The first line of the input is how the rest is cut.
#![no_main]

use actix_web::web::BytesMut;
use libfuzzer_sys::fuzz_target;
use mcpd::upstream::http1::chunked::Decoder;
use mcpd::upstream::http1::head::{self, Framing, Head};
use mcpd_fuzz::input::{first_line, pieces};

fuzz_target!(|data: &[u8]| {
    let (cuts, answer) = first_line(data);
    let whole = read_head(&[answer]);
    let singly: Vec<&[u8]> = answer.chunks(1).collect();
    for cut in [pieces(answer, cuts), singly] {
        assert_eq!(read_head(&cut), whole, "cut as {cut:?}");
    }
    let Some((head, length)) = whole else { return };
    assert!((200..600).contains(&head.status) && length <= answer.len());
    if head.framing == Framing::Chunked {
        check_body(cuts, &answer[length..]);
    }
});

/// Returns the head, and its length, if one is there and can be read.
fn read_head(pieces: &[&[u8]]) -> Option<(Head, usize)> {
    let mut bytes = Vec::new();
    for piece in pieces {
        let seen = bytes.len();
        bytes.extend_from_slice(piece);
        match head::parse(&bytes, seen) {
            Ok(None) => {}
            Ok(found) => return found,
            Err(_) => return None,
        }
    }
    None
}

fn check_body(cuts: &[u8], body: &[u8]) {
    let (data, ended, rest) = read_body(&[body]);
    let singly: Vec<&[u8]> = body.chunks(1).collect();
    for cut in [pieces(body, cuts), singly] {
        let (cut_data, cut_ended, cut_rest) = read_body(&cut);
        assert_eq!((&cut_data, cut_ended), (&data, ended), "cut as {cut:?}");
        assert!(!ended || cut_rest == rest, "cut as {cut:?}");
    }
    assert!(data.len() <= body.len() && body.ends_with(&rest));
    if ended {
        // Written again, and read again, it is the same.
        let again = format!("{:x}\r\n", data.len()).into_bytes();
        let again = if data.is_empty() { Vec::new() } else { [&again, &data[..], b"\r\n"].concat() };
        let again = [&again[..], b"0\r\n\r\n", &rest].concat();
        assert_eq!(read_body(&[&again]), (data, true, rest));
    }
}

/// Returns the data up to the body's end or an error in it, whether it has ended, and what is left behind that.
fn read_body(pieces: &[&[u8]]) -> (Vec<u8>, bool, Vec<u8>) {
    let (mut decoder, mut bytes, mut data) = (Decoder::default(), BytesMut::new(), Vec::new());
    for piece in pieces {
        bytes.extend_from_slice(piece);
        loop {
            match decoder.read(&mut bytes) {
                Ok(piece) if piece.is_empty() => break,
                Ok(piece) => data.extend_from_slice(&piece),
                Err(_) => return (data, false, Vec::new()),
            }
        }
    }
    (data, decoder.is_ended(), bytes.to_vec())
}
