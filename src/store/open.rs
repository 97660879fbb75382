//! Opens the database: refuses what is not mcpd's, takes the lock, brings the schema up to date.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::apart::Apart;
use super::backup::{CopyError, remove_unfinished};
use super::create::make_if_missing;
use super::folder::{existing_folder_of, make_folder_of};
use super::migrate::{self, APPLICATION_ID, VERSION};
use super::patience::Patience;
use super::put_back::Files;
use super::{GoOn, Pool, Pools, Store, StoreError, before_migration, before_restore, keys, usage};
use crate::latest::Latest;

/// Readers at once; more would only queue for the same two cores and the same disk.
const READERS: u32 = 4;
/// What a reader keeps in memory, in KiB.
pub(super) const READER_CACHE: i32 = 512;
pub(super) const READ_ONLY: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// A database that cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its folder cannot be read or written.
    #[error("store.path: cannot use {path}: {cause}", path = path.display())]
    Unusable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Some other program's file.
    #[error("store.path: {path} is not an mcpd database; it was left as it is. Name another file", path = .0.display())]
    Foreign(PathBuf),
    /// A newer mcpd has been here.
    #[error(
        "store.path: {path} has schema {found}, this mcpd knows up to {VERSION}: install the newer mcpd, or restore a backup",
        path = path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: u32,
    },
    /// Its end is missing.
    #[error("store.path: {path} is cut short; it was left as it is. Restore a backup, or name another file", path = .0.display())]
    Cut(PathBuf),
    /// Another daemon has it open.
    #[error("store.path: {path} is in use by another mcpd: stop that one first, or name another file", path = .0.display())]
    Locked(PathBuf),
    /// Its schema is to be changed, and no backup of it can be made before.
    #[error(
        "store.path: {path} is of an earlier mcpd. A backup is made before it is brought to schema {VERSION}, and \
         could not be; the database was left as it is: {cause}",
        path = path.display()
    )]
    NoBackup {
        /// The database.
        path: PathBuf,
        /// Why there is none.
        cause: CopyError,
    },
    /// SQLite refused.
    #[error("store.path: {path}: {cause}", path = path.display())]
    Broken {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        cause: StoreError,
    },
}

impl Store {
    /// Fails if there is a file at the path that this binary must not touch. Changes nothing.
    pub fn check(path: &Path) -> Result<(), OpenError> {
        let unusable = |cause| OpenError::Unusable { path: path.to_owned(), cause };
        let mut header = Vec::new();
        let file = match open_at_once(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return check_folder(path),
            Err(error) => return Err(unusable(error)),
        };
        let metadata = file.metadata().map_err(unusable)?;
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(OpenError::Foreign(path.to_owned()));
        }
        let length = metadata.len();
        file.take(100).read_to_end(&mut header).map_err(unusable)?;
        // As SQLite has it, an empty file is a database that is still to be made.
        if header.is_empty() {
            return Ok(());
        }
        let Some((application, version)) = read_header(&header) else {
            return Err(OpenError::Foreign(path.to_owned()));
        };
        if application != APPLICATION_ID {
            return Err(OpenError::Foreign(path.to_owned()));
        }
        if version > VERSION {
            return Err(OpenError::Newer { path: path.to_owned(), found: version });
        }
        if length < expected_length(&header) && !is_unfinished(path) {
            return Err(OpenError::Cut(path.to_owned()));
        }
        Ok(())
    }

    /// Fails if another daemon has the database at the path open. Changes nothing.
    pub fn check_free(path: &Path) -> Result<(), OpenError> {
        match File::open(lock_path(path)).map(|file| file.try_lock()) {
            Ok(Err(TryLockError::WouldBlock)) => Err(OpenError::Locked(path.to_owned())),
            // What else is wrong with it, taking the lock tells.
            _ => Ok(()),
        }
    }

    /// Opens the database, making it and its folder (mode 0700) where there is none.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_while(path, &GoOn::default())
    }

    /// Does what [`open`](Self::open) does for as long as it shall go on; else fails, and changes nothing.
    pub fn open_while(path: &Path, go_on: &GoOn) -> Result<Self, OpenError> {
        Self::check(path)?;
        let lock = lock(path)?;
        let unusable = |cause| OpenError::Unusable { path: path.to_owned(), cause };
        remove_unfinished(path).map_err(unusable)?;
        before_restore::remove_twins(path).map_err(unusable)?;
        make_if_missing(path)?;
        let found = prepare(path, go_on)?;
        if found > VERSION {
            return Err(OpenError::Newer { path: path.to_owned(), found });
        }
        Ok(Self {
            path: path.to_owned(),
            pools: Latest::new(pools(path)?),
            copying: Arc::default(),
            apart: Apart::default(),
            patience: Patience::default(),
            lock: Mutex::new(lock),
            is_told: AtomicBool::new(false),
        })
    }
}

/// Opens a database that has its schema.
pub(super) fn pools(path: &Path) -> Result<Pools, OpenError> {
    let broken = |cause| OpenError::Broken { path: path.to_owned(), cause };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let writer = pool(path, flags, 1, 2_048).map_err(|error| broken(error.into()))?;
    let connection = writer.get().map_err(|error| broken(error.into()))?;
    // It is already, unless it was just put back.
    connection.pragma_update(None, "journal_mode", "WAL").map_err(|error| broken(error.into()))?;
    let files = Files::of(&connection, path).map_err(|error| broken(error.into()))?;
    drop(connection);
    let readers = pool(path, READ_ONLY, READERS, READER_CACHE).map_err(|error| broken(error.into()))?;
    Ok(Pools { writer, readers, files })
}

/// Opens a file to be read; does not wait for the other end of a pipe.
pub(super) fn open_at_once(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.union(OFlags::NOCTTY).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Returns the path with something appended to its last part.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The fields of SQLite's file header that tell whose database it is (<https://sqlite.org/fileformat.html>, 1.3).
fn read_header(header: &[u8]) -> Option<(u32, u32)> {
    let word = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    header.starts_with(b"SQLite format 3\0").then_some(())?;
    Some((word(68)?, word(60)?))
}

/// How long the header says that the file is; 0 where another program wrote it, that did not say.
fn expected_length(header: &[u8]) -> u64 {
    let word = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let page = header.get(16..18).map_or(0, |size| match u16::from_be_bytes([size[0], size[1]]) {
        1 => 65_536,
        size => u64::from(size),
    });
    match (word(24), word(28), word(92)) {
        (Some(changed), Some(pages), Some(valid)) if changed == valid => u64::from(pages) * page,
        _ => 0,
    }
}

/// Tells whether SQLite has something to bring into the file, or to take back, before it is whole.
fn is_unfinished(path: &Path) -> bool {
    let has = |suffix: &str| beside(path, suffix).metadata().is_ok_and(|log| log.len() > 0);
    has("-wal") || has("-journal")
}

/// Fails early, before anything is made, if a new database could not be.
fn check_folder(path: &Path) -> Result<(), OpenError> {
    let existing = existing_folder_of(path);
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(existing, access)
        .map_err(|cause| OpenError::Unusable { path: existing.to_owned(), cause: cause.into() })
}

/// Returns where the lock of the database at the path is.
pub(super) fn lock_path(path: &Path) -> PathBuf {
    beside(path, ".lock")
}

/// Takes the lock of the database at the path, making its folder where there is none.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let lock_path = lock_path(path);
    let unusable = |cause| OpenError::Unusable { path: lock_path.clone(), cause };
    make_folder_of(path).map_err(unusable)?;
    let file = open_lock(&lock_path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

/// Opens the lock's file, made if there is none; whatever else has its name, or is the same file, is left alone.
fn open_lock(path: &Path) -> io::Result<File> {
    // Nor does it wait for the other end of a pipe.
    let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600).custom_flags(flags);
    let file =
        options.open(path).map_err(|error| match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::LOOP) => io::Error::other("it is a symbolic link: remove it"),
            _ => error,
        })?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.nlink() == 1 {
        Ok(file)
    } else {
        Err(io::Error::other("it is no file of its own: remove it"))
    }
}

/// Applies the migrations before the pools open the database, and makes a backup before that. Returns its schema; a
/// later one, which after a crash only the write-ahead log tells of, is left as it is.
fn prepare(path: &Path, go_on: &GoOn) -> Result<u32, OpenError> {
    let broken = |cause: rusqlite::Error| OpenError::Broken { path: path.to_owned(), cause: cause.into() };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(broken)?;
    go_on.watch(&connection).map_err(broken)?;
    let found = migrate::version(&connection).map_err(broken)?;
    if found > VERSION {
        return Ok(found);
    }
    let kept = (found < VERSION).then(|| before_migration::keep(path, found, go_on)).transpose();
    let kept = kept.map_err(|cause| OpenError::NoBackup { path: path.to_owned(), cause })?;
    if let Err(cause) = migrate::run(&mut connection) {
        // Nothing was changed. Kept, such backups would fill the disk, one a start.
        if let Some(kept) = kept {
            kept.remove();
        }
        return Err(broken(cause));
    }
    connection.pragma_update(None, "journal_mode", "WAL").map_err(broken)?;
    Ok(VERSION)
}

/// Returns a connection that cannot write and is nobody else's.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, READ_ONLY)?;
    set_up(&connection, READER_CACHE)?;
    Ok(connection)
}

/// `cache` is how much the connection keeps in memory, in KiB.
fn set_up(connection: &Connection, cache: i32) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    // Otherwise statements are planned anew with what they are given, which costs more than most of them.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // A long transaction leaves a long log, which is cut again once it is in the database.
    connection.pragma_update(None, "journal_size_limit", 8 * 1024 * 1024)?;
    // SQLite takes a negative number for KiB.
    connection.pragma_update(None, "cache_size", -cache)?;
    connection.set_prepared_statement_cache_capacity(64);
    keys::register_functions(connection)?;
    usage::register_functions(connection)
}

fn pool(path: &Path, flags: OpenFlags, size: u32, cache: i32) -> Result<Pool, r2d2::Error> {
    let manager = SqliteConnectionManager::file(path)
        .with_flags(flags)
        .with_init(move |connection| set_up(connection, cache));
    r2d2::Pool::builder()
        .max_size(size)
        .min_idle(Some(1))
        // A connection to a file does not go stale.
        .test_on_check_out(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connection_timeout(Duration::from_secs(5))
        .build(manager)
}
