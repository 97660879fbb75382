//! Contexts and their messages.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use super::column;
use super::page::{Rows, Sort};
use crate::domain::context::{Context, Message};
use crate::domain::id::ContextId;
use crate::domain::key::Name;
use crate::domain::metadata::Metadata;

/// Keeps a new context, its messages apart.
pub fn insert(connection: &Connection, context: &Context) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO contexts
                 (id, name, metadata, revision, length, bytes, created_by, created_at, updated_at)
             VALUES (:id, NULL, '{}', 0, 0, 0, :created_by, :created_at, 0)",
        )?
        .execute(named_params! {
            ":id": context.id,
            ":created_by": context.created_by,
            ":created_at": context.created_at.as_millis(),
        })?;
    update(connection, context)
}

/// Keeps what may change of a context, its messages apart.
pub fn update(connection: &Connection, context: &Context) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE contexts
             SET name = :name, metadata = :metadata, revision = :revision, length = :length,
                 bytes = :bytes, updated_at = :updated_at
             WHERE id = :id",
        )?
        .execute(named_params! {
            ":id": context.id,
            ":name": context.name.as_ref().map(Name::as_str),
            ":metadata": column::to_json(context.metadata.entries()),
            ":revision": context.revision.cast_signed(),
            ":length": context.length.cast_signed(),
            ":bytes": context.bytes.cast_signed(),
            ":updated_at": context.updated_at.as_millis(),
        })?;
    Ok(())
}

/// Appends messages, the first of them at the position.
pub fn append(
    connection: &Connection,
    id: ContextId,
    position: u64,
    messages: &[Message],
) -> rusqlite::Result<()> {
    let mut statement = connection
        .prepare_cached("INSERT INTO context_messages (context_id, position, message) VALUES (?, ?, ?)")?;
    for (position, message) in (position..).zip(messages) {
        statement.execute(params![id, position.cast_signed(), message.as_str()])?;
    }
    Ok(())
}

/// Deletes a context's messages.
pub fn clear(connection: &Connection, id: ContextId) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM context_messages WHERE context_id = ?")?.execute([id])?;
    Ok(())
}

/// Deletes a context with its messages.
pub fn delete(connection: &Connection, id: ContextId) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM contexts WHERE id = ?")?.execute([id])?;
    Ok(())
}

/// Returns a context, if there is one with the id.
pub fn find(connection: &Connection, id: ContextId) -> rusqlite::Result<Option<Context>> {
    connection.prepare_cached("SELECT * FROM contexts WHERE id = ?")?.query_row([id], context).optional()
}

/// Returns a context's messages in their order.
pub fn messages(connection: &Connection, id: ContextId) -> rusqlite::Result<Vec<Message>> {
    connection
        .prepare_cached("SELECT message FROM context_messages WHERE context_id = ? ORDER BY position")?
        .query_map([id], |row| row.get(0).map(Message::stored))?
        .collect()
}

/// Lists contexts.
pub fn list(connection: &Connection, page: &Rows<ContextId>) -> rusqlite::Result<Vec<Context>> {
    let sql = match page.sort {
        Sort::Oldest => {
            "SELECT * FROM contexts
             WHERE :after IS NULL OR id > :after
             ORDER BY id
             LIMIT :limit"
        }
        Sort::Newest => {
            "SELECT * FROM contexts
             WHERE :after IS NULL OR id < :after
             ORDER BY id DESC
             LIMIT :limit"
        }
    };
    connection
        .prepare_cached(sql)?
        .query_map(named_params! {":after": page.after, ":limit": page.limit}, context)?
        .collect()
}

/// Returns how many contexts there are.
pub fn count(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT count(*) AS count FROM contexts", [], |row| column::count(row, "count"))
}

fn context(row: &Row<'_>) -> rusqlite::Result<Context> {
    let name: Option<String> = row.get("name")?;
    let name = name.map(|name| Name::parse(&name)).transpose();
    let metadata: BTreeMap<String, String> = column::from_json(row, "metadata")?;
    Ok(Context {
        id: column::text(row, "id")?,
        name: name.map_err(|error| column::invalid(row, "name", error))?,
        metadata: Metadata::parse(metadata).map_err(|error| column::invalid(row, "metadata", error))?,
        revision: column::count(row, "revision")?,
        length: column::count(row, "length")?,
        bytes: column::count(row, "bytes")?,
        created_by: column::text(row, "created_by")?,
        created_at: column::time(row, "created_at")?,
        updated_at: column::time(row, "updated_at")?,
    })
}
