//! What a client asks of a model: the few fields that mcpd must know, read without building a tree of
//! the rest, and where they stand, so that the body can be passed on with as little as possible changed.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use actix_web::web::Bytes;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::body::Body;

/// Which OpenAI endpoint the client called, which decides the shape of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Completion,
}

/// A request for a completion.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The endpoint.
    pub shape: Shape,
    /// The model as the client named it.
    pub model: String,
    /// Whether the answer is to come as a stream of events.
    pub stream: bool,
    /// Whether the client wants a stream's usage told at its end.
    pub include_usage: bool,
    /// The context that goes before the chat's own messages, as the client named it.
    pub context: Option<String>,
    /// Whether the messages and the answer are to be appended to it.
    pub context_append: bool,
    /// How many of these two fields are there, be it without effect: no upstream knows them.
    pub own_fields: usize,
    /// The body as it was sent.
    pub body: Bytes,
    model_at: Range<usize>,
    /// Where the stream's options stand, and what they are.
    stream_options: Option<(Range<usize>, Map<String, Value>)>,
}

/// A body that cannot be passed on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAsk {
    /// Not JSON.
    #[error("the body is not valid JSON: {0}")]
    Json(String),
    /// JSON, but not what the endpoint takes.
    #[error("{0}")]
    Field(String),
}

impl Ask {
    /// Returns what the body asks for.
    pub fn parse(shape: Shape, body: Bytes) -> Result<Self, InvalidAsk> {
        if body.is_empty() {
            return Err(InvalidAsk::Json("it is empty".to_owned()));
        }
        let text = std::str::from_utf8(&body).map_err(|error| InvalidAsk::Json(error.to_string()))?;
        let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| invalid(&error))?;
        let model = fields.model.ok_or_else(|| missing("model", "name one of GET /v1/models"))?;
        let name: Cow<'_, str> = value(model, "model", "a string")?;
        if name.is_empty() {
            return Err(InvalidAsk::Field("`model` is empty: name one of GET /v1/models".to_owned()));
        }
        let (mut context, mut context_append, mut own_fields) = (None, false, 0);
        if shape == Shape::Chat {
            (context, context_append) = fields.context()?;
            own_fields = [fields.context, fields.context_append].into_iter().flatten().count();
        }
        match shape {
            Shape::Chat if context.is_some() && fields.messages.is_none_or(is_empty_list) => {}
            Shape::Chat => check_messages(fields.messages)?,
            Shape::Completion if fields.prompt.is_none() => {
                return Err(missing("prompt", "send the text to go on from"));
            }
            Shape::Completion => {}
        }
        let stream =
            fields.stream.map(|raw| value::<Option<bool>>(raw, "stream", "true or false")).transpose()?;
        let at = |raw: &RawValue| {
            let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
            start..start + raw.get().len()
        };
        let model_at = at(model);
        let options = fields.stream_options.map(stream_options).transpose()?;
        let include_usage = options.as_ref().and_then(|options| options.get("include_usage"));
        let include_usage = match include_usage {
            None | Some(Value::Null) => false,
            Some(Value::Bool(asked)) => *asked,
            Some(_) => return Err(InvalidAsk::Field(INCLUDE_USAGE.to_owned())),
        };
        let stream_options = fields.stream_options.map(at).zip(options);
        Ok(Self {
            shape,
            model: name.into_owned(),
            stream: stream.flatten().unwrap_or(false),
            include_usage,
            context,
            context_append,
            own_fields,
            model_at,
            stream_options,
            body,
        })
    }

    /// Returns the chat's own messages, in JSON.
    pub fn messages(&self) -> Vec<&RawValue> {
        #[derive(Deserialize)]
        struct Own<'a> {
            #[serde(borrow, default)]
            messages: Vec<&'a RawValue>,
        }
        serde_json::from_slice::<Own<'_>>(&self.body).map(|own| own.messages).unwrap_or_default()
    }

    /// Returns the body with other messages, each in JSON, and without what mcpd alone understands.
    pub fn with_messages<T: AsRef<str>>(&self, messages: &[T]) -> Vec<u8> {
        let Members(members) = serde_json::from_slice(&self.body).expect("`parse` has read an object");
        let length: usize = messages.iter().map(|message| message.as_ref().len() + 1).sum();
        let mut body = Vec::with_capacity(self.body.len() + length + 32);
        body.extend_from_slice(b"{\"messages\":[");
        for (index, message) in messages.iter().enumerate() {
            body.extend_from_slice(if index == 0 { b"" } else { b"," });
            body.extend_from_slice(message.as_ref().as_bytes());
        }
        body.push(b']');
        let known = ["messages", "context", "context_append"];
        for (name, value) in members.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            body.push(b',');
            serde_json::to_writer(&mut body, name).expect("a string serialises");
            body.push(b':');
            body.extend_from_slice(value.get().as_bytes());
        }
        body.push(b'}');
        body
    }

    /// Returns the body for an upstream that calls the model by `name`, everything else as it was sent but
    /// for `stream_options`, which ask for usage where `ask_usage` says so.
    pub fn body_for(&self, name: &str, ask_usage: bool) -> Body {
        let mut edits = Vec::new();
        if name != self.model {
            let name = serde_json::to_string(name).expect("a string serialises");
            edits.push((self.model_at.clone(), name));
        }
        if self.stream && ask_usage && !self.include_usage {
            edits.push(self.ask_for_usage());
        }
        edits.sort_by_key(|(at, _)| at.start);
        Body::with_edits(&self.body, edits)
    }

    fn ask_for_usage(&self) -> (Range<usize>, String) {
        if let Some((at, options)) = &self.stream_options {
            let mut options = options.clone();
            options.insert("include_usage".to_owned(), true.into());
            return (at.clone(), Value::from(options).to_string());
        }
        // The body is an object with a model in it, so a comma may follow.
        let brace = memchr::memchr(b'{', &self.body).expect("`parse` has read an object") + 1;
        (brace..brace, r#""stream_options":{"include_usage":true},"#.to_owned())
    }
}

#[derive(Default)]
struct Fields<'a> {
    model: Option<&'a RawValue>,
    messages: Option<&'a RawValue>,
    prompt: Option<&'a RawValue>,
    stream: Option<&'a RawValue>,
    stream_options: Option<&'a RawValue>,
    context: Option<&'a RawValue>,
    context_append: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(Key(key)) = map.next_key()? {
            let Some((name, field)) = fields.named(&key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            // Parsers downstream disagree about both: some take the last of two, some any letter case. What
            // was checked here must be what they read.
            if key != name {
                return Err(de::Error::custom(format_args!("`{key}` must be written `{name}`")));
            }
            if field.is_some() {
                return Err(de::Error::custom(format_args!("`{name}` is there twice")));
            }
            *field = Some(map.next_value()?);
        }
        Ok(fields)
    }
}

impl<'a> Fields<'a> {
    /// The field that a key means to some parser.
    fn named(&mut self, key: &str) -> Option<(&'static str, &mut Option<&'a RawValue>)> {
        let fields = [
            ("model", &mut self.model),
            ("messages", &mut self.messages),
            ("prompt", &mut self.prompt),
            ("stream", &mut self.stream),
            ("stream_options", &mut self.stream_options),
        ];
        // These two no upstream reads: in another spelling they are unknown fields, like any other.
        let own = [("context", &mut self.context), ("context_append", &mut self.context_append)];
        let own = own.into_iter().find(|(name, _)| key == *name);
        own.or_else(|| fields.into_iter().find(|(name, _)| means(key, name)))
    }

    /// The context that the chat names, and whether it is to be appended to.
    fn context(&self) -> Result<(Option<String>, bool), InvalidAsk> {
        let context = self.context.map(|raw| value::<Option<String>>(raw, "context", "the id of a context"));
        let append =
            self.context_append.map(|raw| value::<Option<bool>>(raw, "context_append", "true or false"));
        let (context, append) = (context.transpose()?.flatten(), append.transpose()?.flatten());
        if append == Some(true) && context.is_none() {
            return Err(missing("context", "`context_append` appends to the context that it names"));
        }
        Ok((context, append.unwrap_or(false)))
    }
}

/// Unicode folds two more letters onto ASCII ones, which some parsers do too: `ſ` is an s, `K` (Kelvin) a k.
fn means(key: &str, name: &str) -> bool {
    // Most keys are plain, and of another length.
    if key.is_ascii() {
        return key.eq_ignore_ascii_case(name);
    }
    let folded = |letter: char| match letter {
        'ſ' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(folded).eq(name.chars())
}

/// The members of an object as they stand there.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
        Text::deserialize(deserializer).map(|Text(text)| Self(text))
    }
}

fn check_messages(messages: Option<&RawValue>) -> Result<(), InvalidAsk> {
    let messages = messages.ok_or_else(|| missing("messages", "send the conversation so far"))?;
    if !messages.get().starts_with('[') {
        return Err(InvalidAsk::Field("`messages` must be a list of messages".to_owned()));
    }
    if is_empty_list(messages) {
        return Err(InvalidAsk::Field("`messages` is empty: send the conversation so far".to_owned()));
    }
    Ok(())
}

fn is_empty_list(raw: &RawValue) -> bool {
    let inside = raw.get().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

const INCLUDE_USAGE: &str = "`stream_options.include_usage` must be true or false";

fn stream_options(raw: &RawValue) -> Result<Map<String, Value>, InvalidAsk> {
    value::<Option<_>>(raw, "stream_options", "an object").map(Option::unwrap_or_default)
}

fn value<'a, T: Deserialize<'a>>(raw: &'a RawValue, field: &str, expected: &str) -> Result<T, InvalidAsk> {
    serde_json::from_str(raw.get()).map_err(|_| InvalidAsk::Field(format!("`{field}` must be {expected}")))
}

fn missing(field: &str, remedy: &str) -> InvalidAsk {
    InvalidAsk::Field(format!("`{field}` is missing: {remedy}"))
}

fn invalid(error: &serde_json::Error) -> InvalidAsk {
    if error.is_data() {
        let text = error.to_string();
        if text.starts_with("invalid type") {
            return InvalidAsk::Field("the body must be a JSON object".to_owned());
        }
        // serde ends with the place, which says little about a field by name.
        InvalidAsk::Field(text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text).to_owned())
    } else {
        InvalidAsk::Json(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chat(body: &str) -> Result<Ask, InvalidAsk> {
        Ask::parse(Shape::Chat, Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn what_mcpd_must_know_is_read() {
        let ask = chat(r#"{"messages":[{}],"x":{"model":"inner"},"mod\u0065l":"m","stream":true}"#).unwrap();
        assert_eq!((ask.model.as_str(), ask.stream, ask.include_usage), ("m", true, false));
        let ask = chat(r#"{"model":"m","messages":[{}],"stream":null,"stream_options":null}"#).unwrap();
        assert_eq!((ask.stream, ask.include_usage), (false, false));
    }

    #[test]
    fn what_cannot_be_passed_on_is_refused_by_name() {
        let cases = [
            ("{", "not valid JSON"),
            ("", "not valid JSON"),
            (r#"{"model":"m","messages":[{}],}"#, "not valid JSON"),
            (r#"{"model":"m","messages":[{}]} x"#, "not valid JSON"),
            ("[]", "a JSON object"),
            ("7", "a JSON object"),
            (r#"{"messages":[{}]}"#, "`model` is missing"),
            (r#"{"model":7,"messages":[{}]}"#, "`model` must be a string"),
            (r#"{"model":"","messages":[{}]}"#, "`model` is empty"),
            (r#"{"model":"m"}"#, "`messages` is missing"),
            (r#"{"model":"m","messages":{}}"#, "`messages` must be a list"),
            (r#"{"model":"m","messages":[ ]}"#, "`messages` is empty"),
            (r#"{"model":"m","messages":[{}],"stream":"yes"}"#, "`stream` must be true or false"),
            (r#"{"model":"m","messages":[{}],"stream_options":7}"#, "`stream_options` must be an object"),
            (
                r#"{"model":"m","messages":[{}],"stream_options":{"x":1e999}}"#,
                "`stream_options` must be an object",
            ),
            (
                r#"{"model":"m","messages":[{}],"stream_options":{"include_usage":1}}"#,
                "must be true or false",
            ),
            // What was checked must be what the upstream reads.
            (r#"{"model":"m","model":"other","messages":[{}]}"#, "`model` is there twice"),
            (r#"{"model":"m","MODEL":"other","messages":[{}]}"#, "`MODEL` must be written `model`"),
            (r#"{"model":"m","meſſages":[{}],"messages":[{}]}"#, "must be written `messages`"),
        ];
        for (body, message) in cases {
            let error = chat(body).unwrap_err().to_string();
            assert!(error.contains(message), "{body}: {error}");
        }
    }

    #[test]
    fn a_body_is_passed_on_as_it_was_sent() {
        let sent = r#" {"b":1.50, "model" : "m","messages":[{"content":"\u00e9"}],"a":[ ]}"#;
        let ask = chat(sent).unwrap();
        assert_eq!(ask.body_for("m", true).concat(), sent.as_bytes());
        let renamed = sent.replace(r#""m","#, r#""org/m:1","#);
        assert_eq!(ask.body_for("org/m:1", true).concat(), renamed.as_bytes());
    }

    #[test]
    fn a_stream_s_usage_is_asked_for() {
        let cases = [
            (
                r#"{"model":"m","messages":[1],"stream":true}"#,
                r#"{"stream_options":{"include_usage":true},"model":"m","messages":[1],"stream":true}"#,
            ),
            (
                r#"{"model":"m","stream_options":{"x":1,"include_usage":false},"messages":[1],"stream":true}"#,
                r#"{"model":"m","stream_options":{"x":1,"include_usage":true},"messages":[1],"stream":true}"#,
            ),
            (
                r#"{"model":"m","stream_options":null,"messages":[1],"stream":true}"#,
                r#"{"model":"m","stream_options":{"include_usage":true},"messages":[1],"stream":true}"#,
            ),
            (
                r#"{"model":"m","stream_options":{"include_usage":true},"messages":[1],"stream":true}"#,
                r#"{"model":"m","stream_options":{"include_usage":true},"messages":[1],"stream":true}"#,
            ),
        ];
        for (sent, passed_on) in cases {
            let ask = chat(sent).unwrap();
            assert_eq!(ask.body_for("m", true).concat(), passed_on.as_bytes(), "{sent}");
            assert_eq!(ask.body_for("m", false).concat(), sent.as_bytes(), "{sent}");
        }
    }

    /// Values in JSON, as somebody may write them.
    fn written() -> impl Strategy<Value = String> {
        const PLAIN: &[&str] =
            &["null", "1.50", "-0", "1e3", "12345678901234567890123", r#""caf\u00e9 \/""#, "[ ]", "{\t}"];
        let leaf = prop_oneof![
            proptest::sample::select(PLAIN).prop_map(ToOwned::to_owned),
            "\\PC{0,8}".prop_map(|text| Value::from(text).to_string()),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4)
                    .prop_map(|items| format!("[{} ]", items.join(" ,"))),
                ("[a-z]{1,8}", inner).prop_map(|(name, value)| format!("{{ \"{name}\" :{value}}}")),
            ]
        })
    }

    /// A chat's members in some order, and its own messages.
    fn members() -> impl Strategy<Value = (Vec<(String, String)>, Vec<String>)> {
        let known = ["model", "messages", "prompt", "stream", "stream_options", "context", "context_append"];
        let name = "[a-zé \"\\\\]{1,8}".prop_filter("known", move |name| !known.contains(&name.as_str()));
        let others = proptest::collection::vec((name, written()), 0..5);
        let own = proptest::collection::vec(written(), 1..4);
        let context = proptest::sample::select(&["", "null", r#""ctx_1""#][..]);
        let append = proptest::sample::select(&["", "null", "false"][..]);
        (others, own, context, append).prop_flat_map(|(others, own, context, append)| {
            let messages = format!("[{} ]", own.join(", "));
            let known = [
                ("model", "\"m\""),
                ("messages", &messages),
                ("context", context),
                ("context_append", append),
            ];
            let known = known.into_iter().filter(|(_, value)| !value.is_empty());
            let known = known.map(|(name, value)| (name.to_owned(), value.to_owned()));
            (Just(others.into_iter().chain(known).collect::<Vec<_>>()).prop_shuffle(), Just(own))
        })
    }

    fn object<'a>(members: impl IntoIterator<Item = &'a (String, String)>, colon: &str) -> String {
        let members = members.into_iter();
        let members = members.map(|(name, value)| format!("{}{colon}{value}", Value::from(name.as_str())));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }

    proptest! {
        #[test]
        fn other_messages_leave_valid_json_that_says_the_same(
            (members, own) in members(), stored in proptest::collection::vec(written(), 0..4), colon in " ?:[ \t\n]?",
        ) {
            let body = object(&members, &colon);
            let ask = chat(&body).unwrap();
            let messages: Vec<&str> = ask.messages().into_iter().map(RawValue::get).collect();
            prop_assert_eq!(&messages, &own);
            let all: Vec<String> = stored.into_iter().chain(own).collect();
            let put = String::from_utf8(ask.with_messages(&all)).unwrap();

            // What is left stands in its order and to the letter.
            let mut expected = vec![("messages".to_owned(), format!("[{}]", all.join(",")))];
            let gone = ["messages", "context", "context_append"];
            expected.extend(members.into_iter().filter(|(name, _)| !gone.contains(&name.as_str())));
            prop_assert_eq!(&put, &object(&expected, ":"));
            let Members(read) = serde_json::from_str(&put).unwrap();
            let read: Vec<_> = read.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect();
            prop_assert_eq!(read, expected);
            let value: Value = serde_json::from_str(&put).unwrap();
            let mut said: Value = serde_json::from_str(&body).unwrap();
            said["messages"] = all.iter().map(|text| serde_json::from_str::<Value>(text).unwrap()).collect();
            let said: Map<String, Value> = std::mem::take(said.as_object_mut().unwrap())
                .into_iter()
                .filter(|(name, _)| !gone[1..].contains(&name.as_str()))
                .collect();
            prop_assert_eq!(value, Value::from(said));
        }

        #[test]
        fn edits_leave_valid_json_that_says_the_same(
            model in "\\PC{1,20}", name in "\\PC{1,20}", extra in "[a-z]{1,8}", text in "\\PC*",
        ) {
            prop_assume!(!["model", "messages", "stream", "prompt"].contains(&extra.as_str()));
            let mut expected = serde_json::json!({
                "model": model, "messages": [{"role": "user", "content": text}], "stream": true, (extra): [null],
            });
            let ask = chat(&expected.to_string()).unwrap();
            prop_assert_eq!(&ask.model, &model);
            let passed: Value = serde_json::from_slice(&ask.body_for(&name, true).concat()).unwrap();
            expected["model"] = name.into();
            expected["stream_options"] = serde_json::json!({"include_usage": true});
            prop_assert_eq!(passed, expected);
        }

        #[test]
        fn no_body_makes_the_parser_panic(body in "\\PC*") {
            let _ = chat(&body);
        }
    }
}
