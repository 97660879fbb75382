//! What a database was before a restore: under another name beside it.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use rustix::io::Errno;

use super::backup::{self, Unfinished, make_file};
use super::folder::folder_of;
use super::length;
use super::open::beside;
use super::owner::Owner;
use crate::clock::Clock;

/// Behind the database's name: such a file. A date follows.
const KEPT: &str = ".before-restore-";
/// Behind the database's name: a copy that is to become one, where there are no second names.
pub(super) const UNFINISHED: &str = ".before-restore.unfinished";
/// Behind a file's name: what SQLite has still to bring into it, or to take back.
const LOGS: [&str; 2] = ["-wal", "-journal"];

/// Gives the database a second name, which it goes on with; with it goes what is not brought into it. All of it is on
/// the disk when this returns.
pub(super) fn keep(database: &Path, owner: Owner) -> io::Result<PathBuf> {
    bring_log_in(database);
    let kept = name_anew(database, owner)?;
    for suffix in LOGS {
        if length(&beside(database, suffix)) > 0 {
            fs::rename(beside(database, suffix), beside(&kept, suffix))?;
        }
    }
    File::open(folder_of(database))?.sync_all()?;
    Ok(kept)
}

/// Removes the second name that a restore left which was killed before it had put another in the database's place, and
/// gives back what went with it. The caller holds the lock.
pub(super) fn remove_twins(database: &Path) -> io::Result<()> {
    // Where a link leads, as a restore has it.
    let Ok(database) = database.canonicalize() else { return Ok(()) };
    let own = database.metadata()?;
    if own.nlink() == 1 {
        return Ok(());
    }
    let begin = beside(&database, KEPT);
    for entry in fs::read_dir(folder_of(&database))? {
        let twin = entry?.path();
        let found = twin.symlink_metadata()?;
        let is_twin = (found.dev(), found.ino()) == (own.dev(), own.ino());
        if is_twin && twin.as_os_str().as_bytes().starts_with(begin.as_os_str().as_bytes()) {
            give_back(&database, &twin)?;
            fs::remove_file(&twin)?;
            tracing::info!("removed {}, which a restore left that did not end", twin.display());
        }
    }
    File::open(folder_of(&database))?.sync_all()
}

/// Gives the database back what it has not yet brought in, unless it has begun anew since.
fn give_back(database: &Path, twin: &Path) -> io::Result<()> {
    for suffix in LOGS {
        let (own, taken) = (beside(database, suffix), beside(twin, suffix));
        if length(&taken) > 0 && length(&own) == 0 {
            fs::rename(taken, own)?;
        }
    }
    Ok(())
}

/// Gives the database a second name that nothing has yet; where that cannot be, makes a copy of that name.
fn name_anew(database: &Path, owner: Owner) -> io::Result<PathBuf> {
    let date = Clock::System.now().wall.in_file_name();
    let mut kept = beside(database, &format!("{KEPT}{date}"));
    let mut number = 1;
    loop {
        let named = match fs::hard_link(database, &kept) {
            Err(error) if has_no_second_names(&error) => copy(database, &kept, owner),
            named => named,
        };
        match named {
            Ok(()) => return Ok(kept),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number += 1;
                kept = beside(database, &format!("{KEPT}{date}-{number}"));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Makes a copy that has its name once it is whole and on the disk.
fn copy(database: &Path, to: &Path, owner: Owner) -> io::Result<()> {
    if to.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let unfinished = Unfinished(beside(database, UNFINISHED));
    backup::remove(&unfinished.0)?;
    let mut file = make_file(&unfinished.0)?;
    owner.own(&file)?;
    io::copy(&mut File::open(database)?, &mut file)?;
    file.sync_all()?;
    // The lock is held, so that nobody else makes one of this name meanwhile.
    fs::rename(&unfinished.0, to)
}

/// Tells whether the file system knows no second names, or does not give them to this user.
fn has_no_second_names(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    let such = [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::MLINK, Errno::XDEV];
    code.is_some_and(|code| such.contains(&code))
}

/// Brings the write-ahead log into the database, where that can be done; a damaged one keeps it beside.
fn bring_log_in(database: &Path) {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let _ = Connection::open_with_flags(database, flags).and_then(|connection| {
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        connection.close().map_err(|(_, error)| error)
    });
}
