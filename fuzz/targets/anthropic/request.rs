//! Requests: what comes out is what the Messages API takes.

use mcpd::upstream::anthropic::{Shape, request};
use mcpd_fuzz::input::check_names;
use serde_json::Value;
use serde_json::value::RawValue;

/// Fails unless the request is translated into a proper one, or refused by the name of a field.
pub fn check(shape: Shape, body: &[u8]) {
    let translated = match request(shape, body, "their-model") {
        Ok(translated) => translated,
        Err(error) => {
            assert!(!error.field.is_empty() && !error.reason.is_empty(), "{error}");
            return;
        }
    };
    let raw: &RawValue = serde_json::from_slice(&translated.body).unwrap();
    check_top_level(raw);
    let told: Value = serde_json::from_str(raw.get()).unwrap();
    assert_eq!(told["model"], "their-model");
    assert!(told["max_tokens"].is_u64());
    assert_eq!(told["stream"], translated.stream);
    check_turns(told["messages"].as_array().unwrap());

    let mut sorted = translated.ignored.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(translated.ignored, sorted);
    // The same words come to the same request.
    assert_eq!(request(shape, body, "their-model").unwrap(), translated);
}

/// What the client wrote of schemas and the like is carried over as it stands, so only this level is mcpd's own.
fn check_top_level(raw: &RawValue) {
    let own: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).unwrap();
    let shallow: serde_json::Map<String, Value> =
        own.keys().map(|name| (name.clone(), Value::Null)).collect();
    let names = raw_names(raw);
    assert_eq!(names, shallow.len(), "a name twice: {raw}");
    if let Some(messages) = own.get("messages") {
        let turns: Vec<std::collections::BTreeMap<String, &RawValue>> =
            serde_json::from_str(messages.get()).unwrap();
        turns.iter().filter_map(|turn| turn.get("role")).for_each(|role| check_names(role));
    }
}

fn raw_names(raw: &RawValue) -> usize {
    struct Count(usize);
    impl<'de> serde::Deserialize<'de> for Count {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Count;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
                    let mut count = 0;
                    while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {
                        count += 1;
                    }
                    Ok(Count(count))
                }
            }
            deserializer.deserialize_map(Visitor)
        }
    }
    serde_json::from_str::<Count>(raw.get()).unwrap().0
}

/// The sides take turns, each with something to say.
fn check_turns(turns: &[Value]) {
    assert!(!turns.is_empty());
    for (turn, next) in turns.iter().zip(turns.iter().skip(1)) {
        assert_ne!(turn["role"], next["role"], "one side twice in a row");
    }
    for turn in turns {
        assert!(turn["role"] == "user" || turn["role"] == "assistant", "{turn}");
        let blocks = turn["content"].as_array().unwrap();
        assert!(!blocks.is_empty());
        for block in blocks {
            match block["type"].as_str().unwrap() {
                "text" => assert!(!block["text"].as_str().unwrap().trim().is_empty(), "blank: {block}"),
                "image" | "document" => assert!(block["source"].is_object(), "{block}"),
                "tool_use" => assert!(block["input"].is_object() && block["id"].is_string(), "{block}"),
                "tool_result" => assert!(block["tool_use_id"].is_string(), "{block}"),
                other => panic!("the API has no {other}"),
            }
        }
    }
}
