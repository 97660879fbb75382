//! The database's files, and how they come back if somebody takes them away while they are open: SQLite goes on writing
//! to files that have no name any more, and all of it would be gone with the process.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::backup::{Unfinished, make_file, remove, room};
use super::folder::{folder_of, make_folder_of};
use super::open::beside;
use super::{GoOn, OpenError, StoreError};

/// Behind the database's name: one that is being written to take its place.
pub(super) const UNFINISHED: &str = ".put-back-unfinished";
/// What belongs to an open database: itself, its log, and what readers of the log share.
const FILES: [&str; 3] = ["", "-wal", "-shm"];
const SIZE: &str = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";

/// Why a database that was taken away is not put back.
#[derive(Debug, thiserror::Error)]
pub enum PutBackError {
    /// Something else has its name.
    #[error("there is another file at {}: move that away, or restart mcpd to use it in place of its own", .0.display())]
    Taken(PathBuf),
    /// Somebody reads what is still in its log.
    #[error("its log is being read")]
    InUse,
    /// The disk is too full.
    #[error("the disk of store.path has {free} bytes free, they need {needed}: make room there")]
    NoRoom {
        /// How many bytes must be free.
        needed: u64,
        /// How many are.
        free: u64,
    },
    /// A file cannot be made.
    #[error("{0}")]
    File(#[from] io::Error),
    /// SQLite cannot write it.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Its lock, or it itself, cannot be taken again.
    #[error("{0}")]
    Open(#[from] Box<OpenError>),
}

/// Which files are open, and where they were.
#[derive(Debug)]
pub(super) struct Files {
    /// Without links on the way, as SQLite has it.
    path: PathBuf,
    ids: [FileId; 3],
}

/// A file, whatever its name.
type FileId = (u64, u64);

fn id(path: &Path) -> Option<FileId> {
    path.metadata().ok().map(|file| (file.dev(), file.ino()))
}

fn ids(path: &Path) -> [Option<FileId>; 3] {
    FILES.map(|suffix| id(&beside(path, suffix)))
}

impl Files {
    /// Returns the files that this connection has open, which is to a database in WAL mode at this path.
    pub(super) fn of(connection: &Connection, path: &Path) -> rusqlite::Result<Self> {
        // The log is opened with the first read.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let gone = || rusqlite::Error::InvalidPath(path.to_owned());
        let path = path.canonicalize().map_err(|_| gone())?;
        let [Some(database), Some(log), Some(shared)] = ids(&path) else { return Err(gone()) };
        Ok(Self { path, ids: [database, log, shared] })
    }

    /// Tells whether all of them have their names still.
    pub(super) fn are_there(&self) -> bool {
        ids(&self.path) == self.ids.map(Some)
    }

    /// Writes the database, which is still open in this connection, to where it was. Nobody may write to it any more:
    /// it is to be opened anew.
    pub(super) fn put_back(&self, connection: &Connection, go_on: &GoOn) -> Result<(), PutBackError> {
        let in_its_place = id(&self.path);
        if in_its_place == Some(self.ids[0]) {
            // Its log goes away with what follows, so it must be empty.
            let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            if busy {
                return Err(PutBackError::InUse);
            }
        } else if self.path.symlink_metadata().is_ok() {
            return Err(PutBackError::Taken(self.path.clone()));
        }
        make_folder_of(&self.path)?;
        let needed = connection.query_row(SIZE, [], |row| row.get::<_, i64>(0))?.unsigned_abs();
        let free = room(&self.path)?;
        if free < needed {
            return Err(PutBackError::NoRoom { needed, free });
        }
        let unfinished = Unfinished(beside(&self.path, UNFINISHED));
        remove(&unfinished.0)?;
        let file = make_file(&unfinished.0)?;
        let to = unfinished.0.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(unfinished.0.clone()))?;
        go_on.watch(connection)?;
        let copied = connection.execute("VACUUM INTO ?", [to]);
        connection.progress_handler(0, None::<fn() -> bool>)?;
        copied?;
        file.sync_all()?;
        // Beside the new one, SQLite would take the old one's log for its own.
        for suffix in &FILES[1..] {
            remove_if_there(&beside(&self.path, suffix))?;
        }
        fs::rename(&unfinished.0, &self.path)?;
        File::open(folder_of(&self.path))?.sync_all()?;
        Ok(())
    }

    /// Takes away what was put back and cannot be opened, so that it can be tried again.
    pub(super) fn take_away(&self) {
        if let Err(error) = remove(&self.path) {
            tracing::error!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Tells whether the lock that is held is the one that others would ask for.
pub(super) fn is_same(lock: &File, path: &Path) -> bool {
    lock.metadata().is_ok_and(|file| Some((file.dev(), file.ino())) == id(path))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl From<PutBackError> for StoreError {
    fn from(error: PutBackError) -> Self {
        Self::TakenAway(Box::new(error))
    }
}
