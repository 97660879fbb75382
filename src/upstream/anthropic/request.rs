//! Turning a client's request into one for the Messages API.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::conversation::Conversation;
use super::field::{Field, InvalidField, Object};
use super::ignored::Ignored;
use super::tools::Toolbox;
use super::{Shape, write_json};

/// How much the model may write when the client does not say.
///
/// The API insists on a limit. This one serves both endpoints: the 16 tokens that
/// text completions once defaulted to would cut off every answer of a chat model.
const DEFAULT_MAX_TOKENS: u64 = 4096;

/// The numbers both APIs understand alike.
const NUMBERS: [&str; 2] = ["temperature", "top_p"];

/// Fields of the Messages API that OpenAI lacks, so whoever sets them means them.
///
/// `service_tier` is not among them: both APIs have it, with different values.
const ANTHROPIC_FIELDS: [&str; 4] = ["cache_control", "output_config", "thinking", "top_k"];

/// A request in Anthropic's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// The JSON to send.
    pub body: Vec<u8>,
    /// The client's fields that had no equivalent, in alphabetical order.
    ///
    /// These names are the client's own words: whoever prints them must escape them.
    pub ignored: Vec<String>,
    /// Whether the client asked for a stream.
    pub stream: bool,
}

#[derive(Serialize)]
struct MessagesRequest<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(flatten)]
    conversation: Conversation<'a>,
    #[serde(flatten)]
    toolbox: Toolbox<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(flatten)]
    carried_over: BTreeMap<&'static str, &'a RawValue>,
    stream: bool,
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: Cow<'a, str>,
}

/// Translates the body of a client's request.
///
/// # Errors
///
/// Fails if a field has the wrong type, or holds what the Messages API cannot take.
pub fn request(shape: Shape, body: &[u8], upstream_model: &str) -> Result<Translated, InvalidField> {
    let mut fields = Object::of_body(body)?;
    let mut ignored = Ignored::default();
    let request = MessagesRequest {
        model: upstream_model,
        max_tokens: max_tokens(&mut fields)?,
        conversation: conversation(shape, &mut fields, &mut ignored)?,
        toolbox: toolbox(shape, &mut fields, &mut ignored)?,
        stop_sequences: stop_sequences(&mut fields, &mut ignored)?,
        metadata: metadata(&mut fields)?,
        carried_over: carried_over(&mut fields)?,
        stream: stream(&mut fields)?,
    };
    // The model is the upstream's to name, and these options shape only the answer.
    for settled in ["model", "stream_options"] {
        fields.take(settled);
    }
    ignored.leftovers_of(fields);
    let mut translated = Vec::new();
    write_json(&request, &mut translated);
    Ok(Translated { body: translated, ignored: ignored.into_names(), stream: request.stream })
}

fn max_tokens(fields: &mut Object) -> Result<u64, InvalidField> {
    let outdated = fields.take("max_tokens");
    let limit = fields.take("max_completion_tokens").or(outdated);
    limit.map_or(Ok(DEFAULT_MAX_TOKENS), |limit| limit.count())
}

fn conversation<'a>(
    shape: Shape,
    fields: &mut Object<'a>,
    ignored: &mut Ignored,
) -> Result<Conversation<'a>, InvalidField> {
    match shape {
        Shape::Chat => Conversation::of_messages(&fields.require("messages")?, ignored),
        Shape::Completion => Conversation::of_prompt(&fields.require("prompt")?),
    }
}

fn toolbox<'a>(
    shape: Shape,
    fields: &mut Object<'a>,
    ignored: &mut Ignored,
) -> Result<Toolbox<'a>, InvalidField> {
    match shape {
        Shape::Chat => Toolbox::take_from(fields, ignored),
        // A text completion has no words for a call, so it must not provoke one.
        Shape::Completion => Ok(Toolbox::default()),
    }
}

/// Reads `stop`, leaving out blank sequences, which the API refuses.
fn stop_sequences<'a>(
    fields: &mut Object<'a>,
    ignored: &mut Ignored,
) -> Result<Vec<Cow<'a, str>>, InvalidField> {
    let Some(stop) = fields.take("stop") else {
        return Ok(Vec::new());
    };
    let sequences = if stop.is_text() { vec![stop.text()?] } else { listed_sequences(&stop)? };
    let (blank, usable): (Vec<_>, Vec<_>) =
        sequences.into_iter().partition(|sequence| sequence.trim().is_empty());
    if blank.iter().any(|sequence| !sequence.is_empty()) {
        ignored.name("stop");
    }
    Ok(usable)
}

fn listed_sequences<'a>(stop: &Field<'a>) -> Result<Vec<Cow<'a, str>>, InvalidField> {
    let sequences = stop.list().map_err(|_| stop.refuse("must be a string or a list of strings"))?;
    sequences.iter().map(Field::text).collect()
}

fn metadata<'a>(fields: &mut Object<'a>) -> Result<Option<Metadata<'a>>, InvalidField> {
    let user = fields.take("user").map(|user| user.text()).transpose()?;
    Ok(user.map(|user_id| Metadata { user_id }))
}

fn carried_over<'a>(fields: &mut Object<'a>) -> Result<BTreeMap<&'static str, &'a RawValue>, InvalidField> {
    let mut carried = BTreeMap::new();
    for name in NUMBERS {
        if let Some(field) = fields.take(name) {
            carried.insert(name, field.number()?);
        }
    }
    for name in ANTHROPIC_FIELDS {
        if let Some(field) = fields.take(name) {
            carried.insert(name, field.raw());
        }
    }
    Ok(carried)
}

fn stream(fields: &mut Object) -> Result<bool, InvalidField> {
    fields.take("stream").map_or(Ok(false), |stream| stream.flag())
}

#[cfg(test)]
mod tests;
