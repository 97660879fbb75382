//! The trial upstream: no model, it says back what it was told.

use actix_web::web::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ask::{Ask, Shape};
use crate::domain::usage::Tokens;

/// What the upstream calls itself, in answers and in lists.
pub const MODEL: &str = "echo";

/// Events are made in pieces of about this length: a long answer as events takes a hundred times its room.
const PIECE: usize = 64 * 1024;

/// An answer made up from the request.
#[derive(Debug)]
pub struct Echo {
    shape: Shape,
    id: String,
    created: i64,
    text: String,
    /// A word a token, near enough for a trial.
    pub tokens: Tokens,
}

impl Echo {
    /// Returns the answer to a request; fails, naming the field, if there is nothing to say back.
    /// `created` is in unix seconds.
    pub fn answer(ask: &Ask, id: &str, created: i64) -> Result<Self, String> {
        let said: Said = serde_json::from_slice(&ask.body).map_err(|error| error.to_string())?;
        let text = match ask.shape {
            Shape::Chat => last_user_message(&said.messages)?,
            Shape::Completion => prompt(&said.prompt)?,
        };
        let words = |text: &str| text.split_whitespace().count() as u64;
        let prompt = match ask.shape {
            Shape::Chat => said.messages.iter().filter_map(content).map(|text| words(&text)).sum(),
            Shape::Completion => words(&text),
        };
        let tokens = Tokens { prompt, completion: words(&text) };
        let id = match ask.shape {
            Shape::Chat => format!("chatcmpl-{id}"),
            Shape::Completion => format!("cmpl-{id}"),
        };
        Ok(Self { shape: ask.shape, id, created, text, tokens })
    }

    /// Returns the answer as one JSON document.
    pub fn whole(&self) -> Vec<u8> {
        let choice = match self.shape {
            Shape::Chat => json!({
                "index": 0,
                "message": {"role": "assistant", "content": self.text},
                "finish_reason": "stop",
            }),
            Shape::Completion => json!({"index": 0, "text": self.text, "finish_reason": "stop"}),
        };
        let mut answer = self.document(&json!([choice]), "chat.completion");
        answer["usage"] = self.usage();
        answer.to_string().into_bytes()
    }

    /// Returns the answer as events, a word each, the usage always among them. They are made as they are
    /// taken, several in a piece.
    pub fn events(self) -> Events {
        Events { echo: self, said: 0, state: State::Beginning }
    }

    fn push(&self, events: &mut Vec<u8>, delta: &Value, finish_reason: Option<&str>) {
        let choice = match self.shape {
            Shape::Chat => json!({"index": 0, "delta": delta, "finish_reason": finish_reason}),
            Shape::Completion => {
                let text = delta.get("content").and_then(Value::as_str).unwrap_or_default();
                json!({"index": 0, "text": text, "finish_reason": finish_reason})
            }
        };
        push_event(events, &self.document(&json!([choice]), "chat.completion.chunk").to_string());
    }

    fn document(&self, choices: &Value, chat_object: &str) -> Value {
        let object = match self.shape {
            Shape::Chat => chat_object,
            Shape::Completion => "text_completion",
        };
        json!({"id": self.id, "object": object, "created": self.created, "model": MODEL, "choices": choices})
    }

    fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.tokens.prompt,
            "completion_tokens": self.tokens.completion,
            "total_tokens": self.tokens.prompt + self.tokens.completion,
        })
    }
}

/// An answer on its way, in pieces of whole events.
#[derive(Debug)]
pub struct Events {
    echo: Echo,
    /// How much of the text is said.
    said: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Beginning,
    Speaking,
    Ended,
}

impl Events {
    fn begin(&mut self, events: &mut Vec<u8>) {
        if self.echo.shape == Shape::Chat {
            self.echo.push(events, &json!({"role": "assistant", "content": ""}), None);
        }
        self.state = State::Speaking;
    }

    fn go_on(&mut self, events: &mut Vec<u8>) {
        let rest = &self.echo.text[self.said..];
        match rest.split_inclusive(char::is_whitespace).next() {
            Some(word) => {
                self.said += word.len();
                self.echo.push(events, &json!({"content": word}), None);
            }
            None => self.end(events),
        }
    }

    fn end(&mut self, events: &mut Vec<u8>) {
        self.echo.push(events, &json!({}), Some("stop"));
        let mut chunk = self.echo.document(&json!([]), "chat.completion.chunk");
        chunk["usage"] = self.echo.usage();
        push_event(events, &chunk.to_string());
        push_event(events, "[DONE]");
        self.state = State::Ended;
    }
}

impl Iterator for Events {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut events = Vec::new();
        while events.len() < PIECE {
            match self.state {
                State::Beginning => self.begin(&mut events),
                State::Speaking => self.go_on(&mut events),
                State::Ended => break,
            }
        }
        (!events.is_empty()).then(|| events.into())
    }
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    messages: Vec<Value>,
    #[serde(default)]
    prompt: Value,
}

fn last_user_message(messages: &[Value]) -> Result<String, String> {
    let last = messages.iter().rev().find(|message| message["role"] == "user");
    last.and_then(content).ok_or_else(|| "`messages` has no text from the role `user` to echo".to_owned())
}

/// The text of a message, its text parts joined by line feeds.
fn content(message: &Value) -> Option<String> {
    match &message["content"] {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            (!texts.is_empty()).then(|| texts.join("\n"))
        }
        _ => None,
    }
}

fn prompt(prompt: &Value) -> Result<String, String> {
    match prompt {
        Value::String(text) => Ok(text.clone()),
        Value::Array(prompts) if prompts.len() == 1 && prompts[0].is_string() => {
            Ok(prompts[0].as_str().unwrap_or_default().to_owned())
        }
        _ => Err("`prompt` must be one string for the echo upstream".to_owned()),
    }
}

fn push_event(events: &mut Vec<u8>, data: &str) {
    events.extend_from_slice(b"data: ");
    events.extend_from_slice(data.as_bytes());
    events.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use actix_web::web::Bytes;

    use super::*;
    use crate::upstream::sse;

    fn echo(shape: Shape, body: &Value) -> Result<Echo, String> {
        let ask = Ask::parse(shape, Bytes::from(body.to_string())).unwrap();
        Echo::answer(&ask, "1", 7)
    }

    #[test]
    fn the_last_user_message_comes_back() {
        let parts = json!([{"type": "text", "text": "two"}, {"type": "image_url"}, {"type": "text", "text": "parts"}]);
        let cases = [
            (json!([{"role": "user", "content": "Hello"}]), Some("Hello")),
            (
                json!([{"role": "user", "content": "first"}, {"role": "user", "content": "last"},
                       {"role": "assistant", "content": "no"}]),
                Some("last"),
            ),
            (json!([{"role": "user", "content": parts}]), Some("two\nparts")),
            (json!([{"role": "system", "content": "only"}]), None),
            (json!([7]), None),
        ];
        for (messages, expected) in cases {
            let answer =
                echo(Shape::Chat, &json!({"model": "any", "messages": messages})).map(|echo| echo.whole());
            let answer: Option<Value> = answer.ok().map(|answer| serde_json::from_slice(&answer).unwrap());
            let content =
                answer.as_ref().map(|answer| answer["choices"][0]["message"]["content"].as_str().unwrap());
            assert_eq!(content, expected, "{messages}");
        }
    }

    #[test]
    fn a_stream_says_the_same_word_by_word() {
        for (shape, body) in [
            (
                Shape::Chat,
                json!({"model": "m", "messages": [{"role": "user", "content": "a  b\nc"}], "stream": true}),
            ),
            (Shape::Completion, json!({"model": "m", "prompt": "a  b\nc", "stream": true})),
        ] {
            let events: Vec<u8> = echo(shape, &body).unwrap().events().flatten().collect();
            let mut said = String::new();
            for event in sse::events(&events) {
                let data = sse::data(event).unwrap();
                if let Ok(chunk) = serde_json::from_slice::<Value>(&data) {
                    let choice = &chunk["choices"][0];
                    said.push_str(
                        choice["text"].as_str().or(choice["delta"]["content"].as_str()).unwrap_or(""),
                    );
                }
            }
            assert_eq!(said, "a  b\nc", "{shape:?}");
            assert!(events.ends_with(b"data: [DONE]\n\n"));
        }
    }

    #[test]
    fn a_long_stream_is_made_piece_by_piece() {
        let text = "a ".repeat(1024 * 1024);
        let body = json!({"model": "m", "messages": [{"role": "user", "content": text}], "stream": true});
        let mut events = echo(Shape::Chat, &body).unwrap().events();
        let piece = events.next().unwrap();
        assert!((PIECE..PIECE + 1024).contains(&piece.len()), "{}", piece.len());
        assert!(events.said < text.len() / 1000, "{}", events.said);
        assert!(sse::events(&piece).all(|event| event.ends_with(b"\n\n")));
    }
}
