//! A client whose server may go away in the middle of everything.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::{Answer, Request};

/// Longer than the server keeps anybody waiting for the database.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a request; returns its answer if all of it came.
pub fn attempt(to: SocketAddr, request: &Request) -> Option<Answer> {
    let mut connection = TcpStream::connect(to).ok()?;
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.write_all(&request.bytes()).ok()?;
    let mut bytes = Vec::new();
    // Each request asks for its connection to be closed.
    connection.read_to_end(&mut bytes).ok()?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = head.parse(bytes).ok()? else { return None };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = head.headers.iter().map(|h| (h.name.to_ascii_lowercase(), text(h.value))).collect();
    let answer = Answer { status: head.code?, headers, body: bytes[end..].to_vec() };
    let length: usize = answer.header("content-length")?.parse().ok()?;
    (answer.body.len() == length).then_some(answer)
}
