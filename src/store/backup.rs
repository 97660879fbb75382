//! Copies of the database while it is in use: whole, as of one moment, in no writer's way.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

use super::folder::existing_folder_of;
use super::migrate::{self, APPLICATION_ID, VERSION};
use super::open::{READ_ONLY, READER_CACHE, beside};
use super::{GoOn, Store, StoreError, before_migration, before_restore, put_back, restore};

/// Behind the database's name: a copy that is being made. It has no name any more when its bytes are handed out.
const UNFINISHED: &str = ".backup-unfinished";
/// What a copy leaves free on the disk, in bytes, so that all else goes on.
pub(super) const HEADROOM: u64 = 8 * 1024 * 1024;

/// A copy that is checked and ready to be read. Its space on the disk is free again once it is dropped.
#[derive(Debug)]
pub struct Copy {
    file: File,
    bytes: u64,
    _turn: Turn,
}

/// No copy could be made; nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is another one.
    #[error("a backup is being made or downloaded: wait until it is done")]
    Running,
    /// The disk is too full.
    #[error(
        "the disk of store.path has {free} bytes free, a backup needs {needed} for a while: make room there"
    )]
    NoRoom {
        /// How many bytes must be free.
        needed: u64,
        /// How many are.
        free: u64,
    },
    /// What was copied is not as it must be.
    #[error("the copy of the database is damaged ({0}): check the disk, and restore an older backup")]
    Damaged(String),
    /// The file could not be made or read.
    #[error("the copy of the database: {0}")]
    File(#[from] io::Error),
    /// The database could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for CopyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The turn to make a copy: one at a time.
#[derive(Debug)]
struct Turn(Arc<AtomicBool>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A file that goes away whatever happens.
pub(super) struct Unfinished(pub(super) PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            tracing::warn!("cannot remove {}, which holds keys' digests: {error}", self.0.display());
        }
    }
}

impl Store {
    /// Makes a copy of the database as it is now, and checks it. Takes as long as reading and writing all of it.
    pub fn copy(&self) -> Result<Copy, CopyError> {
        if self.copying.swap(true, Ordering::Acquire) {
            return Err(CopyError::Running);
        }
        let turn = Turn(Arc::clone(&self.copying));
        let (needed, free) = (self.bytes() + HEADROOM, self.room()?);
        if free < needed {
            return Err(CopyError::NoRoom { needed, free });
        }
        let path = beside(self.path(), UNFINISHED);
        remove(&path)?;
        let file = make_file(&path)?;
        let unfinished = Unfinished(path);
        {
            let _reading = self.apart.begin();
            fill(self.path(), &unfinished.0, &GoOn::default())?;
        }
        check(&unfinished.0)?;
        let bytes = file.metadata()?.len();
        Ok(Copy { file, bytes, _turn: turn })
    }
}

impl Copy {
    /// Returns how long it is.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns its bytes from a place on, at most so many.
    pub fn read(&self, at: u64, most: usize) -> io::Result<Vec<u8>> {
        let most = usize::try_from(self.bytes.saturating_sub(at)).unwrap_or(usize::MAX).min(most);
        let mut bytes = vec![0; most];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

/// Removes what a crash in the middle of a copy left.
pub(super) fn remove_unfinished(database: &Path) -> io::Result<()> {
    [
        UNFINISHED,
        before_migration::UNFINISHED,
        before_restore::UNFINISHED,
        put_back::UNFINISHED,
        restore::UNFINISHED,
    ]
    .into_iter()
    .try_for_each(|suffix| remove(&beside(database, suffix)))
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        match fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Returns how many bytes the disk of a path has room for.
pub(super) fn room(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(existing_folder_of(path))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Makes an empty file to copy into, its owner's alone.
pub(super) fn make_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Copies the database into an empty file. It is read as of one moment, on a connection that cannot write to it;
/// writers go on meanwhile.
pub(super) fn fill(database: &Path, copy: &Path, go_on: &GoOn) -> rusqlite::Result<()> {
    let connection = open(database)?;
    go_on.watch(&connection)?;
    // The copy is handed out, not kept: nobody needs it on the disk after a crash.
    connection.pragma_update(None, "synchronous", "OFF")?;
    let to = copy.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(copy.to_owned()))?;
    connection.execute("VACUUM INTO ?", [to]).map(drop)
}

/// Fails unless the copy is a database that this very mcpd would open.
fn check(copy: &Path) -> Result<(), CopyError> {
    check_whole(&open(copy)?, VERSION..=VERSION).map(drop)
}

/// Fails unless a database is mcpd's, has one of these schemas, and each of its pages is as it must be; returns its
/// schema.
pub(super) fn check_whole(connection: &Connection, versions: RangeInclusive<u32>) -> Result<u32, CopyError> {
    let told: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if told != "ok" {
        return Err(CopyError::Damaged(told.replace('\n', " ")));
    }
    let application: u32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = migrate::version(connection)?;
    if application != APPLICATION_ID || !versions.contains(&version) {
        return Err(CopyError::Damaged(format!("application {application:x}, schema {version}")));
    }
    Ok(version)
}

/// Opens a database to go through all of it, without writing. It keeps no more of it in memory than other readers do:
/// that would stay with the process, and the system keeps the pages that are read again.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, READ_ONLY)?;
    // SQLite takes a negative number for KiB.
    connection.pragma_update(None, "cache_size", -READER_CACHE)?;
    Ok(connection)
}
