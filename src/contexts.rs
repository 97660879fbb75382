//! Stored conversations: made, changed, appended to and deleted by the keys that may, each change whole or not at
//! all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ring::rand::SystemRandom;
use rusqlite::{Connection, Transaction};
use serde_json::json;

use crate::clock::Clock;
use crate::domain::audit::{self, Actor, row_id};
use crate::domain::context::{Context, Message, bytes};
use crate::domain::id::{ContextId, KeyId, Orders};
use crate::domain::key::Name;
use crate::domain::metadata::Metadata;
use crate::store::page::Rows;
use crate::store::{self, Store, StoreError};

/// The most messages of a context: each is a row, and nobody else writes while they are.
const MOST_MESSAGES: u64 = 10_000;
/// As much of messages as is put on one page of a list, in bytes; one context is always there.
const PAGE_BYTES: u64 = 8 * 1024 * 1024;

/// The contexts.
#[derive(Debug)]
pub struct Contexts {
    store: Arc<Store>,
    clock: Clock,
    /// The longest that a context's messages may be together, in bytes.
    most_bytes: AtomicU64,
    orders: Orders,
    random: SystemRandom,
}

/// A context and its messages.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// What it is.
    pub context: Context,
    /// What was said.
    pub messages: Vec<Message>,
}

/// What a client may say of a context; nothing said leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// What it is called; `Some(None)` takes the name away.
    pub name: Option<Option<Name>>,
    /// The notes, all of them.
    pub metadata: Option<Metadata>,
    /// The messages, all of them.
    pub messages: Option<Vec<Message>>,
}

/// The revisions that a context must have for a change to be made; `None` is any.
#[derive(Clone, Debug, Default)]
pub struct Expected(pub Option<Vec<u64>>);

/// A context that could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ContextsError {
    /// There is none with the id.
    #[error("There is no context with this id")]
    NotFound,
    /// It was changed since the client read it.
    #[error("The context is at revision {0} now: read it again, and send that revision in `If-Match`")]
    RevisionConflict(u64),
    /// Its messages would be too long.
    #[error("The context's messages would be longer than {0} bytes together: start another context")]
    TooLong(u64),
    /// It would have too many of them.
    #[error("The context would have more than {MOST_MESSAGES} messages: start another context")]
    TooMany,
    /// The system has no randomness to give.
    #[error("no randomness")]
    Randomness,
    /// The database could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for ContextsError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Contexts {
    /// Returns the contexts in a store; the messages of each are at most `most_bytes` long together.
    pub fn new(store: Arc<Store>, clock: Clock, most_bytes: u64) -> Self {
        Self {
            store,
            clock,
            most_bytes: AtomicU64::new(most_bytes),
            orders: Orders::default(),
            random: SystemRandom::new(),
        }
    }

    /// Makes a context.
    pub fn create(&self, by: KeyId, wanted: Change) -> Result<Conversation, ContextsError> {
        let now = self.clock.now().wall;
        let id =
            ContextId::new(self.orders.next(now), &self.random).map_err(|_| ContextsError::Randomness)?;
        let messages = wanted.messages.unwrap_or_default();
        let mut context = Context {
            id,
            name: wanted.name.flatten(),
            metadata: wanted.metadata.unwrap_or_default(),
            revision: 1,
            length: 0,
            bytes: 0,
            created_by: by,
            created_at: now,
            updated_at: now,
        };
        self.grow(&mut context, &messages)?;
        self.store.write(|transaction| {
            store::contexts::insert(transaction, &context)?;
            store::contexts::append(transaction, id, 0, &messages)?;
            Ok::<_, ContextsError>(())
        })?;
        Ok(Conversation { context, messages })
    }

    /// Returns a context with its messages.
    pub fn get(&self, id: ContextId) -> Result<Conversation, ContextsError> {
        let found = self.store.read(|connection| {
            // One transaction, so that the messages are those of the revision.
            let transaction = connection.unchecked_transaction()?;
            let context = store::contexts::find(&transaction, id)?;
            context.map(|context| with_messages(&transaction, context)).transpose()
        })?;
        found.ok_or(ContextsError::NotFound)
    }

    /// Lists contexts with their messages, fewer than asked for where those are long, and tells whether more
    /// follow.
    pub fn list(&self, page: Rows<ContextId>) -> Result<(Vec<Conversation>, bool), ContextsError> {
        let page = Rows { limit: page.limit + 1, ..page };
        let listed = self.store.read(|connection| {
            let transaction = connection.unchecked_transaction()?;
            let contexts = store::contexts::list(&transaction, &page)?;
            let (found, most) = (contexts.len(), page.limit as usize - 1);
            let mut listed = Vec::with_capacity(found.min(most));
            let mut total = 0;
            for context in contexts.into_iter().take(most) {
                total += context.bytes;
                if total > PAGE_BYTES && !listed.is_empty() {
                    break;
                }
                listed.push(with_messages(&transaction, context)?);
            }
            let more = listed.len() < found;
            Ok((listed, more))
        })?;
        Ok(listed)
    }

    /// Changes a context.
    pub fn change(
        &self,
        id: ContextId,
        expected: &Expected,
        change: Change,
    ) -> Result<Conversation, ContextsError> {
        let changed = |transaction: &Transaction<'_>, context: &mut Context| {
            let Change { name, metadata, messages } = change;
            if name.is_none() && metadata.is_none() && messages.is_none() {
                return Ok(false);
            }
            context.name = name.unwrap_or_else(|| context.name.take());
            context.metadata = metadata.unwrap_or_else(|| std::mem::take(&mut context.metadata));
            if let Some(messages) = messages {
                (context.length, context.bytes) = (0, 0);
                self.grow(context, &messages)?;
                store::contexts::clear(transaction, id)?;
                store::contexts::append(transaction, id, 0, &messages)?;
            }
            Ok(true)
        };
        self.write(id, expected, changed, with_messages)
    }

    /// Appends messages to a context, all of them or none.
    pub fn append(
        &self,
        id: ContextId,
        expected: &Expected,
        messages: &[Message],
    ) -> Result<Conversation, ContextsError> {
        self.write(
            id,
            expected,
            |transaction, context| self.push(transaction, context, messages),
            with_messages,
        )
    }

    /// Does as [`Self::append`] for somebody who needs not see the context.
    pub fn append_unseen(&self, id: ContextId, messages: &[Message]) -> Result<(), ContextsError> {
        let push =
            |transaction: &Transaction<'_>, context: &mut Context| self.push(transaction, context, messages);
        self.write(id, &Expected::default(), push, |_, _| Ok(()))
    }

    /// Deletes a context with its messages.
    pub fn delete(&self, id: ContextId, expected: &Expected) -> Result<(), ContextsError> {
        self.store.write(|transaction| {
            let context = store::contexts::find(transaction, id)?.ok_or(ContextsError::NotFound)?;
            expected.check(&context)?;
            store::contexts::delete(transaction, id)?;
            Ok(())
        })
    }

    /// Deletes a context with its messages for somebody who has no key, and notes who it was.
    pub fn remove(&self, id: ContextId, actor: Actor) -> Result<(), ContextsError> {
        let row = row_id(&self.random).map_err(|_| ContextsError::Randomness)?;
        let at = self.clock.now().wall;
        self.store.write(|transaction| {
            let context = store::contexts::find(transaction, id)?.ok_or(ContextsError::NotFound)?;
            store::contexts::delete(transaction, id)?;
            let before = json!({
                "name": context.name.as_ref().map(Name::as_str),
                "messages": context.length,
                "bytes": context.bytes,
                "created_by": context.created_by.to_string(),
                "created_at": context.created_at.to_string(),
            });
            let (target, before) = (id.to_string(), Some(before));
            let change = audit::Change { at, actor, action: "context.delete", target, before, after: None };
            Ok(store::audit::append(transaction, row, change)?)
        })
    }

    /// Returns a context without its messages.
    pub fn head(&self, id: ContextId) -> Result<Context, ContextsError> {
        self.store.read(|connection| store::contexts::find(connection, id))?.ok_or(ContextsError::NotFound)
    }

    /// Lists contexts without their messages.
    pub fn heads(&self, page: &Rows<ContextId>) -> Result<Vec<Context>, ContextsError> {
        Ok(self.store.read(|connection| store::contexts::list(connection, page))?)
    }

    /// Returns how many contexts there are.
    pub fn count(&self) -> Result<u64, ContextsError> {
        Ok(self.store.read(store::contexts::count)?)
    }

    /// Returns how long the messages of a context may be together, in bytes.
    pub fn most_bytes(&self) -> u64 {
        self.most_bytes.load(Ordering::Relaxed)
    }

    /// Sets how long the messages of one may be together, in bytes, from now on.
    pub fn set_most_bytes(&self, most_bytes: u64) {
        self.most_bytes.store(most_bytes, Ordering::Relaxed);
    }

    /// Changes a context that has an expected revision; `with` tells whether it did. Returns what `then` makes of it.
    fn write<T>(
        &self,
        id: ContextId,
        expected: &Expected,
        with: impl FnOnce(&Transaction<'_>, &mut Context) -> Result<bool, ContextsError>,
        then: impl FnOnce(&Connection, Context) -> rusqlite::Result<T>,
    ) -> Result<T, ContextsError> {
        let now = self.clock.now().wall;
        self.store.write(|transaction| {
            let mut context = store::contexts::find(transaction, id)?.ok_or(ContextsError::NotFound)?;
            expected.check(&context)?;
            if with(transaction, &mut context)? {
                context.revision += 1;
                context.updated_at = now;
                store::contexts::update(transaction, &context)?;
            }
            Ok(then(transaction, context)?)
        })
    }

    fn push(
        &self,
        transaction: &Transaction<'_>,
        context: &mut Context,
        messages: &[Message],
    ) -> Result<bool, ContextsError> {
        let position = context.length;
        self.grow(context, messages)?;
        store::contexts::append(transaction, context.id, position, messages)?;
        Ok(true)
    }

    /// Counts messages in; fails if they are too many or too long.
    fn grow(&self, context: &mut Context, messages: &[Message]) -> Result<(), ContextsError> {
        context.length += messages.len() as u64;
        context.bytes += bytes(messages);
        if context.length > MOST_MESSAGES {
            return Err(ContextsError::TooMany);
        }
        let most = self.most_bytes();
        if context.bytes > most {
            return Err(ContextsError::TooLong(most));
        }
        Ok(())
    }
}

impl Expected {
    fn check(&self, context: &Context) -> Result<(), ContextsError> {
        match &self.0 {
            Some(revisions) if !revisions.contains(&context.revision) => {
                Err(ContextsError::RevisionConflict(context.revision))
            }
            _ => Ok(()),
        }
    }
}

fn with_messages(connection: &Connection, context: Context) -> rusqlite::Result<Conversation> {
    let messages = store::contexts::messages(connection, context.id)?;
    Ok(Conversation { context, messages })
}
