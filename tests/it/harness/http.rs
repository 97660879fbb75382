//! A client that sends exactly what it is told, and reads exactly what comes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(10);

/// A request, built piece by piece.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// An answer that is still coming.
pub struct Stream {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    connection: Box<dyn ReadWrite>,
    buffer: Vec<u8>,
    chunked: bool,
    /// Whether the chunked body came to its proper end.
    pub complete: bool,
}

trait ReadWrite: Read + Write + Send {}
impl<T: Read + Write + Send> ReadWrite for T {}

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// The same request to another target.
    pub fn retarget(mut self, target: &str) -> Self {
        self.target = target.into();
        self
    }

    pub fn post(target: &str, body: &Value) -> Self {
        Self::new("POST", target).json(body)
    }

    /// A chat with one user message.
    pub fn chat(text: &str) -> Self {
        let messages = serde_json::json!([{"role": "user", "content": text}]);
        Self::post("/v1/chat/completions", &serde_json::json!({"model": "m", "messages": messages}))
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// `Authorization: Bearer` with a key or the admin token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn send(&self, to: SocketAddr) -> Answer {
        self.open(to).finish()
    }

    pub fn send_unix(&self, to: &Path) -> Answer {
        let socket = UnixStream::connect(to).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        self.exchange(Box::new(socket)).finish()
    }

    /// Sends the request and returns once the answer's head is there.
    pub fn open(&self, to: SocketAddr) -> Stream {
        let socket = TcpStream::connect(to).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        self.exchange(Box::new(socket))
    }

    /// The request as it goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        let has = |name: &str| self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if !has("host") {
            bytes.extend_from_slice(b"Host: localhost\r\n");
        }
        if !has("content-length")
            && !has("transfer-encoding")
            && (!self.body.is_empty() || self.method == "POST")
        {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        if !has("connection") {
            bytes.extend_from_slice(b"Connection: close\r\n");
        }
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn exchange(&self, mut connection: Box<dyn ReadWrite>) -> Stream {
        // A server may answer before it has read all of a body that it refuses.
        let _ = connection.write_all(&self.bytes());
        Stream::read(connection)
    }
}

/// Sends requests without bodies to read back, one behind the other on a few connections, as fast as they are taken;
/// returns how many were answered with which status.
pub fn flood(to: SocketAddr, requests: &[Request]) -> BTreeMap<u16, usize> {
    let part = requests.len().div_ceil(4).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> =
            requests.chunks(part).map(|part| scope.spawn(move || flood_connection(to, part))).collect();
        let mut statuses = BTreeMap::new();
        for status in parts.into_iter().flat_map(|part| part.join().unwrap()) {
            *statuses.entry(status).or_default() += 1;
        }
        statuses
    })
}

fn flood_connection(to: SocketAddr, requests: &[Request]) -> Vec<u16> {
    let mut connection = TcpStream::connect(to).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut writing = connection.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (last, others) = requests.split_last().unwrap();
            for request in others {
                writing.write_all(&request.clone().header("Connection", "keep-alive").bytes()).unwrap();
            }
            writing.write_all(&last.bytes()).unwrap();
        });
        let mut answers = Vec::new();
        connection.read_to_end(&mut answers).unwrap();
        let answers = String::from_utf8(answers).unwrap();
        answers.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
    })
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The error's code; `-` for an answer that is no error.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or("-").to_owned()
    }

    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Fails the test unless the answer is this error, in the one shape of all errors.
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        let error = answer.json()["error"].clone();
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].is_string() && error["type"].is_string(), "{error}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        answer
    }
}

impl Stream {
    /// The next answer on a connection that is kept.
    pub fn of(connection: TcpStream) -> Self {
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::read(Box::new(connection))
    }

    fn read(connection: Box<dyn ReadWrite>) -> Self {
        let mut stream = Self {
            status: 0,
            headers: Vec::new(),
            connection,
            buffer: Vec::new(),
            chunked: false,
            complete: false,
        };
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut head = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(length) = head.parse(&stream.buffer).unwrap() {
                if head.code == Some(100) {
                    stream.buffer.drain(..length);
                    continue;
                }
                stream.status = head.code.unwrap();
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                stream.headers =
                    head.headers.iter().map(|h| (h.name.to_ascii_lowercase(), text(h.value))).collect();
                stream.chunked = find(&stream.headers, "transfer-encoding") == Some("chunked");
                stream.buffer.drain(..length);
                return stream;
            }
            assert!(stream.fill(), "the connection closed before an answer: {:?}", text_of(&stream.buffer));
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Reads the next server-sent event's data; `None` when the connection or the body has ended.
    pub fn event(&mut self) -> Option<String> {
        let mut event = Vec::new();
        while !event.ends_with(b"\n\n") {
            event.extend_from_slice(&self.piece(1)?);
        }
        let text = String::from_utf8(event).unwrap();
        Some(text.trim_end().strip_prefix("data: ").unwrap_or(&text).to_owned())
    }

    /// Reads all events to the end.
    pub fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.event()).collect()
    }

    /// Reads the rest of the answer.
    pub fn finish(mut self) -> Answer {
        let length = self.header("content-length").map(|length| length.parse::<usize>().unwrap());
        let mut body = Vec::new();
        match length {
            Some(length) => {
                while body.len() < length {
                    let Some(piece) = self.piece(length - body.len()) else { break };
                    body.extend_from_slice(&piece);
                }
            }
            None => {
                while let Some(piece) = self.piece(usize::MAX) {
                    body.extend_from_slice(&piece);
                }
            }
        }
        Answer { status: self.status, headers: self.headers, body }
    }

    /// At most `most` bytes of the body, at least one; `None` at its end.
    fn piece(&mut self, most: usize) -> Option<Vec<u8>> {
        if self.chunked { self.chunk(most) } else { self.raw(most) }
    }

    fn raw(&mut self, most: usize) -> Option<Vec<u8>> {
        if self.buffer.is_empty() && !self.fill() {
            return None;
        }
        let most = most.min(self.buffer.len());
        Some(self.buffer.drain(..most).collect())
    }

    /// Decodes chunk by chunk, keeping what is left of one in the buffer under a size line of its own.
    fn chunk(&mut self, most: usize) -> Option<Vec<u8>> {
        if self.complete {
            return None;
        }
        let (line, size) = loop {
            if let Some(line) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let size = std::str::from_utf8(&self.buffer[..line]).unwrap();
                break (line, usize::from_str_radix(size.split(';').next().unwrap(), 16).unwrap());
            }
            if !self.fill() {
                return None;
            }
        };
        if size == 0 {
            self.complete = true;
            return None;
        }
        while self.buffer.len() < line + 2 + size + 2 {
            if !self.fill() {
                return None;
            }
        }
        let take = most.min(size);
        let data = self.buffer[line + 2..line + 2 + take].to_vec();
        let end = line + 2 + take;
        if take == size {
            self.buffer.drain(..end + 2);
        } else {
            self.buffer.splice(..end, format!("{:x}\r\n", size - take).into_bytes());
        }
        Some(data)
    }

    fn fill(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        match self.connection.read(&mut bytes) {
            Ok(0) => false,
            Ok(length) => {
                self.buffer.extend_from_slice(&bytes[..length]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no answer in {PATIENCE:?}: {error}; so far {:?}", text_of(&self.buffer)),
        }
    }
}

/// The text with each of its bytes percent-encoded.
pub fn escape(text: &str) -> String {
    text.bytes().flat_map(|byte| format!("%{byte:02X}").into_bytes()).map(char::from).collect()
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
