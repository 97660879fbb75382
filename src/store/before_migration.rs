//! What a database was before its schema is changed: a checked copy beside it.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::backup::{self, CopyError, HEADROOM, Unfinished, check_whole, fill, make_file};
use super::folder::folder_of;
use super::go_on::GoOn;
use super::length;
use super::migrate::VERSION;
use super::open::beside;
use crate::clock::Clock;

/// Behind the database's name: such a copy that is being made.
pub(super) const UNFINISHED: &str = ".before-schema-unfinished";

/// As much of two copies is compared at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// A copy of a database, whole and on the disk.
#[derive(Debug)]
pub(super) struct Kept(PathBuf);

/// Copies a database with this schema beside itself and tells the log of it. The caller holds the lock.
pub(super) fn keep(database: &Path, version: u32, go_on: &GoOn) -> Result<Kept, CopyError> {
    let needed = length(database) + length(&beside(database, "-wal")) + HEADROOM;
    let free = backup::room(database)?;
    if free < needed {
        return Err(CopyError::NoRoom { needed, free });
    }
    let unfinished = Unfinished(beside(database, UNFINISHED));
    backup::remove(&unfinished.0)?;
    let file = make_file(&unfinished.0)?;
    fill(database, &unfinished.0, go_on)?;
    let copy = backup::open(&unfinished.0)?;
    go_on.watch(&copy)?;
    check_whole(&copy, version..=version)?;
    file.sync_all()?;
    let date = Clock::System.now().wall.in_file_name();
    let path = beside(database, &format!(".before-schema-{VERSION}-{date}"));
    fs::rename(&unfinished.0, &path)?;
    File::open(folder_of(&path))?.sync_all()?;
    // One more than is needed is no reason not to start.
    if let Err(error) = remove_twins(&path, &beside(database, &format!(".before-schema-{VERSION}-")), go_on) {
        tracing::warn!("cannot tell whether an earlier start left a copy like {}: {error}", path.display());
    }
    tracing::info!(
        "the database is brought from schema {version} to {VERSION}; as it was, it is kept as {}: delete that once \
         all is well, or restore it to go back to the earlier mcpd",
        path.display()
    );
    Ok(Kept(path))
}

/// Removes the copies that starts left which were killed after they had made them: those that are the same to the
/// byte. Any other may be the only one of what is in it.
fn remove_twins(copy: &Path, begin: &Path, go_on: &GoOn) -> io::Result<()> {
    for entry in fs::read_dir(folder_of(copy))? {
        // As the copy's own path has it: with or without the folder.
        let other = copy.with_file_name(entry?.file_name());
        let is_earlier =
            other != copy && other.as_os_str().as_bytes().starts_with(begin.as_os_str().as_bytes());
        if is_earlier && other.symlink_metadata()?.is_file() && are_same(copy, &other, go_on)? {
            fs::remove_file(&other)?;
        }
    }
    Ok(())
}

/// Two that nobody waits for to be compared are not the same.
fn are_same(one: &Path, other: &Path, go_on: &GoOn) -> io::Result<bool> {
    if length(one) != length(other) {
        return Ok(false);
    }
    let bytes = |path: &Path| Ok::<_, io::Error>(BufReader::with_capacity(PIECE, File::open(path)?));
    let (mut one, mut other) = (bytes(one)?, bytes(other)?);
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let most = left.len().min(right.len());
        if left[..most] != right[..most] || !go_on.ask() {
            return Ok(false);
        }
        if most == 0 {
            return Ok(left.len() == right.len());
        }
        one.consume(most);
        other.consume(most);
    }
}

impl Kept {
    /// Removes it again.
    pub(super) fn remove(self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!("cannot remove {}, which holds keys' digests: {error}", self.0.display());
        }
    }
}
