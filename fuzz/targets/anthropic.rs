//! The translation for Anthropic's API: the first byte of the input says what the rest is.
//!
//! `c` and `t`: a request for a chat or a text; `C` and `T`: an answer to one; `s` and `u`: such an answer as a stream,
//! an event's data a line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpd::upstream::anthropic::Shape;

#[path = "anthropic/answer.rs"]
mod answer;
#[path = "anthropic/openai.rs"]
mod openai;
#[path = "anthropic/request.rs"]
mod request;
#[path = "anthropic/stream.rs"]
mod stream;

fuzz_target!(|data: &[u8]| {
    let Some((what, rest)) = data.split_first() else { return };
    match what {
        b'c' => request::check(Shape::Chat, rest),
        b't' => request::check(Shape::Completion, rest),
        b'C' => answer::check(Shape::Chat, rest),
        b'T' => answer::check(Shape::Completion, rest),
        b's' => stream::check(Shape::Chat, rest),
        b'u' => stream::check(Shape::Completion, rest),
        _ => {}
    }
});
