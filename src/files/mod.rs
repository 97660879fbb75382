//! Stored files: taken in chunk by chunk, kept whole or not at all, and their space given back.
//!
//! A file is there once its row is. Until then its id is among the loose ones, and whatever stops an upload, its
//! chunks are found by that and cleared away: at once, by the keeper, or at the next start.

mod upload;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ring::rand::SystemRandom;
use rusqlite::Transaction;
use serde_json::json;

pub use upload::Upload;

use crate::clock::Clock;
use crate::domain::audit::{Actor, Change, row_id};
use crate::domain::file::File;
use crate::domain::hex;
use crate::domain::id::{FileId, KeyId, Orders};
use crate::store::page::Rows;
use crate::store::{self, Store, StoreError};

/// How long each chunk but a file's last is, in bytes.
pub const CHUNK: usize = 128 * 1024;
/// As many chunks are cleared away at a time, so that other writers need not wait for long.
const SLICE: u32 = 16;
/// How long a start may take to clear away what is left of uploads.
const LONGEST_START: Duration = Duration::from_secs(2);
/// What uploads leave free on the disk, in bytes: so much that they can be cleared away, and all else goes on.
const HEADROOM: u64 = 8 * 1024 * 1024;

/// The files.
#[derive(Debug)]
pub struct Files {
    store: Arc<Store>,
    clock: Clock,
    limits: Mutex<Limits>,
    orders: Orders,
    random: SystemRandom,
    /// Bytes in all files and uploads together.
    used: AtomicU64,
    /// Uploads that did not end well and deleted files, with the bytes of each: what is to be cleared away.
    given_up: Mutex<HashMap<FileId, u64>>,
    /// Whether the disk was full the last time that room was asked for.
    is_full: AtomicBool,
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest file, in bytes.
    pub max_bytes: u64,
    /// The most in all files together, in bytes.
    pub total_bytes: u64,
}

/// A file that could not be kept, read or deleted.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// There is none with the id.
    #[error("There is no file with this id")]
    NotFound,
    /// It is longer than a file may be.
    #[error("The file is too large: at most {0} bytes are kept (files.max_bytes)")]
    TooLarge(u64),
    /// There is no room beside the other files.
    #[error("The files would be larger than {0} bytes together (files.total_bytes): delete some first")]
    TooMuch(u64),
    /// The disk is full, or nearly.
    #[error("no more than {HEADROOM} bytes are free on the disk of store.path: make room there")]
    DiskFull,
    /// The system has no randomness to give.
    #[error("no randomness")]
    Randomness,
    /// The database could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for FilesError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Files {
    /// Returns the files in a store. Clears away what uploads left there that an earlier process did not end; where
    /// that takes longer than a start should, the keeper does the rest.
    pub fn open(store: Arc<Store>, clock: Clock, limits: Limits) -> Result<Arc<Self>, StoreError> {
        let loose = store.read(store::files::loose)?;
        let count = loose.len();
        let files = Self {
            used: AtomicU64::new(store.read(store::files::total_bytes)?),
            store,
            clock,
            limits: Mutex::new(limits),
            orders: Orders::default(),
            random: SystemRandom::new(),
            // They are not among the bytes in use.
            given_up: Mutex::new(loose.into_iter().map(|id| (id, 0)).collect()),
            is_full: AtomicBool::new(false),
        };
        let until = Instant::now() + LONGEST_START;
        while !files.is_clear() && Instant::now() < until {
            if let Err(error) = files.clear_next() {
                tracing::warn!("the space of files that are not wanted any more is not free yet: {error}");
                break;
            }
        }
        if count > 0 && files.is_clear() {
            tracing::info!("cleared away {count} files that were not complete or not wanted any more");
        }
        Ok(Arc::new(files))
    }

    /// Returns how much is kept.
    pub fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets how much is kept from now on; what is there already stays.
    pub fn set_limits(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// Begins to take a file in for a key.
    pub fn begin(self: &Arc<Self>, by: KeyId) -> Result<Upload, FilesError> {
        let now = self.clock.now().wall;
        let id = FileId::new(self.orders.next(now), &self.random).map_err(|_| FilesError::Randomness)?;
        Ok(Upload::new(Arc::clone(self), id, by, now))
    }

    /// Returns a file.
    pub fn get(&self, id: FileId) -> Result<File, FilesError> {
        self.store.read(|connection| store::files::find(connection, id))?.ok_or(FilesError::NotFound)
    }

    /// Returns the chunk of a file, counted from 0.
    pub fn chunk(&self, id: FileId, position: u32) -> Result<Vec<u8>, FilesError> {
        let chunk = self.store.read(|connection| store::files::chunk(connection, id, position))?;
        chunk.ok_or(FilesError::NotFound)
    }

    /// Lists files, all or those of one purpose.
    pub fn list(&self, page: &Rows<FileId>, purpose: Option<&str>) -> Result<Vec<File>, FilesError> {
        Ok(self.store.read(|connection| store::files::list(connection, page, purpose))?)
    }

    /// Deletes a file and gives its space back. Once this returns it stays deleted, whatever happens.
    pub fn delete(&self, id: FileId) -> Result<(), FilesError> {
        self.end(id, |_, _| Ok(()))
    }

    /// Does the same for somebody who has no key, and notes who it was.
    pub fn remove(&self, id: FileId, actor: Actor) -> Result<(), FilesError> {
        let row = row_id(&self.random).map_err(|_| FilesError::Randomness)?;
        let at = self.clock.now().wall;
        self.end(id, |transaction, file| {
            let before = json!({
                "filename": file.filename.as_str(),
                "purpose": file.purpose.as_str(),
                "bytes": file.bytes,
                "sha256": hex::encode(&file.sha256),
                "created_by": file.created_by.to_string(),
                "created_at": file.created_at.to_string(),
            });
            let (target, before) = (id.to_string(), Some(before));
            let change = Change { at, actor, action: "file.delete", target, before, after: None };
            store::audit::append(transaction, row, change)
        })
    }

    /// Returns how many files there are.
    pub fn count(&self) -> Result<u64, FilesError> {
        Ok(self.store.read(store::files::count)?)
    }

    /// Returns how many bytes are in all files together, uploads under way among them.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn end(
        &self,
        id: FileId,
        note: impl FnOnce(&Transaction<'_>, &File) -> rusqlite::Result<()>,
    ) -> Result<(), FilesError> {
        let bytes = self.store.write(|transaction| {
            let file = store::files::find(transaction, id)?.ok_or(FilesError::NotFound)?;
            store::files::delete(transaction, id)?;
            store::files::loosen(transaction, id)?;
            note(transaction, &file)?;
            Ok::<_, FilesError>(file.bytes)
        })?;
        // It is deleted already: what cannot be cleared away now is left to the keeper.
        self.given_up().insert(id, bytes);
        self.clear(id);
        Ok(())
    }

    /// Clears away what an upload that was given up or a file that was deleted left, and gives its space back. What
    /// cannot be cleared away now, the keeper tries again.
    pub fn clear(&self, id: FileId) {
        if !self.given_up().contains_key(&id) {
            return;
        }
        let cleared = loop {
            match self.clear_slice(id) {
                Ok(false) => {}
                Ok(true) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = cleared {
            tracing::warn!("the space of {id} is not free yet: {error}");
        }
    }

    /// Tells whether there is nothing to clear away.
    pub fn is_clear(&self) -> bool {
        self.given_up().is_empty()
    }

    /// Clears away a slice of what is to be; tells whether it was the last.
    pub fn clear_next(&self) -> Result<bool, StoreError> {
        let next = self.given_up().keys().next().copied();
        let Some(id) = next else { return Ok(true) };
        Ok(self.clear_slice(id)? && self.is_clear())
    }

    /// Clears away a slice of an id's chunks that belong to no file, and gives their space back; tells whether they
    /// were the last.
    fn clear_slice(&self, id: FileId) -> Result<bool, StoreError> {
        let was_last = self.store.write_part(|transaction| {
            let was_last = store::files::delete_chunks(transaction, id, SLICE)? < SLICE as usize;
            if was_last {
                store::files::settle(transaction, id)?;
            }
            Ok(was_last)
        })?;
        self.store.give_back()?;
        if was_last {
            // Two may clear the same: it is counted once.
            if let Some(bytes) = self.given_up().remove(&id) {
                self.used.fetch_sub(bytes, Ordering::Relaxed);
            }
            self.store.cut()?;
        }
        Ok(was_last)
    }

    /// Takes room for that many bytes more.
    fn reserve(&self, bytes: u64) -> Result<(), FilesError> {
        let total = self.limits().total_bytes;
        let more = |used: u64| used.checked_add(bytes).filter(|used| *used <= total);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .map_err(|_| FilesError::TooMuch(total))?;
        let is_full = self.store.room().is_ok_and(|room| room < HEADROOM + bytes);
        let was_full = self.is_full.swap(is_full, Ordering::Relaxed);
        if !is_full {
            return Ok(());
        }
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        if !was_full {
            tracing::error!("{}", FilesError::DiskFull);
        }
        Err(FilesError::DiskFull)
    }

    fn given_up(&self) -> MutexGuard<'_, HashMap<FileId, u64>> {
        // A plain map: a panic elsewhere leaves it whole.
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
