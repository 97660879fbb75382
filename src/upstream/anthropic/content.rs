//! What a message says: text, images, calls of tools and their results.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::field::{Field, InvalidField};
use super::ignored::Ignored;

/// One content block of the Messages API.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text {
        text: Cow<'a, str>,
    },
    Image {
        source: Source<'a>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
    },
}

/// Where an image comes from.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 { media_type: String, data: String },
    Url { url: Cow<'a, str> },
}

/// Returns text that says something: the API refuses blocks of blank text.
fn audible(text: Cow<str>) -> Option<Cow<str>> {
    (!text.trim().is_empty()).then_some(text)
}

/// Reads content that may hold text and images.
pub(super) fn blocks<'a>(content: &Field<'a>, ignored: &mut Ignored) -> Result<Vec<Block<'a>>, InvalidField> {
    if content.is_text() {
        return Ok(text_block(content)?.into_iter().collect());
    }
    let mut blocks = Vec::new();
    for part in parts(content)? {
        blocks.extend(block(&part, ignored)?);
    }
    Ok(blocks)
}

/// Reads content that may hold nothing but text.
pub(super) fn texts<'a>(
    content: &Field<'a>,
    ignored: &mut Ignored,
) -> Result<Vec<Cow<'a, str>>, InvalidField> {
    if content.is_text() {
        return Ok(audible(content.text()?).into_iter().collect());
    }
    let mut texts = Vec::new();
    for part in parts(content)? {
        match block(&part, ignored)? {
            Some(Block::Text { text }) => texts.push(text),
            Some(_) => return Err(part.refuse("must be text in a message of this role")),
            None => {}
        }
    }
    Ok(texts)
}

fn parts<'a>(content: &Field<'a>) -> Result<Vec<Field<'a>>, InvalidField> {
    content.list().map_err(|_| content.refuse("must be a string or a list of parts"))
}

/// Reads one part, which comes to nothing if it is blank text.
fn block<'a>(part: &Field<'a>, ignored: &mut Ignored) -> Result<Option<Block<'a>>, InvalidField> {
    let mut part = part.object()?;
    let kind = part.require("type")?;
    let block = match &*kind.text()? {
        "text" => text_block(&part.require("text")?)?,
        // What an assistant said to decline is still what it said.
        "refusal" => text_block(&part.require("refusal")?)?,
        "image_url" => Some(image(&part.require("image_url")?, ignored)?),
        other => {
            return Err(
                kind.refuse(format!("is `{other}`, but this model takes only `text` and `image_url` parts"))
            );
        }
    };
    ignored.leftovers_of(part);
    Ok(block)
}

fn text_block<'a>(text: &Field<'a>) -> Result<Option<Block<'a>>, InvalidField> {
    Ok(audible(text.text()?).map(|text| Block::Text { text }))
}

fn image<'a>(image: &Field<'a>, ignored: &mut Ignored) -> Result<Block<'a>, InvalidField> {
    let mut image = image.object()?;
    let url = image.require("url")?;
    ignored.leftovers_of(image);
    let source = source(url.text()?).map_err(|reason| url.refuse(reason))?;
    Ok(Block::Image { source })
}

fn source(url: Cow<str>) -> Result<Source, &'static str> {
    if let Some(inline) = url.strip_prefix("data:") {
        return inline_source(inline);
    }
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(Source::Url { url });
    }
    Err("must be a data: URI or an http(s) URL")
}

fn inline_source(inline: &str) -> Result<Source<'static>, &'static str> {
    const EXPECTED: &str = "must have the form data:image/png;base64,...";
    let (header, data) = inline.split_once(',').ok_or(EXPECTED)?;
    let described = header.strip_suffix(";base64").ok_or(EXPECTED)?;
    let media_type = described.split(';').next().unwrap_or_default();
    if media_type.is_empty() || data.is_empty() {
        return Err(EXPECTED);
    }
    Ok(Source::Base64 { media_type: media_type.to_owned(), data: data.to_owned() })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::field::Object;
    use super::*;

    fn with_content(
        content: &Value,
        read: fn(&Field, &mut Ignored) -> Result<Value, InvalidField>,
    ) -> Result<Value, String> {
        let body = json!({"content": content}).to_string();
        let mut body = Object::of_body(body.as_bytes()).unwrap();
        let content = body.require("content").unwrap();
        read(&content, &mut Ignored::default()).map_err(|invalid| invalid.to_string())
    }

    fn translated(content: &Value) -> Result<Value, String> {
        with_content(content, |content, ignored| {
            blocks(content, ignored).map(|blocks| serde_json::to_value(blocks).unwrap())
        })
    }

    fn said(content: &Value) -> Result<Value, String> {
        with_content(content, |content, ignored| {
            texts(content, ignored).map(|texts| serde_json::to_value(texts).unwrap())
        })
    }

    fn image_part(url: &str) -> Value {
        json!([{"type": "image_url", "image_url": {"url": url}}])
    }

    #[test]
    fn every_kind_of_part_becomes_its_block() {
        let cases = [
            (json!("Hi"), json!([{"type": "text", "text": "Hi"}])),
            (
                json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
                json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
            ),
            (
                json!([{"type": "refusal", "refusal": "I'd rather not."}]),
                json!([{"type": "text", "text": "I'd rather not."}]),
            ),
            (
                image_part("data:image/png;base64,iVBORw0="),
                json!([{"type": "image", "source":
                    {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}}]),
            ),
            (
                image_part("data:image/jpeg;name=a.jpg;base64,/9j/"),
                json!([{"type": "image", "source":
                    {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"}}]),
            ),
            (
                image_part("https://example.com/cat.png"),
                json!([{"type": "image", "source":
                    {"type": "url", "url": "https://example.com/cat.png"}}]),
            ),
        ];
        for (content, expected) in cases {
            assert_eq!(translated(&content), Ok(expected), "{content}");
        }
    }

    #[test]
    fn blank_text_is_left_out() {
        let cases = [json!(""), json!(" \n"), json!([]), json!([{"type": "text", "text": "\t"}])];
        for content in cases {
            assert_eq!(translated(&content), Ok(json!([])), "{content}");
        }
    }

    #[test]
    fn content_that_cannot_be_sent_is_refused_by_its_path() {
        let cases = [
            (json!(7), "content must be a string or a list of parts"),
            (json!(["Hi"]), "content[0] must be an object"),
            (json!([{"text": "Hi"}]), "content[0].type is required"),
            (json!([{"type": "text"}]), "content[0].text is required"),
            (json!([{"type": "text", "text": 1}]), "content[0].text must be a string"),
            (
                json!([{"type": "input_audio", "input_audio": {}}]),
                "content[0].type is `input_audio`, \
                 but this model takes only `text` and `image_url` parts",
            ),
            (
                json!([{"type": "image_url", "image_url": "https://example.com/"}]),
                "content[0].image_url must be an object",
            ),
            (
                image_part("ftp://example.com/cat.png"),
                "content[0].image_url.url must be a data: URI or an http(s) URL",
            ),
            (
                image_part("data:image/png,%89PNG"),
                "content[0].image_url.url must have the form data:image/png;base64,...",
            ),
            (
                image_part("data:;base64,iVBORw0="),
                "content[0].image_url.url must have the form data:image/png;base64,...",
            ),
        ];
        for (content, expected) in cases {
            assert_eq!(translated(&content), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_text_only_role_refuses_the_image_and_not_the_text_around_it() {
        let picture = image_part("https://example.com/cat.png")[0].clone();
        let content = json!([{"type": "text", "text": "Look:"}, picture]);
        let refusal = "content[1] must be text in a message of this role";
        assert_eq!(said(&content), Err(refusal.to_owned()));

        let words = json!([{"type": "text", "text": "Look:"}, {"type": "text", "text": ""}]);
        assert_eq!(said(&words), Ok(json!(["Look:"])));
    }
}
