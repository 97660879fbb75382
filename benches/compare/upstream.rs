//! A model server that costs next to nothing: every answer is ready made.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Interest, Registry, Token};

use crate::socket::Socket;

/// The listener's token; connections follow it.
const LISTENER: usize = 1 << 24;
/// Events of a stream.
pub const EVENTS: usize = 20;
/// Between the events of a stream of the model `paced`.
pub const PACE: Duration = Duration::from_millis(50);

/// Answers every chat: as a stream, if the request's body asks for one.
pub struct Upstream {
    pub address: SocketAddr,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    /// Connections whose next event is due, in order: all wait equally long.
    due: VecDeque<(Instant, usize)>,
    answers: Answers,
    buffer: Vec<u8>,
}

struct Connection {
    socket: Socket,
    read: Vec<u8>,
    /// Events that were sent of a paced stream.
    sent: usize,
}

struct Answers {
    whole: Vec<u8>,
    head: Vec<u8>,
    events: Vec<Vec<u8>>,
}

impl Upstream {
    pub fn start(registry: &Registry) -> Self {
        let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port is free");
        registry
            .register(&mut listener, Token(LISTENER), Interest::READABLE)
            .expect("a socket can be watched");
        let address = listener.local_addr().expect("it is bound");
        let (connections, due) = (Vec::new(), VecDeque::new());
        Self { address, listener, connections, due, answers: Answers::new(), buffer: vec![0; 64 * 1024] }
    }

    pub fn is_its(token: Token) -> bool {
        token.0 >= LISTENER
    }

    /// Reads and writes what it can.
    pub fn look(&mut self, token: Token, registry: &Registry) {
        if token.0 == LISTENER {
            return self.accept(registry);
        }
        let index = token.0 - LISTENER - 1;
        let Some(connection) = self.connections[index].as_mut() else { return };
        connection.socket.flush();
        let is_open = connection.fill(&mut self.buffer);
        while let Some(body) = self.connections[index].as_mut().and_then(Connection::take_request) {
            self.answer(index, &body);
        }
        if !is_open {
            self.connections[index] = None;
        }
    }

    /// Sends the events that are due; returns when the next is.
    pub fn send_due(&mut self, now: Instant) -> Option<Instant> {
        while let Some((at, index)) = self.due.pop_front_if(|(at, _)| *at <= now) {
            let Some(connection) = self.connections[index].as_mut() else { continue };
            connection.socket.send(&self.answers.events[connection.sent]);
            connection.sent += 1;
            if connection.sent < EVENTS {
                self.due.push_back((at + PACE, index));
            }
        }
        self.due.front().map(|(at, _)| *at)
    }

    fn accept(&mut self, registry: &Registry) {
        while let Ok((mut socket, _)) = self.listener.accept() {
            let index = self.connections.iter().position(Option::is_none).unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let _ = socket.set_nodelay(true);
            let token = Token(LISTENER + 1 + index);
            registry
                .register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)
                .expect("a socket can be watched");
            self.connections[index] =
                Some(Connection { socket: Socket::new(socket), read: Vec::new(), sent: EVENTS });
        }
    }

    fn answer(&mut self, index: usize, body: &[u8]) {
        let has = |text: &[u8]| memchr::memmem::find(body, text).is_some();
        let connection = self.connections[index].as_mut().expect("it has sent a request");
        if !has(b"\"stream\":true") {
            return connection.socket.send(&self.answers.whole);
        }
        connection.socket.send(&self.answers.head);
        if has(b"\"paced\"") {
            connection.sent = 0;
            self.due.push_back((Instant::now() + PACE, index));
            return;
        }
        for event in &self.answers.events {
            connection.socket.send(event);
        }
    }
}

impl Connection {
    /// Reads what has come; false once the connection is closed.
    fn fill(&mut self, buffer: &mut [u8]) -> bool {
        while let Some(length) = self.socket.read(buffer) {
            if length == 0 {
                return false;
            }
            self.read.extend_from_slice(&buffer[..length]);
            if length < buffer.len() {
                break;
            }
        }
        true
    }

    /// Takes a whole request off; returns its body.
    fn take_request(&mut self) -> Option<Vec<u8>> {
        let end = memchr::memmem::find(&self.read, b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&self.read[..end]).expect("heads are ASCII");
        let mut fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
        let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.map_or(0, |(_, length)| length.trim().parse().expect("a length"));
        let body = self.read.get(end..end + length)?.to_vec();
        self.read.drain(..end + length);
        Some(body)
    }
}

impl Answers {
    fn new() -> Self {
        let text = "All models are wrong, but some are useful; this one only says what it was told to say. ";
        let body = serde_json::json!({
            "id": "chatcmpl-BenchBenchBenchBench", "object": "chat.completion", "created": 1_795_000_000, "model": "m",
            "choices": [{
                "index": 0, "message": {"role": "assistant", "content": text.repeat(3)}, "finish_reason": "stop",
                "logprobs": null,
            }],
            "usage": {"prompt_tokens": 31, "completion_tokens": 57, "total_tokens": 88},
        });
        let body = format!("{body:<617}", body = body.to_string());
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 617\r\n\
                    date: Thu, 26 Nov 2026 22:00:00 GMT\r\nserver: bench\r\n\r\n";
        let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\
                      x-accel-buffering: no\r\ndate: Thu, 26 Nov 2026 22:00:00 GMT\r\n\r\n";
        let mut events: Vec<Vec<u8>> = (1..EVENTS).map(|number| chunk(&event(number))).collect();
        events.push([chunk("data: [DONE]\n\n"), b"0\r\n\r\n".to_vec()].concat());
        Self { whole: (head.to_owned() + &body).into(), head: stream.into(), events }
    }
}

fn event(number: usize) -> String {
    let (choices, usage) = if number == EVENTS - 1 {
        (
            serde_json::json!([]),
            serde_json::json!({"prompt_tokens": 31, "completion_tokens": 18, "total_tokens": 49}),
        )
    } else {
        let delta = serde_json::json!([{"index": 0, "delta": {"content": " useful"}, "finish_reason": null}]);
        (delta, serde_json::Value::Null)
    };
    let event = serde_json::json!({
        "id": "chatcmpl-BenchBenchBenchBench", "object": "chat.completion.chunk", "created": 1_795_000_000, "model": "m",
        "choices": choices, "usage": usage,
    });
    format!("data: {event}\n\n")
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into()
}
