//! The events of a streamed answer, as far as a translation needs them.

use serde::Deserialize;

use super::usage::Counts;

/// One event; those without an effect, such as `ping`, and those the API has yet
/// to invent are all `Other`.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Event {
    MessageStart {
        message: Opening,
    },
    ContentBlockStart {
        index: u64,
        #[serde(rename = "content_block")]
        block: Block,
    },
    ContentBlockDelta {
        index: u64,
        delta: Delta,
    },
    ContentBlockStop {
        index: u64,
    },
    MessageDelta {
        delta: Ending,
        #[serde(default)]
        usage: Counts,
    },
    MessageStop,
    /// Also the form of the body that comes with an HTTP error.
    Error {
        error: ErrorDetail,
    },
    #[serde(other)]
    Other,
}

/// The message as it stands before anything is said.
#[derive(Deserialize)]
pub(super) struct Opening {
    pub id: String,
    pub model: String,
    #[serde(default)]
    pub usage: Counts,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block {
    Text {
        #[serde(default)]
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
pub(super) enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
pub(super) struct Ending {
    pub stop_reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ErrorDetail {
    #[serde(rename = "type")]
    pub kind: String,
    pub message: String,
}
