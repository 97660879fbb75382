//! What a chat calls for of what is stored: a context's messages before its own, and the texts of files in place of
//! the parts that name them.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::contexts;
use crate::contexts::Contexts;
use crate::domain::context::Message;
use crate::domain::id::{ContextId, FileId};
use crate::domain::scope::Scope;
use crate::files::{CHUNK, Files, FilesError};
use crate::gate::Refused;
use crate::http::ApiError;
use crate::http::block::block;
use crate::http::exchange::Exchange;
use crate::http::public::Rooms;
use crate::upstream::{Ask, Shape};

/// What a part that names a file has in it.
const FILE_ID: &[u8] = b"\"file_id\"";
static FILE_ID_FINDER: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(FILE_ID));

/// What is to be appended to a context once a chat is answered.
pub(super) struct Append {
    contexts: Arc<Contexts>,
    context: ContextId,
    messages: Vec<Message>,
}

/// Tells whether a chat may call for something that is stored.
pub(super) fn is_called_for(ask: &Ask) -> bool {
    ask.shape == Shape::Chat && (ask.own_fields > 0 || FILE_ID_FINDER.find(&ask.body).is_some())
}

/// Puts what is stored into a chat that calls for it. Also returns what is to be appended when it is answered.
pub(super) async fn expand(
    rooms: &Rooms,
    exchange: &Exchange,
    ask: Ask,
) -> Result<(Ask, Option<Append>), ApiError> {
    let stored = Stored::open(rooms, exchange, &ask)?;
    let append = match stored.context.filter(|_| ask.context_append) {
        Some(context) => {
            let messages = contexts::messages(ask.messages())?;
            Some(Append { contexts: Arc::clone(&rooms.contexts), context, messages })
        }
        None => None,
    };
    let put = move || stored.put_into(&ask).map(|body| (ask, body, stored.has_read.get()));
    let (ask, body, has_read) = block(put).await?;
    if has_read {
        exchange.permit()?.check_scope(Scope::FilesRead)?;
    }
    match body {
        Some(body) => Ok((Ask::parse(ask.shape, body.into())?, append)),
        None => Ok((ask, append)),
    }
}

impl Append {
    /// Returns how long an answer may be that is to be appended, in bytes.
    pub(super) fn most_bytes(&self) -> u64 {
        self.contexts.most_bytes()
    }

    /// Appends the request's messages and the answer, both or neither.
    pub(super) async fn append(mut self, answer: Message) -> Result<(), ApiError> {
        self.messages.push(answer);
        block(move || self.contexts.append_unseen(self.context, &self.messages)).await
    }
}

/// What is stored, as far as the key may read it.
struct Stored {
    contexts: Arc<Contexts>,
    context: Option<ContextId>,
    files: Result<Arc<Files>, Refused>,
    /// Whether a file was called for.
    has_read: Cell<bool>,
    /// The longest body, in bytes.
    most: usize,
}

impl Stored {
    /// Fails if the key lacks a scope that is surely needed; whether files are, the messages tell.
    fn open(rooms: &Rooms, exchange: &Exchange, ask: &Ask) -> Result<Self, ApiError> {
        let permit = exchange.permit()?;
        if ask.context.is_some() {
            permit.check_scope(Scope::ContextsRead)?;
        }
        if ask.context_append {
            permit.check_scope(Scope::ContextsWrite)?;
        }
        Ok(Self {
            contexts: Arc::clone(&rooms.contexts),
            context: ask.context.as_deref().map(contexts::parse_id).transpose()?,
            files: permit.would_have(Scope::FilesRead).map(|()| Arc::clone(&rooms.files)),
            has_read: Cell::new(false),
            most: rooms.live.max_json_bytes,
        })
    }

    /// Returns the chat's body with the context's messages before its own, and files' texts in both; none if it
    /// is to go out as it came.
    fn put_into(&self, ask: &Ask) -> Result<Option<Vec<u8>>, ApiError> {
        let before = match self.context {
            Some(id) => self.contexts.get(id)?.messages,
            None => Vec::new(),
        };
        let own = ask.messages();
        let before =
            before.iter().enumerate().map(|(index, text)| ("context.messages", index, text.as_str()));
        let own = own.iter().enumerate().map(|(index, text)| ("messages", index, text.get()));
        let mut messages = Vec::with_capacity(before.len() + own.len());
        let mut length = ask.body.len();
        for (list, index, text) in before.chain(own) {
            let message = self.with_texts(text, &format!("{list}[{index}]"), &mut length)?;
            if list != "messages" {
                self.grow(&mut length, text.len())?;
            }
            messages.push(message);
        }
        let is_changed = ask.own_fields > 0 || messages.iter().any(|text| matches!(text, Cow::Owned(_)));
        Ok(is_changed.then(|| ask.with_messages(&messages)))
    }

    /// Returns a message with the texts of the files that its parts name. `place` is where it stands.
    fn with_texts<'a>(
        &self,
        message: &'a str,
        place: &str,
        length: &mut usize,
    ) -> Result<Cow<'a, str>, ApiError> {
        if memchr::memmem::find(message.as_bytes(), FILE_ID).is_none() {
            return Ok(message.into());
        }
        let mut expanded = String::new();
        let mut done = 0;
        for (index, part) in parts(message).into_iter().enumerate() {
            let Some(id) = named_file(part) else { continue };
            let text = self.read(&id, &format!("{place}.content[{index}].file.file_id"), *length)?;
            // Escaped it may be six times as long.
            self.grow(length, json_length(&text))?;
            let start = part.get().as_ptr() as usize - message.as_ptr() as usize;
            expanded.push_str(&message[done..start]);
            expanded.push_str(r#"{"type":"text","text":"#);
            expanded.push_str(&serde_json::to_string(&text).expect("texts serialise"));
            expanded.push('}');
            done = start + part.get().len();
        }
        Ok(if done == 0 { message.into() } else { (expanded + &message[done..]).into() })
    }

    /// Reads a text file whole, if a chat of that length has room for it; `field` is where it is named.
    fn read(&self, id: &str, field: &str, mut length: usize) -> Result<String, ApiError> {
        let files = self.files.as_ref().map_err(Clone::clone)?;
        self.has_read.set(true);
        let missing = || ApiError::field(field, "names no stored file: see GET /v1/files");
        let id: FileId = id.parse().map_err(|_| missing())?;
        let file = files.get(id).map_err(|error| match error {
            FilesError::NotFound => missing(),
            error => error.into(),
        })?;
        self.grow(&mut length, usize::try_from(file.bytes).unwrap_or(usize::MAX))?;
        let mut bytes = Vec::with_capacity(usize::try_from(file.bytes).unwrap_or(0));
        for position in 0..file.bytes.div_ceil(CHUNK as u64) {
            bytes.extend(files.chunk(id, u32::try_from(position).unwrap_or(u32::MAX))?);
        }
        let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
        text.ok_or_else(|| ApiError::field(field, "names a file that is no text in UTF-8"))
    }

    fn grow(&self, length: &mut usize, by: usize) -> Result<(), ApiError> {
        *length = length.saturating_add(by);
        if *length <= self.most {
            return Ok(());
        }
        let most = self.most;
        let message = format!("The chat would be longer than {most} bytes with what it calls for");
        Err(ApiError::PayloadTooLarge(message))
    }
}

/// How long a text is in JSON.
fn json_length(text: &str) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, text).expect("texts serialise");
    count.0
}

/// The parts of a message's content, if it has any.
fn parts(message: &str) -> Vec<&RawValue> {
    #[derive(Deserialize)]
    struct Peek<'a> {
        #[serde(borrow, default)]
        content: Vec<&'a RawValue>,
    }
    serde_json::from_str::<Peek<'_>>(message).map(|peek| peek.content).unwrap_or_default()
}

/// The stored file that a part names; others' files are the upstream's to know.
fn named_file(part: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
        #[serde(borrow)]
        file: Named<'a>,
    }
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        file_id: Cow<'a, str>,
    }
    let part: Part<'_> = serde_json::from_str(part.get()).ok()?;
    (part.r#type == "file" && part.file.file_id.starts_with(FileId::PREFIX)).then_some(part.file.file_id)
}
