//! Translation between OpenAI's completion endpoints and Anthropic's Messages API.
//!
//! Three pure translations, none of which touches the network: [`request()`] turns
//! a client's words into Anthropic's, [`answer`] turns a whole answer back, and
//! [`StreamTranslator`] does the same for an answer that arrives event by event.

mod calls;
mod chunk;
mod content;
mod conversation;
mod event;
mod field;
mod ignored;
mod openai;
mod request;
mod response;
mod stream;
mod tools;
mod usage;

use serde::Serialize;

pub use field::InvalidField;
pub use request::{Translated, request};
pub use response::{Garbage, answer};
pub use stream::{Progress, StreamFailure, StreamTranslator};

pub use super::ask::Shape;

/// Appends a value as JSON, on a single line unless it carries the client's own text.
fn write_json(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("memory takes every byte, and every key is a string");
}
