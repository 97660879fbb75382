//! Model servers that do what a test tells them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// A scripted upstream on a free port of loopback.
pub struct FakeUpstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as the upstream saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl FakeUpstream {
    /// Answers each request with what the script writes to the connection, then closes it unless the script
    /// says to go on by returning true.
    pub fn start(script: impl Fn(&Seen, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), script)
    }

    /// Does the same at an address, where nobody was before.
    pub fn start_at(
        address: SocketAddr,
        script: impl Fn(&Seen, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (script, notes) = (Arc::new(script), Arc::clone(&seen));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (script, notes) = (Arc::clone(&script), Arc::clone(&notes));
                std::thread::spawn(move || serve(connection.unwrap(), &*script, &notes));
            }
        });
        Self { address, seen }
    }

    /// Answers every request with the same JSON.
    pub fn json(status: u16, body: Value) -> Self {
        Self::start(move |_, connection| {
            write_json(connection, status, &body);
            true
        })
    }

    /// Answers every request with these events, `[DONE]` not added.
    pub fn events(events: &'static [&'static str]) -> Self {
        Self::start(move |_, connection| {
            write_stream(connection, events);
            true
        })
    }

    /// The requests seen so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

pub fn write_json(connection: &mut impl Write, status: u16, body: &Value) {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} Told\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let _ = connection.write_all((head + &body).as_bytes());
}

/// Writes a whole stream of these events, `[DONE]` not added.
pub fn write_stream(connection: &mut TcpStream, events: &[&str]) {
    begin_stream(connection);
    for event in events {
        send_event(connection, event);
    }
    end_stream(connection);
}

pub fn begin_stream(connection: &mut TcpStream) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let _ = connection.write_all(head.as_bytes());
}

/// Sends `data: …` as one chunk; false once the other side is gone.
pub fn send_event(connection: &mut TcpStream, data: &str) -> bool {
    send_chunk(connection, &format!("data: {data}\n\n"))
}

pub fn send_chunk(connection: &mut TcpStream, text: &str) -> bool {
    connection.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).is_ok()
}

pub fn end_stream(connection: &mut TcpStream) {
    let _ = connection.write_all(b"0\r\n\r\n");
}

/// Waits until the other side has closed the connection; false if it has not within five seconds.
pub fn wait_for_close(connection: &mut TcpStream) -> bool {
    connection.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    !matches!(connection.read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

fn serve(
    mut connection: TcpStream,
    script: &(impl Fn(&Seen, &mut TcpStream) -> bool + ?Sized),
    notes: &Mutex<Vec<Seen>>,
) {
    connection.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    while let Some(seen) = read_request(&mut reader) {
        notes.lock().unwrap().push(seen.clone());
        if !script(&seen, &mut connection) {
            return;
        }
    }
}

pub(super) fn read_request(reader: &mut impl BufRead) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace().map(ToOwned::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { method, target, headers, body })
}
