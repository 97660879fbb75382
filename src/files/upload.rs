//! A file that is being taken in.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ring::digest::{self, SHA256};

use super::{CHUNK, Files, FilesError};
use crate::domain::file::{File, Filename, Purpose};
use crate::domain::id::{FileId, KeyId};
use crate::domain::time::Timestamp;
use crate::store;

/// A file that is being taken in; dropped before it is finished, it leaves nothing behind.
pub struct Upload {
    files: Arc<Files>,
    id: FileId,
    by: KeyId,
    begun_at: Timestamp,
    hash: digest::Context,
    bytes: u64,
    chunks: u32,
    finished: bool,
}

impl Upload {
    pub(super) fn new(files: Arc<Files>, id: FileId, by: KeyId, begun_at: Timestamp) -> Self {
        let hash = digest::Context::new(&SHA256);
        Self { files, id, by, begun_at, hash, bytes: 0, chunks: 0, finished: false }
    }

    /// Returns the id that the file will have.
    pub const fn id(&self) -> FileId {
        self.id
    }

    /// Keeps the next chunk. Each but the last must be [`CHUNK`] bytes long.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), FilesError> {
        debug_assert!(
            chunk.len() <= CHUNK && self.bytes.is_multiple_of(CHUNK as u64),
            "chunks are of one length"
        );
        let most = self.files.limits().max_bytes;
        let length = chunk.len() as u64;
        if self.bytes + length > most {
            return Err(FilesError::TooLarge(most));
        }
        self.files.reserve(length)?;
        self.bytes += length;
        self.hash.update(chunk);
        self.files.store.write_part(|transaction| {
            if self.chunks == 0 {
                store::files::loosen(transaction, self.id)?;
            }
            store::files::insert_chunk(transaction, self.id, self.chunks, chunk)
        })?;
        self.chunks += 1;
        Ok(())
    }

    /// Makes it a file: on the disk, all of it, when this returns.
    pub fn finish(mut self, filename: Filename, purpose: Purpose) -> Result<File, FilesError> {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.hash.clone().finish().as_ref());
        let file = File {
            id: self.id,
            filename,
            purpose,
            bytes: self.bytes,
            sha256,
            created_by: self.by,
            // As its id, so that lists are in one order.
            created_at: self.begun_at,
        };
        self.files.store.write(|transaction| {
            store::files::insert(transaction, &file)?;
            store::files::settle(transaction, self.id)?;
            Ok::<_, FilesError>(())
        })?;
        self.finished = true;
        Ok(file)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if self.chunks > 0 {
            self.files.given_up().insert(self.id, self.bytes);
        } else {
            self.files.used.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}
