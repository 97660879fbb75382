//! Answers of OpenAI-compatible servers: passed on as they are, but for what mcpd must read in them.

use actix_web::web::{Bytes, BytesMut};
use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::sse;
use crate::domain::usage::Tokens;

/// Reads the events of a stream on their way through.
#[derive(Debug)]
pub struct Reader {
    /// Whether the client wants to see the chunk that tells the usage.
    include_usage: bool,
    /// What the upstream told.
    pub tokens: Option<Tokens>,
    /// Events with something in them, for an estimate where it told nothing.
    pub events: u64,
    /// Whether `[DONE]` has come.
    pub done: bool,
}

/// An error that an upstream told of within a stream.
#[derive(Debug)]
pub struct StreamError(pub String);

/// An error as OpenAI writes it; servers differ in what they leave out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// For people.
    pub message: Option<String>,
    /// For programs.
    pub code: Option<String>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    choices: Option<Vec<IgnoredAny>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// Returns what `usage` tells. One that makes no sense tells nothing; the answer around it is as good.
fn read_usage(usage: &RawValue) -> Option<Tokens> {
    let Usage { prompt_tokens, completion_tokens } = serde_json::from_str(usage.get()).ok()?;
    let told = prompt_tokens.is_some() || completion_tokens.is_some();
    let tokens = Tokens::told(prompt_tokens.unwrap_or_default(), completion_tokens.unwrap_or_default());
    told.then_some(tokens)
}

/// Returns the usage that a whole answer tells, if it does; `None` if it is no JSON object at all.
pub fn read_answer(body: &[u8]) -> Option<Option<Tokens>> {
    let object = body.trim_ascii_start().starts_with(b"{");
    match object.then(|| serde_json::from_slice::<Answer<'_>>(body))? {
        Ok(answer) => Some(answer.usage.and_then(read_usage)),
        // Told twice, it is not told; the answer is one all the same.
        Err(error) if error.is_data() => Some(None),
        Err(_) => None,
    }
}

/// Returns what an error body says. Ollama's plain `{"error": "…"}` and `FastAPI`'s `detail` are read too.
pub fn read_error(body: &[u8]) -> ErrorBody {
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else {
        return ErrorBody::default();
    };
    let text =
        |value: &serde_json::Value| value.as_str().filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    let error = &body["error"];
    let message = [&error["message"], error, &body["message"], &body["detail"]].into_iter().find_map(text);
    ErrorBody { message, code: text(&error["code"]) }
}

impl Reader {
    /// Returns a reader for a client that wants to see the usage or not.
    pub fn new(include_usage: bool) -> Self {
        Self { include_usage, tokens: None, events: 0, done: false }
    }

    /// Reads whole events, up to an error among them; returns what to pass on. Nearly always that is all of
    /// it, uncopied.
    pub fn read(&mut self, events: &Bytes) -> (Bytes, Result<(), StreamError>) {
        if self.done {
            return (Bytes::new(), Ok(()));
        }
        let (mut kept, mut read) = (Vec::new(), Ok(()));
        let mut position = 0;
        for event in sse::events(events) {
            let range = position..position + event.len();
            position = range.end;
            match self.read_event(event) {
                Ok(true) => kept.push(range),
                Ok(false) => {}
                Err(error) => {
                    read = Err(error);
                    break;
                }
            }
            if self.done {
                break;
            }
        }
        // Neighbours join into one range, so that a piece with nothing left out is passed on whole.
        kept.dedup_by(|next, before| {
            let join = before.end == next.start;
            if join {
                before.end = next.end;
            }
            join
        });
        let passed = match kept.as_slice() {
            [] => Bytes::new(),
            [one] => events.slice(one.clone()),
            several => {
                let mut joined = BytesMut::with_capacity(events.len());
                for range in several {
                    joined.extend_from_slice(&events[range.clone()]);
                }
                joined.freeze()
            }
        };
        (passed, read)
    }

    /// Tells whether the event is to be passed on.
    fn read_event(&mut self, event: &[u8]) -> Result<bool, StreamError> {
        let Some(data) = sse::data(event) else {
            return Ok(true);
        };
        if *data == b"[DONE]"[..] {
            self.done = true;
            return Ok(true);
        }
        if let Some(error) = stream_error(&data) {
            return Err(error);
        }
        if !mentions_usage(&data) {
            self.events += 1;
            return Ok(true);
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(&data) else {
            self.events += 1;
            return Ok(true);
        };
        // The last word counts: some servers tell a running sum with every chunk.
        self.tokens = chunk.usage.and_then(read_usage).or(self.tokens);
        let only_usage = chunk.choices.is_none_or(|choices| choices.is_empty());
        self.events += u64::from(!only_usage);
        Ok(!only_usage || self.include_usage)
    }
}

/// Returns the error that an event tells of, wherever among its fields; most do not even have the word.
fn stream_error(data: &[u8]) -> Option<StreamError> {
    memmem::find(data, b"\"error\"")?;
    let event: serde_json::Value = serde_json::from_slice(data).ok()?;
    event.get("error").filter(|error| !error.is_null())?;
    let message = read_error(data).message;
    Some(StreamError(message.unwrap_or_else(|| "the upstream reported an error".to_owned())))
}

/// Tells whether there is an object named `usage`: most chunks have none, or `null`.
fn mentions_usage(data: &[u8]) -> bool {
    memmem::find_iter(data, b"\"usage\"").any(|at| {
        let rest = data[at + b"\"usage\"".len()..].trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"{"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: &str = r#"data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;

    fn read(include_usage: bool, events: &str) -> (Reader, String) {
        let mut reader = Reader::new(include_usage);
        let (passed, read) = reader.read(&Bytes::copy_from_slice(events.as_bytes()));
        read.unwrap();
        (reader, String::from_utf8(passed.to_vec()).unwrap())
    }

    #[test]
    fn the_usage_chunk_is_seen_only_by_a_client_that_asked() {
        let word = r#"data: {"choices":[{"delta":{"content":"\"usage\""}}],"usage":null}"#;
        let events = format!("{word}\n\n{USAGE}\n\ndata: [DONE]\n\n");
        let (reader, passed) = read(true, &events);
        assert_eq!(passed, events);
        assert_eq!(reader.tokens, Some(Tokens { prompt: 3, completion: 2 }));
        let (reader, passed) = read(false, &events);
        assert_eq!(passed, format!("{word}\n\ndata: [DONE]\n\n"));
        assert_eq!(
            (reader.tokens, reader.events, reader.done),
            (Some(Tokens { prompt: 3, completion: 2 }), 1, true)
        );
    }

    #[test]
    fn usage_beside_choices_is_kept_and_told_once() {
        let chunk = r#"data: {"choices":[{}],"usage" : {"prompt_tokens":3,"completion_tokens":"#;
        let events = format!("{chunk}1}}}}\n\n{chunk}2}}}}\n\n");
        let (reader, passed) = read(false, &events);
        assert_eq!(passed, events);
        assert_eq!(reader.tokens, Some(Tokens { prompt: 3, completion: 2 }));
    }

    #[test]
    fn an_explicit_zero_stays_zero() {
        let (reader, _) = read(
            false,
            "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}}\n\n",
        );
        assert_eq!(reader.tokens, Some(Tokens::default()));
    }

    #[test]
    fn nothing_is_passed_on_after_the_end() {
        let (mut reader, passed) = read(false, "data: [DONE]\n\ndata: {}\n\n");
        assert_eq!(passed, "data: [DONE]\n\n");
        assert!(reader.read(&Bytes::from_static(b"data: {}\n\n")).0.is_empty());
    }

    #[test]
    fn an_error_within_a_stream_is_no_event() {
        let cases = [
            (r#"{"error": {"message": "out of memory"}}"#, Some("out of memory")),
            (r#"{"error":"out of memory"}"#, Some("out of memory")),
            (r#"{"id":"x","choices":[],"error":{"code":1}}"#, Some("the upstream reported an error")),
            (r#"{"error":null,"choices":[{"finish_reason":"error"}]}"#, None),
            (r#"{"choices":[{"delta":{"content":"\"error\": 1"}}]}"#, None),
        ];
        for (event, expected) in cases {
            let (_, read) = Reader::new(false).read(&format!("data: {event}\n\n").into());
            assert_eq!(read.err().map(|error| error.0).as_deref(), expected, "{event}");
        }
    }

    #[test]
    fn a_whole_answer_tells_its_usage_or_is_no_answer() {
        let told = Some(Tokens { prompt: 1, completion: 2 });
        let cases: &[(&str, Option<Option<Tokens>>)] = &[
            (r#"{"usage":{"prompt_tokens":1,"completion_tokens":2,"x":{}}}"#, Some(told)),
            (r#"{"usage":null}"#, Some(None)),
            (r#"{"usage":{"prompt_tokens":1.5}}"#, Some(None)),
            (r#"{"usage":[]}"#, Some(None)),
            ("{}", Some(None)),
            ("[]", None),
            ("<html>", None),
            ("", None),
        ];
        for (body, expected) in cases {
            assert_eq!(read_answer(body.as_bytes()), *expected, "{body}");
        }
    }

    #[test]
    fn errors_are_read_as_the_servers_write_them() {
        let cases = [
            (r#"{"error":{"message":"m","code":"c"}}"#, Some("m"), Some("c")),
            (r#"{"error":{"message":"m","code":400}}"#, Some("m"), None),
            (r#"{"error":"m"}"#, Some("m"), None),
            (r#"{"object":"error","message":"m"}"#, Some("m"), None),
            (r#"{"detail":"m"}"#, Some("m"), None),
            ("<html>", None, None),
        ];
        for (body, message, code) in cases {
            let error = read_error(body.as_bytes());
            assert_eq!((error.message.as_deref(), error.code.as_deref()), (message, code), "{body}");
        }
    }
}
