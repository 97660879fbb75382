//! One connection of the load: writes requests that are ready made, and finds the ends of answers.

use std::net::SocketAddr;

use mio::net::TcpStream;

use crate::socket::Socket;

/// A client's connection, with at most one request in flight.
pub struct Connection {
    pub socket: Socket,
    answer: Answer,
}

/// What is known of the answer that is being read.
#[derive(Default)]
struct Answer {
    head: Vec<u8>,
    status: u16,
    body: Body,
    /// The last bytes of a chunked body: where it ends.
    tail: [u8; 5],
}

#[derive(Default, PartialEq)]
enum Body {
    #[default]
    Unknown,
    /// So many bytes are still to come.
    Length(usize),
    Chunked,
}

/// What a read brought.
pub enum Got {
    /// Nothing that ends an answer.
    More,
    /// A whole answer, with its status.
    Whole(u16),
    /// The other side has closed the connection.
    Closed,
}

impl Connection {
    pub fn open(to: SocketAddr) -> Self {
        let socket = std::net::TcpStream::connect(to).expect("the gateway takes connections");
        socket.set_nodelay(true).expect("a socket takes options");
        socket.set_nonblocking(true).expect("a socket takes options");
        Self { socket: Socket::new(TcpStream::from_std(socket)), answer: Answer::default() }
    }

    /// Reads what has come.
    pub fn read(&mut self, buffer: &mut [u8]) -> Got {
        loop {
            match self.socket.read(buffer) {
                None => return Got::More,
                Some(0) => return Got::Closed,
                Some(length) => {
                    if self.answer.take(&buffer[..length]) {
                        return Got::Whole(std::mem::take(&mut self.answer).status);
                    }
                    // Less than there was room for: nothing more has come, mostly.
                    if length < buffer.len() {
                        return Got::More;
                    }
                }
            }
        }
    }
}

impl Answer {
    /// Takes bytes; true at the end of the answer.
    fn take(&mut self, bytes: &[u8]) -> bool {
        if self.body != Body::Unknown {
            return self.take_body(bytes);
        }
        if self.head.is_empty()
            && let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n")
        {
            self.read_head(&bytes[..end]);
            return self.take_body(&bytes[end + 4..]);
        }
        self.head.extend_from_slice(bytes);
        let Some(end) = memchr::memmem::find(&self.head, b"\r\n\r\n") else { return false };
        let all = std::mem::take(&mut self.head);
        self.read_head(&all[..end]);
        self.take_body(&all[end + 4..])
    }

    fn read_head(&mut self, head: &[u8]) {
        let text = std::str::from_utf8(head).expect("heads are ASCII");
        self.status = text.get(9..12).and_then(|status| status.parse().ok()).expect("a status line");
        let field = |name: &str| {
            let mut lines = text.split("\r\n").filter_map(|line| line.split_once(": "));
            lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        self.body = match field("content-length") {
            Some(length) => Body::Length(length.parse().expect("a length")),
            None if field("transfer-encoding").is_some() => Body::Chunked,
            None => Body::Length(0),
        };
    }

    fn take_body(&mut self, bytes: &[u8]) -> bool {
        match &mut self.body {
            Body::Unknown => unreachable!("the head was read"),
            Body::Length(left) => {
                *left -= bytes.len();
                *left == 0
            }
            Body::Chunked => {
                let kept = bytes.len().min(5);
                self.tail.copy_within(kept.., 0);
                self.tail[5 - kept..].copy_from_slice(&bytes[bytes.len() - kept..]);
                self.tail == *b"0\r\n\r\n"
            }
        }
    }
}
