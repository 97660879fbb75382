//! What an upstream answered, in OpenAI's shape.

use actix_web::web::Bytes;

use super::stream::EventStream;
use crate::domain::usage::Tokens;

/// An answer to pass on.
pub enum Answer {
    /// All of it at once.
    Whole(Whole),
    /// Event by event.
    Stream(Box<EventStream>),
}

/// A whole answer.
pub struct Whole {
    /// The JSON document.
    pub body: Bytes,
    /// The usage that it tells, if it does.
    pub tokens: Option<Tokens>,
}

/// An answer, and what was left out of the request to get it.
pub struct Answered {
    /// The answer.
    pub answer: Answer,
    /// Fields that the upstream has no equivalent for.
    pub ignored: Vec<String>,
}
