//! The chunked transfer coding (RFC 9112, 7.1), read strictly.

use actix_web::web::{Bytes, BytesMut};

use super::head::Malformed;

/// The longest that a chunk's size and extensions may be, and the trailers after the last chunk.
const LONGEST_LINE: usize = 4 * 1024;
const LONGEST_TRAILERS: usize = 16 * 1024;

/// Reads a chunked body.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// At a chunk's size.
    #[default]
    Size,
    /// Within a chunk, of which so much is left.
    Data(u64),
    /// At the line end behind a chunk's data.
    DataEnd,
    /// Behind the last chunk, and so much was read since.
    Trailers(usize),
    End,
}

impl Decoder {
    /// Tells whether the body has ended.
    pub const fn is_ended(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// Returns how much of the chunk that has begun is still to come.
    pub fn expected(&self) -> usize {
        match self.state {
            State::Data(left) => usize::try_from(left).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    /// Takes off what can be read; returns the data in it, of all chunks in one piece. An error is told once the data
    /// before it was handed out.
    pub fn read(&mut self, bytes: &mut BytesMut) -> Result<Bytes, Malformed> {
        // Data moves to the front, over the sizes between, and is handed on without a further copy.
        let (mut read, mut kept) = (0, 0);
        loop {
            match self.state {
                State::Data(left) => {
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - read);
                    if length == 0 {
                        break;
                    }
                    if read != kept {
                        bytes.copy_within(read..read + length, kept);
                    }
                    (read, kept) = (read + length, kept + length);
                    let left = left - length as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                }
                State::End => break,
                _ => match self.read_line(&bytes[read..]) {
                    Ok(0) => break,
                    Ok(length) => read += length,
                    Err(error) if kept == 0 => return Err(error),
                    // What came before is good; the error is told after it.
                    Err(_) => break,
                },
            }
        }
        let data = bytes.split_to(read).freeze().slice(..kept);
        Ok(data)
    }

    /// Reads what stands between data, a line of it; returns its length, 0 if it is not there yet.
    fn read_line(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        if matches!(self.state, State::DataEnd) && !bytes.iter().zip(b"\r\n").all(|(one, other)| one == other)
        {
            return Err(Malformed("a chunk is longer than its size"));
        }
        let most = match self.state {
            State::Trailers(read) => LONGEST_TRAILERS - read,
            _ => LONGEST_LINE,
        };
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            return if bytes.len() > most { Err(Malformed("a chunk's size does not end")) } else { Ok(0) };
        };
        if end > most {
            return Err(Malformed("a chunk's size or its trailers are too long"));
        }
        let line =
            bytes[..end].strip_suffix(b"\r").ok_or(Malformed("a chunk's line ends in a bare line feed"))?;
        self.state = match self.state {
            State::Size => match size(line)? {
                0 => State::Trailers(0),
                size => State::Data(size),
            },
            State::DataEnd => State::Size,
            State::Trailers(_) if line.is_empty() => State::End,
            State::Trailers(read) => State::Trailers((read + end + 1).min(LONGEST_TRAILERS)),
            State::Data(_) | State::End => unreachable!("no line is read there"),
        };
        Ok(end + 1)
    }
}

/// The size in a chunk's first line; extensions behind it say nothing that mcpd knows.
fn size(line: &[u8]) -> Result<u64, Malformed> {
    let end = line.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t')).unwrap_or(line.len());
    let (digits, rest) = line.split_at(end);
    let rest = rest.trim_ascii_start();
    let is_size = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    if !is_size || !(rest.is_empty() || rest.starts_with(b";")) || rest.contains(&b'\r') {
        return Err(Malformed("a chunk's size is no number"));
    }
    let digits = std::str::from_utf8(digits).expect("hexadecimal digits are ASCII");
    u64::from_str_radix(digits, 16).map_err(|_| Malformed("a chunk's size is no number"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a body that comes in these pieces; returns the data, whether it ended, and what was left behind it.
    fn read(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, Vec<u8>), Malformed> {
        let (mut decoder, mut bytes, mut data) = (Decoder::default(), BytesMut::new(), Vec::new());
        for piece in pieces {
            bytes.extend_from_slice(piece);
            while let piece = decoder.read(&mut bytes)?
                && !piece.is_empty()
            {
                data.extend_from_slice(&piece);
            }
        }
        Ok((data, decoder.is_ended(), bytes.to_vec()))
    }

    #[test]
    fn chunks_are_joined() {
        let cases: &[(&str, &str, bool, &str)] = &[
            ("5\r\nhello\r\n0\r\n\r\n", "hello", true, ""),
            ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", true, ""),
            ("00A\r\n0123456789\r\n0\r\n\r\n", "0123456789", true, ""),
            ("a;x=\"1\"; y\r\n0123456789\r\n000\r\n\r\n", "0123456789", true, ""),
            ("1 \r\nx\r\n0\r\n\r\n", "x", true, ""),
            ("0\r\nx: 1\r\ny: 2\r\n\r\n", "", true, ""),
            ("1\r\nx\r\n0\r\n\r\nHTTP/1.1 200 OK", "x", true, "HTTP/1.1 200 OK"),
            ("5\r\nhel", "hel", false, ""),
            ("5\r\nhello\r\n", "hello", false, ""),
            ("5", "", false, "5"),
        ];
        for (body, data, ended, rest) in cases {
            let expected = (data.as_bytes().to_vec(), *ended, rest.as_bytes().to_vec());
            assert_eq!(read(&[body.as_bytes()]).unwrap(), expected, "{body:?}");
        }
    }

    #[test]
    fn a_size_that_is_none_is_refused() {
        let cases = [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            "1x\r\n",
            " 1\r\n",
            ";x\r\n",
            "1 1\r\n",
            "1\n",
            "1\rx\r\n",
            "10000000000000000\r\n",
            "00000000000000001\r\n",
            "1\r\nxy\r\n",
            "1\r\nx\n",
            "1\r\nx1\r\n",
            "1;\rx\r\n",
            "0\r\nx: 1\n\r\n",
        ];
        for body in cases {
            assert!(read(&[body.as_bytes()]).is_err(), "{body:?}");
        }
    }

    #[test]
    fn what_came_before_an_error_is_read() {
        let (mut decoder, mut bytes) = (Decoder::default(), BytesMut::from("5\r\nhello\r\nzz\r\n"));
        assert_eq!(decoder.read(&mut bytes).unwrap(), "hello");
        assert!(decoder.read(&mut bytes).is_err());
    }

    #[test]
    fn what_stands_between_data_is_bounded() {
        let long = "x".repeat(LONGEST_LINE + 1);
        for body in [long.clone(), format!("1;{long}"), format!("1;{long}\r\n")] {
            assert!(read(&[body.as_bytes()]).is_err());
        }
        let trailers = format!("0\r\n{}", "x: 1\r\n".repeat(LONGEST_TRAILERS));
        assert!(read(&[trailers.as_bytes()]).is_err());
    }

    proptest! {
        #[test]
        fn a_body_is_the_same_however_it_is_cut(chunks in proptest::collection::vec("[a-z\r\n]{1,40}", 0..6), cuts: [prop::sample::Index; 3]) {
            let written = chunks.iter().map(|data| format!("{:x};e\r\n{data}\r\n", data.len()));
            let body = written.collect::<Vec<_>>().concat() + "0\r\nt: 1\r\n\r\nnext";
            let mut cuts = cuts.map(|cut| cut.index(body.len()));
            cuts.sort_unstable();
            let [one, two, three] = cuts;
            let bytes = body.as_bytes();
            let pieces = [&bytes[..one], &bytes[one..two], &bytes[two..three], &bytes[three..]];
            prop_assert_eq!(read(&pieces).unwrap(), (chunks.concat().into_bytes(), true, b"next".to_vec()));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>, text in "[0-9a-f;\r\nx ]{0,80}") {
            let _ = read(&[&bytes]);
            let _ = read(&[text.as_bytes()]);
        }
    }
}
