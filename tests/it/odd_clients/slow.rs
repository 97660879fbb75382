//! Clients that send so slowly that they could hold a connection for ever.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{expect_well, read_all, serving};
use crate::harness::{Request, Stream};

/// How many of each kind there are.
const MANY: usize = 40;
/// Heads may take ten seconds, and the test be held up.
const LONGEST: Duration = Duration::from_secs(25);

/// A connection that sends a head little by little, without an end.
struct Slow {
    connection: TcpStream,
    what: &'static str,
    /// What it said until it was closed.
    answer: Option<String>,
}

impl Slow {
    fn open(to: std::net::SocketAddr, what: &'static str, begin: &str) -> Self {
        let mut connection = TcpStream::connect(to).unwrap();
        connection.write_all(begin.as_bytes()).unwrap();
        connection.set_nonblocking(true).unwrap();
        Self { connection, what, answer: None }
    }

    /// One that was answered once, and goes on slowly.
    fn kept(to: std::net::SocketAddr) -> Self {
        let mut connection = TcpStream::connect(to).unwrap();
        connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        Stream::of(connection.try_clone().unwrap()).finish().expect(200);
        connection.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
        connection.set_nonblocking(true).unwrap();
        Self { connection, what: "a second head", answer: None }
    }

    fn drip(&mut self) {
        let _ = self.connection.write_all(b"X");
        let mut piece = [0; 1000];
        match self.connection.read(&mut piece) {
            Ok(length) => self.answer = Some(String::from_utf8_lossy(&piece[..length]).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => self.answer = Some(String::new()),
        }
    }
}

/// Longer than most: heads may take ten seconds.
#[test]
fn heads_that_drip_are_ended_and_hold_nobody_up() {
    let (server, _upstream) = serving();
    let (key, _) = server.key(json!({"max_concurrent": 1}));
    let begun =
        [("nothing", ""), ("half a line", "GET /v1/k"), ("half a head", "GET /v1/key HTTP/1.1\r\nHost: ")];
    let open = |_| begun.map(|(what, begin)| Slow::open(server.public, what, begin));
    let mut slow: Vec<_> = (0..MANY).flat_map(open).collect();
    slow.extend((0..MANY / 4).map(|_| Slow::kept(server.public)));
    let start = Instant::now();
    while slow.iter().any(|each| each.answer.is_none()) {
        let left: Vec<_> = slow.iter().filter(|each| each.answer.is_none()).map(|each| each.what).collect();
        assert!(start.elapsed() < LONGEST, "{} go on, such as {:?}", left.len(), left[0]);
        slow.iter_mut().filter(|each| each.answer.is_none()).for_each(Slow::drip);
        let asked = Instant::now();
        expect_well(&server, &key, "beside slow ones");
        assert!(asked.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(200));
    }
    for each in slow {
        let answer = each.answer.unwrap();
        assert!(answer.is_empty() || answer.contains("request_timeout"), "{}: {answer}", each.what);
    }
    server.call(&key, Request::get("/v1/key")).expect(200);
}

#[test]
fn bodies_that_drip_hold_their_own_slots_and_nobody_up() {
    let (server, upstream) = serving();
    let (slow, _) = server.key(json!({"max_concurrent": MANY}));
    let (key, _) = server.key(json!({"max_concurrent": 1}));
    let bytes = Request::chat("slow").bearer(&slow).bytes();
    let (begin, rest) = bytes.split_at(bytes.len() - 10);
    let mut dripping: Vec<_> = (0..MANY).map(|_| TcpStream::connect(server.public).unwrap()).collect();
    for connection in &mut dripping {
        connection.set_nodelay(true).unwrap();
        connection.write_all(begin).unwrap();
    }
    for byte in rest {
        expect_well(&server, &key, "beside slow ones");
        for connection in &mut dripping {
            connection.write_all(&[*byte]).unwrap();
        }
    }
    for connection in &mut dripping {
        let (answers, _) = read_all(connection, Duration::from_secs(5));
        assert!(answers.len() == 1 && answers[0].0 == 200, "{answers:?}");
    }
    let slow = upstream.seen().iter().filter(|seen| super::said(seen) == "slow").count();
    assert_eq!(slow, MANY);
}
