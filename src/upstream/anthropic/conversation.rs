//! The turns of a conversation, and the instructions that precede them.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use super::calls;
use super::content::{self, Block};
use super::field::{Field, InvalidField, Object};
use super::ignored::Ignored;

/// A conversation in the Messages API's words.
#[derive(Default, Serialize)]
pub(super) struct Conversation<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_paragraphs")]
    system: Vec<Cow<'a, str>>,
    messages: Vec<Turn<'a>>,
}

/// Everything one side says before the other answers.
#[derive(Serialize)]
struct Turn<'a> {
    role: Role,
    content: Vec<Block<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Assistant,
}

impl<'a> Conversation<'a> {
    /// Reads the `messages` of a chat completion.
    pub fn of_messages(messages: &Field<'a>, ignored: &mut Ignored) -> Result<Self, InvalidField> {
        let mut conversation = Self::default();
        for message in messages.list()? {
            conversation.add(&message, ignored)?;
        }
        if conversation.messages.is_empty() {
            return Err(messages.refuse("must hold something said by the user or the assistant"));
        }
        for turn in &mut conversation.messages {
            // A stable sort, so that blocks of a kind stay in the client's order.
            turn.content.sort_by_key(place_in_turn);
        }
        Ok(conversation)
    }

    /// Reads the `prompt` of a text completion, which becomes the user's only message.
    pub fn of_prompt(prompt: &Field<'a>) -> Result<Self, InvalidField> {
        let mut conversation = Self::default();
        let words = content::blocks(&sole_prompt(prompt)?, &mut Ignored::default())?;
        if words.is_empty() {
            return Err(prompt.refuse("must not be blank"));
        }
        conversation.say(Role::User, words);
        Ok(conversation)
    }

    fn add(&mut self, message: &Field<'a>, ignored: &mut Ignored) -> Result<(), InvalidField> {
        let mut message = message.object()?;
        let role = message.require("role")?;
        match &*role.text()? {
            "system" | "developer" => {
                let instructions = content::texts(&message.require("content")?, ignored)?;
                self.system.extend(instructions);
            }
            "user" => self.say(Role::User, user_words(&mut message, ignored)?),
            "assistant" => self.say(Role::Assistant, assistant_words(&mut message, ignored)?),
            "tool" => self.say(Role::User, vec![calls::result(&mut message, ignored)?]),
            "function" => return Err(role.refuse("is `function`, long replaced by `tool`")),
            _ => return Err(role.refuse("must be system, developer, user, assistant or tool")),
        }
        ignored.leftovers_of(message);
        Ok(())
    }

    /// Adds to the current turn, or begins one if it is the other side's.
    fn say(&mut self, role: Role, mut content: Vec<Block<'a>>) {
        if content.is_empty() {
            return;
        }
        match self.messages.last_mut() {
            Some(turn) if turn.role == role => turn.content.append(&mut content),
            _ => self.messages.push(Turn { role, content }),
        }
    }
}

fn user_words<'a>(message: &mut Object<'a>, ignored: &mut Ignored) -> Result<Vec<Block<'a>>, InvalidField> {
    let content = message.require("content")?;
    let words = content::blocks(&content, ignored)?;
    if words.is_empty() {
        return Err(content.refuse("must hold some text or an image"));
    }
    Ok(words)
}

/// Reads what an assistant said, which may be nothing: agents keep such messages.
fn assistant_words<'a>(
    message: &mut Object<'a>,
    ignored: &mut Ignored,
) -> Result<Vec<Block<'a>>, InvalidField> {
    let mut words = Vec::new();
    if let Some(content) = message.take("content") {
        let texts = content::texts(&content, ignored)?;
        words.extend(texts.into_iter().map(|text| Block::Text { text }));
    }
    if let Some(made) = message.take("tool_calls") {
        words.extend(calls::read(&made)?);
    }
    Ok(words)
}

/// Ranks blocks as the API wants them in a turn: results lead it, calls end it.
fn place_in_turn(block: &Block) -> u8 {
    match block {
        Block::ToolResult { .. } => 0,
        Block::Text { .. } | Block::Image { .. } => 1,
        Block::ToolUse { .. } => 2,
    }
}

fn sole_prompt<'a>(prompt: &Field<'a>) -> Result<Field<'a>, InvalidField> {
    if prompt.is_text() {
        return Ok(prompt.clone());
    }
    let mut prompts = prompt.list().unwrap_or_default();
    match prompts.pop() {
        Some(sole) if prompts.is_empty() && sole.is_text() => Ok(sole),
        _ => Err(prompt
            .refuse("must be a single string: this model takes neither several prompts nor token numbers")),
    }
}

fn as_paragraphs<S: Serializer>(texts: &[Cow<str>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&texts.join("\n\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    type Reader = fn(&Field, &mut Ignored) -> Result<Value, InvalidField>;

    fn read(reader: Reader, value: &Value, name: &str) -> Result<(Value, Vec<String>), String> {
        let body = json!({name: value}).to_string();
        let mut body = Object::of_body(body.as_bytes()).unwrap();
        let mut ignored = Ignored::default();
        reader(&body.require(name).unwrap(), &mut ignored)
            .map(|conversation| (conversation, ignored.into_names()))
            .map_err(|invalid| invalid.to_string())
    }

    fn chat(messages: &Value) -> Result<(Value, Vec<String>), String> {
        let reader: Reader = |messages, ignored| {
            let conversation = Conversation::of_messages(messages, ignored)?;
            Ok(serde_json::to_value(conversation).unwrap())
        };
        read(reader, messages, "messages")
    }

    fn completion(prompt: &Value) -> Result<Value, String> {
        let reader: Reader = |prompt, _| Ok(serde_json::to_value(Conversation::of_prompt(prompt)?).unwrap());
        read(reader, prompt, "prompt").map(|(conversation, _)| conversation)
    }

    fn text(text: &str) -> Value {
        json!({"type": "text", "text": text})
    }

    #[test]
    fn instructions_are_hoisted_wherever_they_stand() {
        let messages = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "developer", "content": [text("Be kind."), text("Be calm.")]},
            {"role": "system", "content": " "},
        ]);
        let expected = json!({
            "system": "Be brief.\n\nBe kind.\n\nBe calm.",
            "messages": [{"role": "user", "content": [text("Hi")]}],
        });
        assert_eq!(chat(&messages).unwrap().0, expected);
    }

    #[test]
    fn consecutive_messages_of_one_role_are_one_turn() {
        let messages = json!([
            {"role": "user", "content": "One"},
            {"role": "user", "content": "Two"},
            {"role": "assistant", "content": "Three"},
            {"role": "assistant", "content": ""},
            {"role": "assistant", "content": "Four"},
            {"role": "user", "content": "Five"},
        ]);
        let expected = json!([
            {"role": "user", "content": [text("One"), text("Two")]},
            {"role": "assistant", "content": [text("Three"), text("Four")]},
            {"role": "user", "content": [text("Five")]},
        ]);
        assert_eq!(chat(&messages).unwrap().0["messages"], expected);
    }

    #[test]
    fn results_lead_their_turn_and_calls_end_theirs() {
        let call = |id| {
            json!({"id": id, "type": "function",
                   "function": {"name": "now", "arguments": "{}"}})
        };
        let used = |id| json!({"type": "tool_use", "id": id, "name": "now", "input": {}});
        let messages = json!([
            {"role": "user", "content": "What time is it?"},
            {"role": "assistant", "content": null, "tool_calls": [call("a"), call("b")]},
            {"role": "assistant", "content": "One moment."},
            {"role": "user", "content": "Hurry!"},
            {"role": "tool", "tool_call_id": "a", "content": "10:00"},
            {"role": "tool", "tool_call_id": "b", "content": ""},
        ]);
        let expected = json!([
            {"role": "user", "content": [text("What time is it?")]},
            {"role": "assistant", "content": [text("One moment."), used("a"), used("b")]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": [text("10:00")]},
                {"type": "tool_result", "tool_use_id": "b"},
                text("Hurry!"),
            ]},
        ]);
        assert_eq!(chat(&messages).unwrap().0["messages"], expected);
    }

    #[test]
    fn what_a_message_cannot_carry_over_is_named_once() {
        let messages = json!([
            {"role": "user", "name": "Ann", "content": "Hi"},
            {"role": "assistant", "content": "Hello", "refusal": null, "annotations": []},
            {"role": "user", "name": "Bob", "content": [
                {"type": "image_url", "image_url": {"url": "https://a.b/c", "detail": "high"}},
            ]},
            {"role": "assistant", "content": "No.", "refusal": "No.", "audio": {"id": "x"}},
        ]);
        let expected = [
            "messages[].audio",
            "messages[].content[].image_url.detail",
            "messages[].name",
            "messages[].refusal",
        ];
        assert_eq!(chat(&messages).unwrap().1, expected);
    }

    #[test]
    fn messages_that_cannot_be_sent_are_refused_by_their_path() {
        let nobody = "messages must hold something said by the user or the assistant";
        let cases = [
            (json!("Hi"), "messages must be a list"),
            (json!([]), nobody),
            (json!([{"role": "system", "content": "Be brief."}]), nobody),
            (json!([{"role": "assistant", "content": ""}]), nobody),
            (json!(["Hi"]), "messages[0] must be an object"),
            (json!([{"content": "Hi"}]), "messages[0].role is required"),
            (
                json!([{"role": "robot", "content": "Hi"}]),
                "messages[0].role must be system, developer, user, assistant or tool",
            ),
            (
                json!([{"role": "function", "name": "now", "content": "10:00"}]),
                "messages[0].role is `function`, long replaced by `tool`",
            ),
            (json!([{"role": "user"}]), "messages[0].content is required"),
            (
                json!([{"role": "user", "content": " "}]),
                "messages[0].content must hold some text or an image",
            ),
            (json!([{"role": "tool", "content": "10:00"}]), "messages[0].tool_call_id is required"),
            (
                json!([{"role": "assistant", "tool_calls": [
                    {"id": "a", "function": {"name": "now", "arguments": "{"}},
                ]}]),
                "messages[0].tool_calls[0].function.arguments \
                 must be a JSON object, written as a string",
            ),
        ];
        for (messages, expected) in cases {
            assert_eq!(chat(&messages), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_prompt_is_the_words_of_the_user() {
        let expected = json!({"messages": [{"role": "user", "content": [text("Once upon")]}]});
        for prompt in [json!("Once upon"), json!(["Once upon"])] {
            assert_eq!(completion(&prompt), Ok(expected.clone()));
        }
    }

    #[test]
    fn prompts_that_cannot_be_sent_are_refused() {
        let several = "prompt must be a single string: \
                       this model takes neither several prompts nor token numbers";
        let cases = [
            (json!(["One", "Two"]), several),
            (json!([1, 2, 3]), several),
            (json!([[1, 2]]), several),
            (json!([]), several),
            (json!(7), several),
            (json!(""), "prompt must not be blank"),
        ];
        for (prompt, expected) in cases {
            assert_eq!(completion(&prompt), Err(expected.to_owned()));
        }
    }
}
