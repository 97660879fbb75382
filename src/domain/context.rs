//! Contexts: stored conversations, to be put before a chat's own messages.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::id::{ContextId, KeyId};
use super::key::Name;
use super::metadata::Metadata;
use super::time::Timestamp;
use super::token;

/// Who may speak in a chat, in OpenAI's words.
const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

/// A context, but for its messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// What requests call it.
    pub id: ContextId,
    /// What people call it, if anything.
    pub name: Option<Name>,
    /// The clients' notes.
    pub metadata: Metadata,
    /// Goes up with each change, from 1.
    pub revision: u64,
    /// How many messages it has.
    pub length: u64,
    /// How long they are, in bytes of JSON.
    pub bytes: u64,
    /// The key that made it.
    pub created_by: KeyId,
    /// When that was.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// A message of a chat, in JSON as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(Box<str>);

/// Something that is no message of a chat: which part of it is wrong, and how.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidMessage {
    /// Such as `.role`; nothing where it is the message as a whole.
    pub part: &'static str,
    /// What is wrong.
    pub reason: &'static str,
}

impl Message {
    /// Returns the JSON as a message, every field of it kept; fails if it is none.
    pub fn parse(json: &RawValue) -> Result<Self, InvalidMessage> {
        let text = json.get();
        let invalid = |part, reason| Err(InvalidMessage { part, reason });
        if !text.starts_with('{') {
            return invalid("", "must be an object such as {\"role\": \"user\", \"content\": \"Hello\"}");
        }
        let Ok(Shape { role, content }) = serde_json::from_str::<Shape<'_>>(text) else {
            return invalid("", "may have one `role` and one `content`");
        };
        let role = role.and_then(|role| serde_json::from_str::<Cow<'_, str>>(role.get()).ok());
        if !role.is_some_and(|role| ROLES.contains(&role.as_ref())) {
            return invalid(".role", "must be system, developer, user, assistant, tool or function");
        }
        let first = content.map(|content| content.get().as_bytes()[0]);
        if !matches!(first, None | Some(b'"' | b'[')) {
            return invalid(".content", "must be a string, a list of parts or null");
        }
        if token::is_within_json(text) {
            return invalid("", "holds an API key, which is never stored: take it out");
        }
        Ok(Self(text.into()))
    }

    /// Returns JSON that was a message when it was stored.
    pub fn stored(json: String) -> Self {
        Self(json.into())
    }

    /// Returns the message in JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Message> for String {
    fn from(message: Message) -> Self {
        message.0.into()
    }
}

/// Returns how long the messages are, in bytes of JSON.
pub fn bytes(messages: &[Message]) -> u64 {
    messages.iter().map(|message| message.as_str().len() as u64).sum()
}

#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow, default)]
    role: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_from_what_is_none() {
        let cases = [
            (r#"{"role": "user", "content": "Hi"}"#, None),
            (r#"{"role":"assistant","content":null,"tool_calls":[]}"#, None),
            (r#"{"role": "user", "content": [{"type": "text", "text": "Hi"}], "unknown": 1.50}"#, None),
            (r#"{"role": "assistant"}"#, None),
            (r#"{"content": "Hi"}"#, Some(".role")),
            (r#"{"role": null, "content": "Hi"}"#, Some(".role")),
            (r#"{"role": "wizard", "content": "Hi"}"#, Some(".role")),
            (r#"{"role": 3, "content": "Hi"}"#, Some(".role")),
            (r#"{"role": "user", "role": "system", "content": "Hi"}"#, Some("")),
            (r#"{"role": "user", "content": "Hi", "content": "Ho"}"#, Some("")),
            (r#"{"role": "us\u0065r", "content": "Hi"}"#, None),
            (r#"{"role": "user", "content": 3}"#, Some(".content")),
            (r#"{"role": "user", "content": {"text": "Hi"}}"#, Some(".content")),
            (r#"{"role": "user", "content": "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38"}"#, Some("")),
            (r#"{"role": "user", "content": "mcp\u005fsk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38"}"#, Some("")),
            (r#"{"role": "user", "x": 1, "mcp_sk_\u0041BCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38": 2}"#, Some("")),
            (r#"{"role": "user", "content": "mcp\\u005fsk_\u0041BC \u00e9"}"#, None),
            ("[]", Some("")),
            ("\"Hi\"", Some("")),
        ];
        for (json, wrong) in cases {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            let parsed = Message::parse(raw);
            assert_eq!(parsed.as_ref().err().map(|error| error.part), wrong, "{json}");
            if let Ok(message) = parsed {
                assert_eq!(message.as_str(), json);
            }
        }
    }
}
