//! Upstreams that answer oddly: what the client is told, and that nothing of it lasts.
//!
//! Each odd answer is given to a plain and to a streamed chat, in one write, byte by byte and in pieces. Right behind
//! it, a good request is answered: the key's only slot is free again, and what was left on the odd connection is
//! nobody's answer.

mod bodiless;
mod chunks;
mod cuts;
mod early;
mod ends;
mod hangs;
mod heads;
mod hidden;
mod http_1_0;
mod huge;
mod interim;
mod kept;
mod lengths;
mod resets;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use socket2::SockRef;

use crate::harness::{FakeUpstream, Request, Seen, Stream, TestServer, eventually};

/// What the odd answer says: so long that its length in hexadecimal digits has letters.
const ODD: &str = "an answer that came in an odd way, and is still the answer, if it can be read at all, \
                   or else is none and must not be taken for one, ever";

/// An answer longer than this is about its length, not about where it is cut.
const LONG: usize = 4096;

/// The first line and the type of a good answer.
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\n";

/// An odd answer, and what must come of it.
struct Case {
    what: &'static str,
    /// As [`fill`] takes it.
    answer: String,
    then: Then,
    plain: Expected,
    streamed: Expected,
}

/// What the upstream does behind its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// It waits for the next request.
    Keep,
    Close,
    Reset,
}

/// What the client must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// The answer.
    Good,
    /// `upstream_error`: as a 502, or behind the events that came before.
    Failed,
    /// One of the two: recipients may be as lenient as that.
    Either,
}

use Expected::{Either, Failed, Good};
use Then::{Close, Keep, Reset};

fn case(what: &'static str, answer: impl Into<String>, then: Then, expected: Expected) -> Case {
    Case { what, answer: answer.into(), then, plain: expected, streamed: expected }
}

impl Case {
    /// In a stream it comes to something else.
    fn streamed(self, expected: Expected) -> Self {
        Self { streamed: expected, ..self }
    }

    fn expected(&self, is_streamed: bool) -> Expected {
        if is_streamed { self.streamed } else { self.plain }
    }
}

/// How the bytes of an answer are written.
#[derive(Clone, Copy, Debug)]
enum Writing {
    AtOnce,
    ByteByByte,
    /// In pieces of odd lengths.
    InPieces,
}

impl Writing {
    const ALL: [Self; 3] = [Self::AtOnce, Self::ByteByByte, Self::InPieces];

    fn write(self, connection: &mut TcpStream, bytes: &[u8]) {
        let mut rest = bytes;
        for length in [7, 1, 18, 2, 31, 3, 1, 64].into_iter().cycle() {
            let length = match self {
                Self::AtOnce => rest.len(),
                Self::ByteByByte => rest.len().min(1),
                Self::InPieces => rest.len().min(length),
            };
            if length == 0 || connection.write_all(&rest[..length]).is_err() {
                return;
            }
            rest = &rest[length..];
        }
    }
}

/// The body of a good answer, which names what it answers.
fn body(told: &str, is_streamed: bool) -> String {
    if is_streamed {
        format!("data: {{\"choices\":[],\"told\":\"{told}\"}}\n\ndata: [DONE]\n\n")
    } else {
        format!("{{\"choices\":[],\"told\":\"{told}\"}}")
    }
}

/// Fills in what an answer leaves open:
///
/// - `TYPE`, `BODY`, its length `LEN`;
/// - `SIZE` and `UPPER`, its length in hexadecimal digits, in small and in large letters;
/// - `FIRST`, its beginning as a chunk, `REST`, the chunks to its end, and `CHUNKS`, both;
/// - `POISON`, a whole good answer, which nobody asked for.
///
/// Characters up to U+00FF are bytes.
fn fill(answer: &str, is_streamed: bool) -> Vec<u8> {
    let whole = body(ODD, is_streamed);
    let middle = whole.find("data: [DONE]").unwrap_or(9);
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let (first, rest) = (chunk(&whole[..middle]), chunk(&whole[middle..]) + "0\r\n\r\n");
    let poison = body("poison", is_streamed);
    let poison = format!("{HEAD}content-length: {}\r\n\r\n{poison}", poison.len());
    let filled = answer
        .replace("POISON", &poison)
        .replace("CHUNKS", &format!("{first}{rest}"))
        .replace("FIRST", &first)
        .replace("REST", &rest)
        .replace("SIZE", &format!("{:x}", whole.len()))
        .replace("UPPER", &format!("{:X}", whole.len()))
        .replace("LEN", &whole.len().to_string())
        .replace("BODY", &whole)
        .replace("TYPE", if is_streamed { "text/event-stream" } else { "application/json" });
    filled.chars().map(|byte| u8::try_from(u32::from(byte)).unwrap()).collect()
}

/// An answer of this body, with its length.
fn good(told: &str, is_streamed: bool) -> Vec<u8> {
    let body = body(told, is_streamed);
    fill(&format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len()), is_streamed)
}

/// What the user said, and whether a stream is to answer it.
fn asked(seen: &Seen) -> (String, bool) {
    let json = seen.json();
    (json["messages"][0]["content"].as_str().unwrap().to_owned(), json["stream"] == true)
}

fn chat(said: &str, is_streamed: bool) -> Request {
    let messages = json!([{"role": "user", "content": said}]);
    let body = json!({"model": "m", "messages": messages, "stream": is_streamed});
    Request::post("/v1/chat/completions", &body)
}

/// What came of a request.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    /// Whether the body came to the end that it promised.
    is_whole: bool,
}

impl Got {
    fn read(mut stream: Stream) -> Self {
        let (status, headers) = (stream.status, stream.headers.clone());
        if stream.header("transfer-encoding") == Some("chunked") {
            let events = stream.events();
            let body = events.iter().fold(String::new(), |body, event| body + "data: " + event + "\n\n");
            return Self { status, headers, body, is_whole: stream.complete };
        }
        let answer = stream.finish();
        let length = answer.header("content-length").map(|length| length.parse().unwrap());
        Self { status, headers, body: answer.text(), is_whole: length == Some(answer.body.len()) }
    }

    fn told(&self) -> String {
        format!("{}, whole: {}, {:.120}", self.status, self.is_whole, self.body)
    }

    fn is_good(&self, told: &str, is_streamed: bool) -> bool {
        self.status == 200 && self.is_whole && self.body == body(told, is_streamed)
    }

    /// Whether it says that the upstream failed, in the one way or the other, and nobody can take it for an answer.
    fn is_failure(&self, status: u16, code: &str) -> bool {
        let last = self.body.trim_end().rsplit("data: ").next().unwrap_or_default();
        let error: Value = serde_json::from_str(last).unwrap_or_default();
        let is_told = error["error"]["code"] == code && error["error"]["message"].is_string();
        is_told && if self.status == 200 { !self.is_whole } else { self.status == status }
    }

    fn meets(&self, expected: Expected, is_streamed: bool) -> bool {
        let good = || self.is_good(ODD, is_streamed);
        let failed = || self.is_failure(502, "upstream_error");
        let meets = match expected {
            Good => good(),
            Failed => failed(),
            Either => good() || failed(),
        };
        meets && self.hides_the_rest()
    }

    /// Whether nothing of the upstream's own headers, which the tests mark, was passed on.
    fn hides_the_rest(&self) -> bool {
        !self.headers.iter().any(|(name, value)| name.starts_with("x-odd") || value.contains("sesame"))
    }
}

/// A client with a connection that it keeps as long as it may.
struct Client {
    to: SocketAddr,
    key: String,
    kept: Option<TcpStream>,
}

impl Client {
    fn of(server: &TestServer, key: &str) -> Self {
        Self { to: server.public, key: key.to_owned(), kept: None }
    }

    fn ask(&mut self, request: Request) -> Got {
        let mut connection = self.kept.take().unwrap_or_else(|| TcpStream::connect(self.to).unwrap());
        let request = request.bearer(&self.key).header("Connection", "keep-alive");
        connection.write_all(&request.bytes()).unwrap();
        let got = Got::read(Stream::of(connection.try_clone().unwrap()));
        let is_last = got.headers.iter().any(|(name, value)| name == "connection" && value == "close");
        if got.is_whole && !is_last {
            self.kept = Some(connection);
        }
        got
    }
}

/// A server with one worker, so that all requests could meet on one connection to the upstream, and a key with one
/// slot.
fn serving(upstream: &FakeUpstream, timeout_seconds: u32) -> (TestServer, Client) {
    let server = TestServer::setup()
        .workers(1)
        .upstream("odd", upstream.address, &["m"])
        .toml(&format!("timeout_seconds = {timeout_seconds}"))
        .start();
    let (key, _) = server.key(json!({"max_concurrent": 1}));
    let client = Client::of(&server, &key);
    (server, client)
}

/// Ends the connection without a word: what is on its way is lost.
fn reset(connection: &TcpStream) {
    SockRef::from(connection).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Answers a case's number with its answer, and anything else well.
///
/// The last that is returned counts how often all of one was written, or as much as was taken.
fn answering(cases: Vec<Case>) -> (FakeUpstream, Arc<Vec<Case>>, Arc<AtomicUsize>) {
    let (cases, written) = (Arc::new(cases), Arc::new(AtomicUsize::new(0)));
    let (script, count) = (Arc::clone(&cases), Arc::clone(&written));
    let upstream = FakeUpstream::start(move |seen, connection| {
        let (said, is_streamed) = asked(seen);
        let Some(index) = said.strip_prefix("case ") else {
            let _ = connection.write_all(&good(&said, is_streamed));
            return true;
        };
        let (index, writing) = index.split_once(' ').unwrap();
        let case = &script[index.parse::<usize>().unwrap()];
        let writing = Writing::ALL[writing.parse::<usize>().unwrap()];
        writing.write(connection, &fill(&case.answer, is_streamed));
        count.fetch_add(1, Ordering::Relaxed);
        if case.then == Reset {
            reset(connection);
        }
        case.then == Keep
    });
    (upstream, cases, written)
}

/// Asks for each case, in every way, and for something good behind it; tells all that went wrong.
fn try_all(cases: Vec<Case>) {
    let (upstream, cases, written) = answering(cases);
    let (_server, mut client) = serving(&upstream, 5);
    let mut wrong = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let ways = if case.answer.len() > LONG { 1 } else { Writing::ALL.len() };
        for (number, writing) in Writing::ALL.into_iter().enumerate().take(ways) {
            for is_streamed in [false, true] {
                let about = format!("{}, {writing:?}, streamed: {is_streamed}", case.what);
                let before = written.load(Ordering::Relaxed);
                let got = client.ask(chat(&format!("case {index} {number}"), is_streamed));
                if !got.meets(case.expected(is_streamed), is_streamed) {
                    wrong.push(format!("{about}: not {:?}: {}", case.expected(is_streamed), got.told()));
                }
                // What comes behind the answer is there now: what comes later, nobody can tell from the next one.
                eventually("it is written", || written.load(Ordering::Relaxed) > before);
                let good = format!("behind {index} {number}");
                let next = client.ask(chat(&good, is_streamed));
                if !next.is_good(&good, is_streamed) {
                    wrong.push(format!("behind {about}: {}", next.told()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
