//! Files and the chunks of what is in them.

use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use super::column;
use super::page::{Rows, Sort};
use crate::domain::file::{File, Filename, Purpose};
use crate::domain::id::FileId;

/// Keeps a file whose chunks are there already.
pub fn insert(connection: &Connection, file: &File) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO files (id, filename, purpose, bytes, sha256, created_by, created_at)
             VALUES (:id, :filename, :purpose, :bytes, :sha256, :created_by, :created_at)",
        )?
        .execute(named_params! {
            ":id": file.id,
            ":filename": file.filename.as_str(),
            ":purpose": file.purpose.as_str(),
            ":bytes": file.bytes.cast_signed(),
            ":sha256": file.sha256,
            ":created_by": file.created_by,
            ":created_at": file.created_at.as_millis(),
        })?;
    Ok(())
}

/// Deletes a file, its chunks apart.
pub fn delete(connection: &Connection, id: FileId) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM files WHERE id = ?")?.execute([id])?;
    Ok(())
}

/// Returns a file, if there is one with the id.
pub fn find(connection: &Connection, id: FileId) -> rusqlite::Result<Option<File>> {
    connection.prepare_cached("SELECT * FROM files WHERE id = ?")?.query_row([id], file).optional()
}

/// Lists files, all or those of one purpose.
pub fn list(
    connection: &Connection,
    page: &Rows<FileId>,
    purpose: Option<&str>,
) -> rusqlite::Result<Vec<File>> {
    let sql = match page.sort {
        Sort::Oldest => {
            "SELECT * FROM files
             WHERE (:after IS NULL OR id > :after) AND (:purpose IS NULL OR purpose = :purpose)
             ORDER BY id
             LIMIT :limit"
        }
        Sort::Newest => {
            "SELECT * FROM files
             WHERE (:after IS NULL OR id < :after) AND (:purpose IS NULL OR purpose = :purpose)
             ORDER BY id DESC
             LIMIT :limit"
        }
    };
    connection
        .prepare_cached(sql)?
        .query_map(named_params! {":after": page.after, ":purpose": purpose, ":limit": page.limit}, |row| {
            file(row)
        })?
        .collect()
}

/// Returns how many bytes are in all files together.
pub fn total_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT coalesce(sum(bytes), 0) AS total FROM files", [], |row| {
        column::count(row, "total")
    })
}

/// Returns how many files there are.
pub fn count(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT count(*) AS count FROM files", [], |row| column::count(row, "count"))
}

/// Keeps a chunk.
pub fn insert_chunk(
    connection: &Connection,
    id: FileId,
    position: u32,
    bytes: &[u8],
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO file_chunks (file_id, position, bytes) VALUES (?, ?, ?)")?
        .execute(params![id, position, bytes])?;
    Ok(())
}

/// Returns a chunk, if it is there.
pub fn chunk(connection: &Connection, id: FileId, position: u32) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT bytes FROM file_chunks WHERE file_id = ? AND position = ?")?
        .query_row(params![id, position], |row| row.get(0))
        .optional()
}

/// Deletes up to `most` chunks and returns how many it were.
pub fn delete_chunks(connection: &Connection, id: FileId, most: u32) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM file_chunks
             WHERE rowid IN (SELECT rowid FROM file_chunks WHERE file_id = ? LIMIT ?)",
        )?
        .execute(params![id, most])
}

/// Notes that chunks of this id belong to no file.
pub fn loosen(connection: &Connection, id: FileId) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT OR IGNORE INTO loose_files (id) VALUES (?)")?.execute([id])?;
    Ok(())
}

/// Notes that they belong to a file now, or are gone.
pub fn settle(connection: &Connection, id: FileId) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM loose_files WHERE id = ?")?.execute([id])?;
    Ok(())
}

/// Returns the ids whose chunks belong to no file.
pub fn loose(connection: &Connection) -> rusqlite::Result<Vec<FileId>> {
    connection
        .prepare_cached("SELECT id FROM loose_files")?
        .query_map([], |row| column::text(row, "id"))?
        .collect()
}

fn file(row: &Row<'_>) -> rusqlite::Result<File> {
    let (filename, purpose): (String, String) = (row.get("filename")?, row.get("purpose")?);
    Ok(File {
        id: column::text(row, "id")?,
        filename: Filename::parse(&filename).map_err(|error| column::invalid(row, "filename", error))?,
        purpose: Purpose::parse(&purpose).map_err(|error| column::invalid(row, "purpose", error))?,
        bytes: column::count(row, "bytes")?,
        sha256: row.get("sha256")?,
        created_by: column::text(row, "created_by")?,
        created_at: column::time(row, "created_at")?,
    })
}
