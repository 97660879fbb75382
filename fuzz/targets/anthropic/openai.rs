//! What a client of OpenAI's reads: these fields and no others.

use serde::Deserialize;
use serde_json::Value;

/// A whole answer, or a chunk of one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    pub id: String,
    pub object: String,
    pub created: i64,
    pub model: String,
    pub choices: Vec<Choice>,
    pub usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    pub index: u8,
    pub message: Option<Message>,
    pub delta: Option<Message>,
    pub text: Option<String>,
    pub logprobs: Option<Value>,
    pub finish_reason: Option<Reason>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub role: Option<String>,
    pub content: Option<String>,
    pub refusal: Option<Value>,
    #[serde(default)]
    pub tool_calls: Vec<ToolCall>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    pub index: Option<usize>,
    pub id: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub function: Function,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    pub name: Option<String>,
    pub arguments: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub total_tokens: u64,
    pub prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PromptDetails {
    pub cached_tokens: u64,
}

/// All that an answer says, whole or put together from its chunks.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The id, the model and the time.
    pub of: Option<(String, String, i64)>,
    pub text: String,
    /// The id, name and arguments of each call.
    pub calls: Vec<(String, String, String)>,
    pub reason: Option<Reason>,
    pub usage: Option<Usage>,
}

impl Said {
    /// Reads a whole answer.
    pub fn whole(json: &[u8]) -> Self {
        let answer: Completion = serde_json::from_slice(json).unwrap();
        let [choice] = answer.choices.as_slice() else { panic!("not one choice: {answer:?}") };
        let of = Some((answer.id.clone(), answer.model.clone(), answer.created));
        let mut said = Self { of, reason: choice.finish_reason, usage: answer.usage, ..Self::default() };
        assert!(said.reason.is_some() && said.usage.is_some(), "{answer:?}");
        assert!(choice.index == 0 && choice.delta.is_none() && choice.logprobs.is_none());
        match (&choice.message, &choice.text) {
            (Some(message), None) => {
                assert_eq!(
                    (answer.object.as_str(), message.role.as_deref()),
                    ("chat.completion", Some("assistant"))
                );
                assert!(message.content.is_some() || !message.tool_calls.is_empty());
                assert!(message.refusal.is_none());
                said.text = message.content.clone().unwrap_or_default();
                for call in &message.tool_calls {
                    assert_eq!((call.kind.as_deref(), call.index), (Some("function"), None));
                    let (id, name) = (call.id.clone().unwrap(), call.function.name.clone().unwrap());
                    said.calls.push((id, name, call.function.arguments.clone()));
                }
            }
            (None, Some(text)) => {
                assert_eq!(answer.object, "text_completion");
                said.text.clone_from(text);
            }
            _ => panic!("a message or a text: {answer:?}"),
        }
        said
    }

    /// Adds what a chunk says.
    pub fn add(&mut self, json: &str) {
        let chunk: Completion = serde_json::from_str(json).unwrap();
        assert!(self.usage.is_none(), "something behind the usage: {chunk:?}");
        let of = (chunk.id.clone(), chunk.model.clone(), chunk.created);
        assert_eq!(self.of.get_or_insert_with(|| of.clone()), &of, "of another answer");
        let Some(choice) = chunk.choices.first() else {
            assert!(self.reason.is_some(), "no choice before the end: {chunk:?}");
            self.usage = Some(chunk.usage.unwrap());
            return;
        };
        assert!(self.reason.is_none() && chunk.usage.is_none() && chunk.choices.len() == 1, "{chunk:?}");
        assert!(choice.index == 0 && choice.message.is_none() && choice.logprobs.is_none());
        self.reason = choice.finish_reason;
        match (&choice.delta, &choice.text) {
            (Some(delta), None) => {
                assert_eq!(chunk.object, "chat.completion.chunk");
                self.text.push_str(delta.content.as_deref().unwrap_or_default());
                delta.tool_calls.iter().for_each(|call| self.add_call(call));
            }
            (None, Some(text)) => {
                assert_eq!(chunk.object, "text_completion");
                self.text.push_str(text);
            }
            _ => panic!("a delta or a text: {chunk:?}"),
        }
    }

    fn add_call(&mut self, call: &ToolCall) {
        let index = call.index.unwrap();
        match (&call.id, &call.function.name) {
            (Some(id), Some(name)) => {
                assert_eq!(
                    (call.kind.as_deref(), index),
                    (Some("function"), self.calls.len()),
                    "out of turn"
                );
                self.calls.push((id.clone(), name.clone(), call.function.arguments.clone()));
            }
            (None, None) => self.calls[index].2.push_str(&call.function.arguments),
            _ => panic!("half of a call's beginning: {call:?}"),
        }
    }
}
