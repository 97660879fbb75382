//! Stored conversations.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::{ETAG, Header as _, IF_MATCH, IfMatch};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Gone, page};
use crate::contexts::{Change, Contexts, ContextsError, Conversation, Expected};
use crate::domain::context::Message;
use crate::domain::id::ContextId;
use crate::domain::key::Name;
use crate::domain::metadata::Metadata;
use crate::http::block::block;
use crate::http::list::{Limits, Page};
use crate::http::public::Call;
use crate::http::{ApiError, json};

const LIST: Limits = Limits { usual: 20, most: 100 };

/// What a client may say of a context.
#[derive(Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "ContextBody")]
pub(super) struct Body {
    /// What people call it; null takes the name away.
    #[serde(deserialize_with = "json::given")]
    #[schemars(with = "Option<String>")]
    name: Option<Option<String>>,
    /// All of its messages, each as a chat takes it.
    #[schemars(with = "Option<Vec<BTreeMap<String, serde_json::Value>>>")]
    messages: Option<Vec<Box<RawValue>>>,
    /// At most 32 entries, 8 KiB together.
    metadata: Option<BTreeMap<String, String>>,
}

/// Messages to append to a context.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ContextMessages")]
pub(super) struct Messages {
    /// At least one.
    #[schemars(with = "Vec<BTreeMap<String, serde_json::Value>>")]
    messages: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<String>,
    after: Option<String>,
    order: Option<String>,
}

/// A context. Times are in unix seconds.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Context")]
pub(super) struct View {
    id: String,
    /// Always `context`.
    object: &'static str,
    name: Option<String>,
    #[schemars(with = "Vec<BTreeMap<String, serde_json::Value>>")]
    messages: Vec<Box<RawValue>>,
    metadata: BTreeMap<String, String>,
    /// Goes up with each change, from 1.
    revision: u64,
    /// The key that made it.
    created_by: String,
    created_at: i64,
    updated_at: i64,
}

/// Stores a conversation.
pub(super) async fn create(call: Call) -> Result<HttpResponse, ApiError> {
    let body: Body = json::object(call.request.headers(), &call.body)?;
    let change = body.parse()?;
    let by = call.exchange.permit()?.entry.key.id;
    answer(&call, move |contexts| contexts.create(by, change)).await
}

/// Lists contexts with their messages.
pub(super) async fn list(call: Call) -> Result<HttpResponse, ApiError> {
    let ListQuery { limit, after, order } = json::query(call.request.query_string())?;
    let page = page::parse(LIST, limit.as_deref(), after.as_deref(), order.as_deref())?;
    let contexts = Arc::clone(&call.rooms.contexts);
    let text = block(move || {
        let (listed, more) = contexts.list(page)?;
        let views = listed.into_iter().map(View::new).collect();
        Ok::<_, ContextsError>(to_json(&Page::cut(views, more, |view: &View| view.id.clone())))
    });
    Ok(HttpResponse::Ok().content_type("application/json").body(text.await?))
}

/// Returns a context.
pub(super) async fn show(call: Call) -> Result<HttpResponse, ApiError> {
    let id = id(&call)?;
    answer(&call, move |contexts| contexts.get(id)).await
}

/// Changes a context.
pub(super) async fn change(call: Call) -> Result<HttpResponse, ApiError> {
    let (id, expected) = (id(&call)?, expected(&call)?);
    let body: Body = json::object(call.request.headers(), &call.body)?;
    let change = body.parse()?;
    answer(&call, move |contexts| contexts.change(id, &expected, change)).await
}

/// Appends messages to a context.
pub(super) async fn append(call: Call) -> Result<HttpResponse, ApiError> {
    let (id, expected) = (id(&call)?, expected(&call)?);
    let body: Messages = json::object(call.request.headers(), &call.body)?;
    if body.messages.is_empty() {
        return Err(ApiError::field("messages", "is empty: send what to append"));
    }
    let messages = own_messages(&body.messages)?;
    answer(&call, move |contexts| contexts.append(id, &expected, &messages)).await
}

/// Deletes a context.
pub(super) async fn delete(call: Call) -> Result<HttpResponse, ApiError> {
    let (id, expected) = (id(&call)?, expected(&call)?);
    let contexts = Arc::clone(&call.rooms.contexts);
    block(move || contexts.delete(id, &expected)).await?;
    Ok(super::json(&Gone { id: id.to_string(), object: "context", deleted: true }))
}

/// Returns what a client named as messages; the first that is none is named in the error.
pub(super) fn messages<'a>(
    messages: impl IntoIterator<Item = &'a RawValue>,
) -> Result<Vec<Message>, ApiError> {
    let parsed = messages.into_iter().enumerate().map(|(index, json)| {
        Message::parse(json)
            .map_err(|wrong| ApiError::field(&format!("messages[{index}]{}", wrong.part), wrong.reason))
    });
    parsed.collect()
}

fn own_messages(boxed: &[Box<RawValue>]) -> Result<Vec<Message>, ApiError> {
    messages(boxed.iter().map(AsRef::as_ref))
}

/// Returns the id that a client named; there is nothing with what is no id.
pub(super) fn parse_id(text: &str) -> Result<ContextId, ApiError> {
    text.parse().map_err(|_| ContextsError::NotFound.into())
}

fn id(call: &Call) -> Result<ContextId, ApiError> {
    parse_id(&call.parameter)
}

/// Does something to a context and answers with it, off the threads that others wait for: it may be long.
async fn answer(
    call: &Call,
    work: impl FnOnce(&Contexts) -> Result<Conversation, ContextsError> + Send + 'static,
) -> Result<HttpResponse, ApiError> {
    let contexts = Arc::clone(&call.rooms.contexts);
    let (revision, text) = block(move || {
        let conversation = work(&contexts)?;
        let revision = conversation.context.revision;
        Ok::<_, ContextsError>((revision, to_json(&View::new(conversation))))
    })
    .await?;
    let mut response = HttpResponse::Ok();
    Ok(response.insert_header((ETAG, format!("\"{revision}\""))).content_type("application/json").body(text))
}

/// Returns the revisions that the client makes its change depend on (RFC 9110, section 13.1.1).
fn expected(call: &Call) -> Result<Expected, ApiError> {
    if !call.request.headers().contains_key(IF_MATCH) {
        return Ok(Expected(None));
    }
    let wrong = || ApiError::bad_request("`If-Match` must be a context's revision in quotes, such as \"3\"");
    match IfMatch::parse(&call.request).map_err(|_| wrong())? {
        IfMatch::Any => Ok(Expected(None)),
        IfMatch::Items(tags) if tags.is_empty() => Err(wrong()),
        IfMatch::Items(tags) => {
            // Tags are compared letter by letter: `"03"` is not `"3"`.
            let revision = |tag: &str| tag.parse().ok().filter(|number: &u64| number.to_string() == tag);
            let strong = tags.iter().filter(|tag| !tag.weak);
            Ok(Expected(Some(strong.filter_map(|tag| revision(tag.tag())).collect())))
        }
    }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers serialise")
}

impl Body {
    fn parse(self) -> Result<Change, ApiError> {
        let name = self.name.map(|name| name.as_deref().map(Name::parse).transpose()).transpose();
        let metadata = self.metadata.map(Metadata::parse).transpose();
        Ok(Change {
            name: name.map_err(|reason| ApiError::field("name", reason))?,
            metadata: metadata.map_err(|reason| ApiError::field("metadata", reason))?,
            messages: self.messages.as_deref().map(own_messages).transpose()?,
        })
    }
}

impl View {
    fn new(conversation: Conversation) -> Self {
        let Conversation { context, messages } = conversation;
        let json = |message: Message| RawValue::from_string(message.into()).ok();
        Self {
            id: context.id.to_string(),
            object: "context",
            name: context.name.map(|name| name.as_str().to_owned()),
            messages: messages.into_iter().filter_map(json).collect(),
            metadata: context.metadata.entries().clone(),
            revision: context.revision,
            created_by: context.created_by.to_string(),
            created_at: context.created_at.as_seconds(),
            updated_at: context.updated_at.as_seconds(),
        }
    }
}
