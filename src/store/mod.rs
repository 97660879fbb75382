//! Every SQL statement. Functions take a connection and return rows; they judge nothing.
//!
//! Reads share a small pool. Writes go through one connection, so that nothing ever waits on a lock; what
//! a caller was told is done is on the disk (`synchronous = FULL`).

pub mod alert_rules;
pub mod alerts;
mod apart;
pub mod audit;
pub mod backup;
mod before_migration;
mod before_restore;
mod column;
pub mod contexts;
mod create;
pub mod files;
pub mod folder;
mod go_on;
pub mod idempotency;
pub mod keys;
mod migrate;
pub mod networks;
mod open;
pub mod outbox;
mod owner;
pub mod page;
mod patience;
pub mod profiles;
mod put_back;
pub mod reports;
pub mod restore;
pub mod seals;
pub mod secrets;
pub mod sightings;
pub mod usage;
pub mod windows;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use apart::Apart;
pub use go_on::GoOn;
pub use open::OpenError;
use patience::Patience;
use put_back::Files;
pub use put_back::PutBackError;

use crate::latest::Latest;

type Pool = r2d2::Pool<SqliteConnectionManager>;
type Connected = r2d2::PooledConnection<SqliteConnectionManager>;

/// The database, open and this process's alone.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// Replaced if the files are taken away and put back.
    pools: Latest<Pools>,
    /// Whether a copy is being made or handed out.
    copying: Arc<AtomicBool>,
    /// Its own long reads.
    apart: Apart,
    /// How long others are waited for.
    patience: Patience,
    /// Held as long as the process lives: no second daemon may open the same database.
    lock: Mutex<File>,
    /// Whether it was told that the files are gone and cannot be put back.
    is_told: AtomicBool,
}

/// The connections to the database, and the files that they have open.
struct Pools {
    writer: Pool,
    readers: Pool,
    files: Files,
}

/// The database could not do what it was asked to: a full or failing disk, most often.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection was free in time.
    #[error("no database connection: {0}")]
    Pool(#[from] r2d2::Error),
    /// SQLite refused.
    #[error("database: {0}{remedy}", remedy = remedy(.0))]
    Sqlite(#[from] rusqlite::Error),
    /// Another program has it open and reads or writes.
    #[error("database: another program is using it")]
    InUse,
    /// Its files were taken away, and are not back yet.
    #[error("database: its files were taken away while mcpd has it open, and cannot be put back: {0}")]
    TakenAway(Box<PutBackError>),
}

/// Returns what somebody should do about an error, if anything.
fn remedy(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            ": another program writes to it in one long transaction, such as an open sqlite3 shell: end that"
        }
        Some(ErrorCode::DiskFull) => ": make room on the disk of store.path",
        Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            ": see whether the disk of store.path is mounted, writable and whole"
        }
        _ => "",
    }
}

/// A number of rows as SQLite takes it; there are never more than it can count.
fn rows(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Returns how long a file is, in bytes; 0 where there is none.
fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |file| file.len())
}

/// The writer while it does not wait for the disk; it does again however this ends.
struct Unhurried(Connected);

impl Drop for Unhurried {
    fn drop(&mut self) {
        if let Err(error) = self.0.pragma_update(None, "synchronous", "FULL") {
            tracing::error!("the database does not wait for the disk: {error}");
        }
    }
}

impl Store {
    /// Runs a query on a connection that cannot write.
    pub fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let connection = self.patience.wait(&self.pools.get().readers)?;
        Ok(query(&connection)?)
    }

    /// Runs a query on a connection of its own that cannot write: for what takes long, so that nobody waits for a
    /// connection meanwhile.
    pub fn read_apart<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let _reading = self.apart.begin();
        Ok(query(&open::reader(&self.path)?)?)
    }

    /// Returns how many reads there are by [`Self::read_apart`] and for copies: each holds the write-ahead log.
    pub fn long_reads(&self) -> usize {
        self.apart.reading()
    }

    /// Makes new long reads wait, so that the log can be brought to its end once those under way are over; or lets them
    /// go on.
    pub fn hold_long_reads(&self, hold: bool) {
        self.apart.hold_back(hold);
    }

    /// Runs statements as one transaction, on the disk when this returns; an error undoes them all.
    pub fn write<T, E: From<StoreError>>(
        &self,
        statements: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.writer()?;
        let transaction = self.begin(&mut connection).map_err(StoreError::from)?;
        let result = statements(&transaction)?;
        transaction.commit().map_err(StoreError::from)?;
        Ok(result)
    }

    /// Runs statements as one transaction, on the disk with the next one that is written whole: for what means
    /// nothing by itself, such as parts of a file.
    pub fn write_part<T>(
        &self,
        statements: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.unhurried(|connection| {
            let transaction = self.begin(connection)?;
            let result = statements(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
    }

    /// Gives free pages back to the file system: a few at a time, so that nobody waits for long. Tells whether there
    /// are more to be given back.
    pub fn give_back(&self) -> Result<bool, StoreError> {
        self.unhurried(|connection| {
            let free = |connection: &Connection| -> rusqlite::Result<i64> {
                connection.pragma_query_value(None, "freelist_count", |row| row.get(0))
            };
            let before = free(connection)?;
            // Each step moves one page.
            let mut statement = connection.prepare_cached("PRAGMA incremental_vacuum(2000)")?;
            let mut pages = statement.query([])?;
            while pages.next()?.is_some() {}
            drop(pages);
            drop(statement);
            let left = free(connection)?;
            Ok((1..before).contains(&left))
        })
    }

    /// Ends the database's file where its last page is; who reads just now is not waited for.
    pub fn cut(&self) -> Result<(), StoreError> {
        let writer = self.writer()?;
        Ok(writer.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
    }

    /// Returns how many bytes the disk has room for.
    pub fn room(&self) -> std::io::Result<u64> {
        backup::room(&self.path)
    }

    /// Does something that may be lost with the machine's power, but for what is written behind it: in WAL mode,
    /// this leaves out the wait for the disk at the end of each transaction, and no more.
    fn unhurried<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut writer = Unhurried(self.writer()?);
        writer.0.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(work(&mut writer.0)?)
    }

    /// Brings the write-ahead log into the database, so that a copy of the one file is whole.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let writer = self.writer()?;
        // Where somebody is in the way, the answer says so; it is no error to SQLite.
        let is_in_use = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if is_in_use { Err(StoreError::InUse) } else { Ok(()) }
    }

    /// Returns the database's size on the disk in bytes, what is still in the write-ahead log included.
    pub fn bytes(&self) -> u64 {
        length(&self.path) + self.log_bytes()
    }

    /// Returns the size of the write-ahead log on the disk in bytes.
    pub fn log_bytes(&self) -> u64 {
        length(&open::beside(&self.path, "-wal"))
    }

    /// Brings the write-ahead log into the database as far as nobody reads what was before. If somebody does, returns
    /// how long it is in bytes, else 0.
    pub fn held_log(&self) -> Result<u64, StoreError> {
        let writer = self.writer()?;
        let page: u32 = writer.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let (pages, done): (i64, i64) =
            writer.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(1)?, row.get(2)?)))?;
        Ok(if pages > done { pages.unsigned_abs() * u64::from(page) } else { 0 })
    }

    /// Puts the database's files back if somebody has taken them away; fails if that cannot be. It asks whether to go on
    /// all the while: a large database takes long.
    pub fn look_after_files(&self, go_on: &GoOn) -> Result<(), StoreError> {
        if self.has_its_files() { Ok(()) } else { self.writer_while(go_on).map(drop) }
    }

    /// Tells whether the database is where it was opened: what is written to files that were taken away is lost with
    /// the process.
    pub fn has_its_files(&self) -> bool {
        self.pools.get().files.are_there()
    }

    /// Begins a transaction that writes.
    fn begin<'a>(&self, connection: &'a mut Connection) -> rusqlite::Result<Transaction<'a>> {
        let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        self.patience.note(begun.is_ok());
        begun
    }

    /// Returns the one connection that writes.
    fn writer(&self) -> Result<Connected, StoreError> {
        self.writer_while(&GoOn::default())
    }

    fn writer_while(&self, go_on: &GoOn) -> Result<Connected, StoreError> {
        loop {
            let (edition, pools) = self.pools.numbered();
            let connection = self.patience.wait(&pools.writer)?;
            // Whoever had it before may have put the files back, and opened them anew.
            if edition != self.pools.edition() {
                continue;
            }
            if pools.files.are_there() {
                return Ok(connection);
            }
            self.put_back(&pools.files, &connection, go_on).inspect_err(|error| {
                if !self.is_told.swap(true, Ordering::Relaxed) {
                    tracing::error!("{error}; nothing is written until they are");
                }
            })?;
        }
    }

    /// Writes the database anew to where it was, and opens that. The caller has the one connection that writes.
    fn put_back(&self, files: &Files, connection: &Connection, go_on: &GoOn) -> Result<(), StoreError> {
        let opened = |error| PutBackError::Open(Box::new(error));
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        // Or another daemon could have the database that is put back.
        if !put_back::is_same(&lock, &open::lock_path(&self.path)) {
            *lock = open::lock(&self.path).map_err(opened)?;
        }
        files.put_back(connection, go_on)?;
        let pools = open::pools(&self.path).inspect_err(|_| files.take_away());
        self.pools.replace(pools.map_err(opened)?);
        self.is_told.store(false, Ordering::Relaxed);
        tracing::error!(
            "somebody took the files of the database {} away while mcpd has it open: they were put back, and nothing \
             is lost. Stop mcpd before you move or remove them",
            self.path.display()
        );
        Ok(())
    }

    /// Returns where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
