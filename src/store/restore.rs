//! Puts a backup in the place of the database, while no daemon has it open.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ring::rand::SystemRandom;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use super::Store;
use super::audit;
use super::backup::{self, CopyError, HEADROOM, Unfinished, check_whole, make_file};
use super::before_restore;
use super::create::remove_companions;
use super::folder::{DEFAULT_KEY, folder_of};
use super::length;
use super::migrate::VERSION;
use super::open::{OpenError, beside, lock, open_at_once};
use super::owner::{Owner, become_owner_of_folder, is_root_in_another_s_folder};
use crate::clock::Clock;
use crate::domain::audit::{Actor, Change, row_id};
use crate::domain::token::Token;

/// Behind the database's name: a backup that is being brought there.
pub(super) const UNFINISHED: &str = ".restore-unfinished";
/// How many of its steps SQLite takes before it looks whether it shall stop.
const STEPS: i32 = 10_000;
/// As much is copied at a time, in bytes.
const PIECE: usize = 1024 * 1024;

/// A backup that can be restored. As long as this lives, no daemon can open the database.
#[derive(Debug)]
pub struct Restore {
    source: PathBuf,
    file: File,
    bytes: u64,
    /// As the configuration has it.
    configured: PathBuf,
    /// Where that leads.
    database: PathBuf,
    owner: Owner,
    stop: Arc<AtomicBool>,
    _lock: File,
}

/// What was done.
#[derive(Debug)]
pub struct Restored {
    /// Where the database is that was replaced, if there was one.
    pub kept: Option<PathBuf>,
    /// The backup's schema; an earlier one is brought up to date at the next start.
    pub schema: u32,
    /// Where a default key lies that the database does not know; the one before may, so it is left.
    pub stale_default_key: Option<PathBuf>,
}

/// How far a restore is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// So many bytes are copied.
    Copied(u64),
    /// All is copied, and is being checked.
    Checking,
}

/// Nothing was restored; the database is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup cannot be read.
    #[error("cannot read {path}: {cause}", path = path.display())]
    Source {
        /// The backup.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Something else than a backup.
    #[error("{path} is no backup: it is not an mcpd database", path = .0.display())]
    NoBackup(PathBuf),
    /// A later mcpd made it.
    #[error("{path} has schema {found}, this mcpd knows up to {VERSION}: install the newer mcpd", path = path.display())]
    Newer {
        /// The backup.
        path: PathBuf,
        /// Its schema version.
        found: u32,
    },
    /// Its end is missing.
    #[error("{path} is cut short: restore another backup", path = .0.display())]
    Cut(PathBuf),
    /// A part of it is in another file.
    #[error(
        "{path} is not whole by itself: there is a write-ahead log beside it. Copy a database with `mcpd backup`, or \
         once its mcpd has stopped",
        path = .0.display()
    )]
    NotWhole(PathBuf),
    /// It is not as it must be.
    #[error("{path} cannot be used: {cause}", path = path.display())]
    Damaged {
        /// The backup.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// It is the database itself.
    #[error("{path} is the database itself, not a backup of it", path = .0.display())]
    Itself(PathBuf),
    /// A daemon has the database open.
    #[error(
        "mcpd is running on {path}: stop it first (`systemctl stop mcpd.socket mcpd` if it runs as a service)",
        path = .0.display()
    )]
    Running(PathBuf),
    /// Root would go where another user sends it.
    #[error(
        "{path} is a symbolic link in a folder that is not root's: root does not follow it. Run `mcpd restore` as the \
         folder's owner, or name in store.path what it leads to",
        path = .0.display()
    )]
    Link(PathBuf),
    /// What is in the database's place must not be touched.
    #[error(transparent)]
    InTheWay(OpenError),
    /// It was told to stop.
    #[error("interrupted")]
    Interrupted,
    /// The disk is too full.
    #[error("the disk of store.path has {free} bytes free, {needed} are needed: make room there")]
    NoRoom {
        /// How many bytes must be free.
        needed: u64,
        /// How many are.
        free: u64,
    },
    /// A file could not be made or moved.
    #[error("cannot put it in the place of {path}: {cause}", path = path.display())]
    File {
        /// The database.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

impl Restore {
    /// Returns a backup that can be restored, as far as its first bytes tell; takes the database's lock.
    pub fn begin(source: &Path, database: &Path) -> Result<Self, RestoreError> {
        let (file, bytes) = open_source(source)?;
        let is_itself = is_same_file(&file, database);
        // Before anything is made or opened there.
        let lock = step_in(database)?;
        let configured = database.to_owned();
        let database = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
        let failed = |cause| RestoreError::File { path: database.clone(), cause };
        // Where a link of root's leads.
        become_owner_of_folder(&database).map_err(failed)?;
        if is_itself {
            return Err(RestoreError::Itself(database));
        }
        // A damaged or later one is what restoring is for; it is kept.
        if let Err(error @ OpenError::Foreign(_)) = Store::check(&database) {
            return Err(RestoreError::InTheWay(error));
        }
        before_restore::remove_twins(&database).map_err(failed)?;
        let owner = Owner::of(&database).map_err(failed)?;
        owner.own(&lock).map_err(failed)?;
        Ok(Self {
            source: source.to_owned(),
            file,
            bytes,
            database,
            owner,
            configured,
            stop: Arc::default(),
            _lock: lock,
        })
    }

    /// Returns what makes it stop, once it is true, and leave all as it was; unless it is so far that it ends well.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Returns how long the backup is, in bytes.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns where the database is.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// Tells whether there is a database to be replaced.
    pub fn replaces(&self) -> bool {
        length(&self.database) > 0
    }

    /// Copies the backup beside the database, checks the copy, and puts it in the database's place in one step.
    pub fn run(mut self, tell: &mut dyn FnMut(Stage)) -> Result<Restored, RestoreError> {
        let failed = |cause| RestoreError::File { path: self.database.clone(), cause };
        let unfinished = Unfinished(beside(&self.database, UNFINISHED));
        // What an earlier one left needs no room any more.
        backup::remove(&unfinished.0).map_err(failed)?;
        let needed = self.bytes + HEADROOM;
        let free = backup::room(&self.database).map_err(failed)?;
        if free < needed {
            return Err(RestoreError::NoRoom { needed, free });
        }
        let copy = make_file(&unfinished.0).map_err(failed)?;
        self.owner.own(&copy).map_err(failed)?;
        self.copy_into(&copy, tell)?;
        tell(Stage::Checking);
        let (schema, stale_default_key) = self.check(&unfinished.0)?;
        self.go_on()?;
        let put = put_in_place(&copy, &unfinished.0, &self.database, self.owner);
        Ok(Restored { kept: put.map_err(|cause| self.failed(cause))?, schema, stale_default_key })
    }

    /// Writes down in the copy's own audit log that it was restored; all of it is in the one file then.
    fn note(&self, connection: Connection, schema: u32) -> Result<(), CopyError> {
        let id = row_id(&SystemRandom::new());
        let id = id.map_err(|_| io::Error::other("the system has no randomness to give"))?;
        let file = self.source.display().to_string();
        let change = Change {
            at: Clock::System.now().wall,
            actor: Actor::System,
            action: "server.restore",
            target: "database".to_owned(),
            before: None,
            after: Some(json!({"file": file, "bytes": self.bytes, "schema": schema})),
        };
        audit::append(&connection, id, change)?;
        // What is still in a log would be left behind.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(connection.close().map_err(|(_, error)| error)?)
    }

    fn stale_default_key(&self, restored: &Connection) -> rusqlite::Result<Option<PathBuf>> {
        let path = folder_of(&self.configured).join(DEFAULT_KEY);
        let Some(token) = fs::read(&path).ok().and_then(|text| Token::parse(text.trim_ascii()).ok()) else {
            return Ok(None);
        };
        let known = "SELECT EXISTS (SELECT 1 FROM keys WHERE hint = ?)";
        let is_known: bool = restored.query_row(known, [token.hint().to_string()], |row| row.get(0))?;
        Ok((!is_known).then_some(path))
    }

    fn go_on(&self) -> Result<(), RestoreError> {
        if self.stop.load(Ordering::Acquire) { Err(RestoreError::Interrupted) } else { Ok(()) }
    }

    fn failed(&self, cause: io::Error) -> RestoreError {
        RestoreError::File { path: self.database.clone(), cause }
    }

    fn copy_into(&mut self, mut copy: &File, tell: &mut dyn FnMut(Stage)) -> Result<(), RestoreError> {
        let mut piece = vec![0; PIECE];
        let mut copied = 0;
        loop {
            self.go_on()?;
            let read = self.file.read(&mut piece);
            let length = read.map_err(|cause| RestoreError::Source { path: self.source.clone(), cause })?;
            if length == 0 {
                break;
            }
            copy.write_all(&piece[..length]).map_err(|cause| self.failed(cause))?;
            copied += length as u64;
            tell(Stage::Copied(copied));
        }
        if copied == self.bytes { Ok(()) } else { Err(RestoreError::Cut(self.source.clone())) }
    }

    /// Reads all of the copy as SQLite does, and notes in it that it is restored; returns its schema, and where a default
    /// key lies that it does not know.
    fn check(&self, copy: &Path) -> Result<(u32, Option<PathBuf>), RestoreError> {
        let checked = (|| {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(copy, flags)?;
            let stop = self.stop();
            connection.progress_handler(STEPS, Some(move || stop.load(Ordering::Acquire)))?;
            let schema = check_whole(&connection, 1..=VERSION)?;
            let stale_default_key = self.stale_default_key(&connection)?;
            self.note(connection, schema)?;
            Ok((schema, stale_default_key))
        })();
        if checked.is_err() {
            self.go_on()?;
        }
        checked.map_err(|error| RestoreError::Damaged {
            path: self.source.clone(),
            cause: match error {
                CopyError::Damaged(found) => format!("it is damaged ({found}); restore another backup"),
                error => error.to_string(),
            },
        })
    }
}

/// Goes on as the owner of the database's folder, where that is not root's, and takes the lock.
fn step_in(database: &Path) -> Result<File, RestoreError> {
    let failed = |cause| RestoreError::File { path: database.to_owned(), cause };
    if is_root_in_another_s_folder(database).map_err(failed)? && database.is_symlink() {
        return Err(RestoreError::Link(database.to_owned()));
    }
    become_owner_of_folder(database).map_err(failed)?;
    lock(database).map_err(|error| match error {
        OpenError::Locked(path) => RestoreError::Running(path),
        error => RestoreError::InTheWay(error),
    })
}

fn is_same_file(file: &File, path: &Path) -> bool {
    let same = || Some((file.metadata().ok()?, path.metadata().ok()?));
    same().is_some_and(|(file, other)| (file.dev(), file.ino()) == (other.dev(), other.ino()))
}

/// Opens a backup, if it is one as far as its first bytes tell; returns its length too.
fn open_source(path: &Path) -> Result<(File, u64), RestoreError> {
    let unreadable = |cause| RestoreError::Source { path: path.to_owned(), cause };
    // Nobody waits for the other end of a pipe, nor is a device told that it is opened.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(RestoreError::NoBackup(path.to_owned()));
    }
    let file = open_at_once(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Err(RestoreError::NoBackup(path.to_owned()));
    }
    if ["-wal", "-journal"].iter().any(|suffix| length(&beside(path, suffix)) > 0) {
        return Err(RestoreError::NotWhole(path.to_owned()));
    }
    Store::check(path).map_err(|error| match error {
        OpenError::Newer { path, found } => RestoreError::Newer { path, found },
        OpenError::Cut(path) => RestoreError::Cut(path),
        OpenError::Unusable { path, cause } => RestoreError::Source { path, cause },
        _ => RestoreError::NoBackup(path.to_owned()),
    })?;
    Ok((file, metadata.len()))
}

/// Puts a checked copy in the database's place; returns where the one before is, if there was one. Whenever this is
/// cut short, one of the two is there whole.
fn put_in_place(copy: &File, path: &Path, database: &Path, owner: Owner) -> io::Result<Option<PathBuf>> {
    remove_companions(path)?;
    copy.sync_all()?;
    let kept = if length(database) > 0 { Some(before_restore::keep(database, owner)?) } else { None };
    // They belong to the one before; the restored one would take them for its own.
    remove_companions(database)?;
    fs::rename(path, database)?;
    File::open(folder_of(database))?.sync_all()?;
    Ok(kept)
}
